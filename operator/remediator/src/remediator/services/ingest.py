"""Turns a webhook notification into FlinkRemediations. Nothing is acknowledged that is not in the API server."""

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from remediator.adapters.kube import FLINK_DEPLOYMENTS, POLICIES, Kube, KubeError, Unavailable
from remediator.api.alertmanager import Alert, Webhook
from remediator.api.policy import PolicySpec
from remediator.api.remediation import PolicyReference, RemediationSpec, TargetReference
from remediator.core.incident import Answer
from remediator.core.matching import ByConsumerGroup, ByName, first_mismatch, target_query
from remediator.services.incidents import Incidents
from remediator.services.index import Policy, Target, to_policy, to_target
from remediator.services.resources import alert_reference, first_error, missing_target
from remediator.services.watched import Watched

log = logging.getLogger(__name__)

WATCHDOG = "Watchdog"
"""The alert of kube-prometheus-stack that always fires."""
SIDE_BY_SIDE: Final = 16
"""Alerts of a notification that are recorded at the same time."""


@dataclass
class Receipt:
    """What became of a notification."""

    created: list[str] = field(default_factory=list)
    """FlinkRemediations that this notification created."""
    existing: list[str] = field(default_factory=list)
    """FlinkRemediations that were there already: a repeat or an HA twin."""
    resolved: list[str] = field(default_factory=list)
    """FlinkRemediations whose alert is over."""
    unmatched: int = 0
    """Alerts that no policy answers."""
    invalid: list[str] = field(default_factory=list)
    """What was wrong with alerts that could not be read."""
    watchdog: bool = False
    """Whether the alert Watchdog, which always fires, was among them."""


class Ingest:
    """Creates FlinkRemediations in ``namespace``; looks for targets in ``target_namespaces`` only.

    Policies and targets are what the watches have brought. Where those know of no policy or no target, or are not to be
    relied on, the API server is asked: an alert that nobody answers is forgotten.
    """

    def __init__(self, kube: Kube, watched: Watched, namespace: str, target_namespaces: Collection[str]) -> None:
        self._kube = kube
        self._watched = watched
        self._namespace = namespace
        self._target_namespaces = frozenset(target_namespaces)
        self._incidents = Incidents(kube, namespace, watched.incidents, watched.incidents_fresh)

    async def check(self) -> None:
        """Raise KubeError unless the API server lets us read policies."""
        await self._kube.list_all(POLICIES, self._namespace)

    async def ingest(self, webhook: Webhook) -> Receipt:
        """Make the FlinkRemediations of a notification exist. Raises KubeError when in any doubt."""
        receipt = Receipt()
        policies = _Policies(self._kube, self._watched, self._namespace)
        turns = asyncio.Semaphore(SIDE_BY_SIDE)

        async def take(position: int, alert: Alert) -> None:
            try:
                async with turns:
                    await self._take(alert, policies, webhook.group_key, receipt)
            except KubeError as error:
                log.error("alert not recorded", extra={"alert": alert.labels, "error": str(error)})
                raise
            except Exception as error:
                log.exception("alert not recorded", extra={"alert": alert.labels})
                raise Unavailable(f"alerts[{position}] failed: {error!r}") from error

        taking = []
        for position, raw in enumerate(webhook.alerts):
            try:
                taking.append(take(position, Alert.model_validate(raw)))
            except ValidationError as error:
                receipt.invalid.append(f"alerts[{position}]: {first_error(error)}")
        # Whatever fails, the other alerts get their chance now; all of them get another by the retry.
        for outcome in await asyncio.gather(*taking, return_exceptions=True):
            if outcome is not None:
                raise outcome
        return receipt

    async def _take(self, alert: Alert, policies: "_Policies", group_key: str, receipt: Receipt) -> None:
        if alert.labels.get("alertname") == WATCHDOG:
            receipt.watchdog |= alert.status == "firing"
            return
        matching = await policies.answering(alert)
        if not matching:
            receipt.unmatched += 1
        for ref, policy in matching:
            for target in await self._targets(policy, alert):
                spec = RemediationSpec(policy_ref=ref, target=target, alert=alert_reference(alert, policy, group_key))
                name, what = await self._incidents.notice(alert, spec)
                if what is Answer.CREATE:
                    receipt.created.append(name)
                elif what is Answer.RESOLVE:
                    receipt.resolved.append(name)
                elif alert.status == "firing":
                    receipt.existing.append(name)

    async def _targets(self, policy: PolicySpec, alert: Alert) -> list[TargetReference]:
        query = target_query(policy.target, alert.labels)
        found: list[Target] = []
        if query.namespace in self._target_namespaces:
            found = self._known_targets(query) or await targets_now(self._kube, query)
        # An alert that finds no target still gets its record, so that somebody sees why nothing happened.
        return [target.ref for target in found] or [missing_target(query)]

    def _known_targets(self, query: ByName | ByConsumerGroup) -> list[Target]:
        if not self._watched.targets_fresh(query.namespace):
            return []
        if isinstance(query, ByName):
            known = self._watched.targets.get(query.namespace, query.name)
            return [known] if known is not None else []
        return self._watched.targets.by_consumer_group(query.namespace, query.group)


async def targets_now(kube: Kube, query: ByName | ByConsumerGroup) -> list[Target]:
    """Return the FlinkDeployments that are asked for, as the API server has them; none for an empty name or group.
    Raises KubeError."""
    if isinstance(query, ByName):
        one = await kube.get(FLINK_DEPLOYMENTS, query.namespace, query.name) if query.name else None
        return [to_target(one)] if one else []
    all_of_them = await kube.list_all(FLINK_DEPLOYMENTS, query.namespace) if query.group else []
    return [target for target in map(to_target, all_of_them) if query.group in target.consumer_groups]


class _Policies:
    """The policies that a notification meets: those that the watch has brought; as soon as an alert finds none among
    them, those that the API server has."""

    def __init__(self, kube: Kube, watched: Watched, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._known = list(watched.policies) if watched.policies_fresh() else None
        self._read = asyncio.Lock()
        self._now: list[Policy] | None = None

    async def answering(self, alert: Alert) -> list[tuple[PolicyReference, PolicySpec]]:
        """Return the policies that answer an alert. Raises KubeError."""
        known = _answering(self._known or [], alert)
        if known:
            return known
        async with self._read:
            if self._now is None:
                resources = await self._kube.list_all(POLICIES, self._namespace)
                self._now = [to_policy(resource) for resource in resources]
                for policy in self._now:
                    if policy.problem:
                        log.error("policy cannot be read", extra={"policy": policy.name, "error": policy.problem})
        return _answering(self._now, alert)


def _answering(policies: list[Policy], alert: Alert) -> list[tuple[PolicyReference, PolicySpec]]:
    return [
        (PolicyReference(name=policy.name, uid=policy.resource["metadata"]["uid"]), policy.spec)
        for policy in policies
        if policy.spec is not None and first_mismatch(policy.spec.match, alert.labels) is None
    ]
