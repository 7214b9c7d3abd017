"""Turns a webhook notification into FlinkRemediations. Nothing is acknowledged that is not in the API server."""

import logging
from collections.abc import Collection
from dataclasses import dataclass, field

from pydantic import ValidationError

from remediator.adapters.kube import FLINK_DEPLOYMENTS, POLICIES, Kube, KubeError, Resource, Unavailable
from remediator.api.alertmanager import Alert, Webhook
from remediator.api.policy import PolicySpec
from remediator.api.remediation import PolicyReference, RemediationSpec, TargetReference
from remediator.core.flinkdeployment import consumer_groups
from remediator.core.incident import Answer
from remediator.core.matching import ByName, first_mismatch, target_query
from remediator.services.incidents import Incidents
from remediator.services.resources import alert_reference, first_error, missing_target, read_policy

log = logging.getLogger(__name__)

WATCHDOG = "Watchdog"
"""The alert of kube-prometheus-stack that always fires."""


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


@dataclass(frozen=True)
class _Policy:
    ref: PolicyReference
    spec: PolicySpec


class Ingest:
    """Creates FlinkRemediations in ``namespace``; looks for targets in ``target_namespaces`` only."""

    def __init__(self, kube: Kube, namespace: str, target_namespaces: Collection[str]) -> None:
        self._kube = kube
        self._namespace = namespace
        self._target_namespaces = frozenset(target_namespaces)
        self._incidents = Incidents(kube, namespace)

    async def check(self) -> None:
        """Raise KubeError unless the API server lets us read policies."""
        await self._kube.list_all(POLICIES, self._namespace)

    async def ingest(self, webhook: Webhook) -> Receipt:
        """Make the FlinkRemediations of a notification exist. Raises KubeError when in any doubt."""
        receipt = Receipt()
        policies = await self._policies()
        failure: KubeError | None = None
        for position, raw in enumerate(webhook.alerts):
            try:
                alert = Alert.model_validate(raw)
            except ValidationError as error:
                receipt.invalid.append(f"alerts[{position}]: {first_error(error)}")
                continue
            # The other alerts of the group get their chance now; all of them get another by the retry.
            try:
                await self._take(alert, policies, webhook.group_key, receipt)
            except KubeError as error:
                log.error("alert not recorded", extra={"alert": alert.labels, "error": str(error)})
                failure = error
            except Exception as error:
                log.exception("alert not recorded", extra={"alert": alert.labels})
                failure = Unavailable(f"alerts[{position}] failed: {error!r}")
        if failure is not None:
            raise failure
        return receipt

    async def _take(self, alert: Alert, policies: list[_Policy], group_key: str, receipt: Receipt) -> None:
        if alert.labels.get("alertname") == WATCHDOG:
            receipt.watchdog |= alert.status == "firing"
            return
        matching = [policy for policy in policies if first_mismatch(policy.spec.match, alert.labels) is None]
        if not matching:
            receipt.unmatched += 1
        for policy in matching:
            for target in await self._targets(policy.spec, alert):
                spec = RemediationSpec(
                    policy_ref=policy.ref, target=target, alert=alert_reference(alert, policy.spec, group_key)
                )
                name, what = await self._incidents.notice(alert, spec)
                if what is Answer.CREATE:
                    receipt.created.append(name)
                elif what is Answer.RESOLVE:
                    receipt.resolved.append(name)
                elif alert.status == "firing":
                    receipt.existing.append(name)

    async def _policies(self) -> list[_Policy]:
        policies = []
        for resource in await self._kube.list_all(POLICIES, self._namespace):
            metadata = resource["metadata"]
            try:
                ref = PolicyReference(name=metadata["name"], uid=metadata["uid"])
                policies.append(_Policy(ref, read_policy(resource)))
            except ValidationError as error:
                log.error("policy cannot be read", extra={"policy": metadata["name"], "error": first_error(error)})
        return policies

    async def _targets(self, policy: PolicySpec, alert: Alert) -> list[TargetReference]:
        query = target_query(policy.target, alert.labels)
        found: list[Resource] = []
        watched = query.namespace in self._target_namespaces
        if isinstance(query, ByName):
            if watched and query.name:
                resource = await self._kube.get(FLINK_DEPLOYMENTS, query.namespace, query.name)
                found = [resource] if resource else []
        elif watched and query.group:
            found = [
                resource
                for resource in await self._kube.list_all(FLINK_DEPLOYMENTS, query.namespace)
                if query.group in consumer_groups(resource["metadata"].get("annotations") or {})
            ]
        # An alert that finds no target still gets its record, so that somebody sees why nothing happened.
        return [
            TargetReference(namespace=r["metadata"]["namespace"], name=r["metadata"]["name"], uid=r["metadata"]["uid"])
            for r in found
        ] or [missing_target(query)]
