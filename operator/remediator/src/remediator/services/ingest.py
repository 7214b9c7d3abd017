"""Turns a webhook notification into FlinkRemediations. Nothing is acknowledged that is not in the API server."""

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from remediator.adapters.kube import FLINK_DEPLOYMENTS, POLICIES, REMEDIATIONS, AlreadyExists, Kube, KubeError, Resource
from remediator.api.alertmanager import Alert, Webhook
from remediator.api.names import API_VERSION, POLICY_LABEL, RESOLVED_ANNOTATION, TARGET_LABEL
from remediator.api.policy import PolicySpec
from remediator.api.reasons import Phase
from remediator.api.remediation import PolicyReference, RemediationSpec, TargetReference
from remediator.core.flinkdeployment import parse
from remediator.core.matching import ByName, first_mismatch, is_target, target_query
from remediator.core.naming import remediation_name, target_hash
from remediator.services.resources import alert_reference, dump, missing_target, read_policy

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
    name: str
    uid: str
    spec: PolicySpec


class Ingest:
    """Creates FlinkRemediations in ``namespace``; looks for targets in ``target_namespaces`` only."""

    def __init__(self, kube: Kube, namespace: str, target_namespaces: Collection[str]) -> None:
        self._kube = kube
        self._namespace = namespace
        self._target_namespaces = frozenset(target_namespaces)

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
                receipt.invalid.append(f"alerts[{position}]: {_first_error(error)}")
                continue
            if alert.labels.get("alertname") == WATCHDOG:
                receipt.watchdog |= alert.status == "firing"
                continue
            matching = [policy for policy in policies if first_mismatch(policy.spec.match, alert.labels) is None]
            if not matching:
                receipt.unmatched += 1
            try:
                for policy in matching:
                    for target in await self._targets(policy.spec, alert):
                        await self._record(policy, alert, target, webhook.group_key, receipt)
            except KubeError as error:
                # The other alerts of the group get their chance now; all of them get another by the retry.
                log.error("alert not recorded", extra={"alert": alert.labels, "error": str(error)})
                failure = error
        if failure is not None:
            raise failure
        return receipt

    async def resolve_all_but(self, fingerprints: Collection[str]) -> list[str]:
        """Mark as resolved what is recorded as firing, is not in flight and has another fingerprint."""
        marked = []
        for resource in await self._kube.list_all(REMEDIATIONS, self._namespace):
            phase = Phase((resource.get("status") or {}).get("phase", Phase.PENDING))
            gone = resource["spec"]["alert"]["fingerprint"] not in fingerprints
            if gone and phase not in (Phase.EXECUTING, Phase.VERIFYING):
                name = resource["metadata"]["name"]
                if await self._mark_resolved(name, datetime.now(UTC), resource):
                    marked.append(name)
        return marked

    async def _policies(self) -> list[_Policy]:
        policies = []
        for resource in await self._kube.list_all(POLICIES, self._namespace):
            metadata = resource["metadata"]
            try:
                policies.append(_Policy(metadata["name"], metadata["uid"], read_policy(resource)))
            except ValidationError as error:
                log.error("policy cannot be read", extra={"policy": metadata["name"], "error": _first_error(error)})
        return policies

    async def _targets(self, policy: PolicySpec, alert: Alert) -> list[TargetReference]:
        query = target_query(policy.target, alert.labels)
        found: list[Resource] = []
        watched = query.namespace in self._target_namespaces
        if isinstance(query, ByName):
            named = query.name
            if watched and named:
                resource = await self._kube.get(FLINK_DEPLOYMENTS, query.namespace, named)
                found = [resource] if resource else []
        else:
            named = query.group
            if watched and named:
                found = [
                    resource
                    for resource in await self._kube.list_all(FLINK_DEPLOYMENTS, query.namespace)
                    if is_target(query, parse(resource))
                ]
        # An alert that finds no target still gets its record, so that somebody sees why nothing happened.
        return [
            TargetReference(namespace=r["metadata"]["namespace"], name=r["metadata"]["name"], uid=r["metadata"]["uid"])
            for r in found
        ] or [missing_target(query)]

    async def _record(
        self, policy: _Policy, alert: Alert, target: TargetReference, group_key: str, receipt: Receipt
    ) -> None:
        alertname = alert.labels.get("alertname", "")
        name = remediation_name(alertname, policy.uid, target, alert.fingerprint, alert.starts_at)
        if alert.status == "resolved":
            if await self._mark_resolved(name, alert.ends_at or datetime.now(UTC)):
                receipt.resolved.append(name)
            return
        spec = RemediationSpec(
            policy_ref=PolicyReference(name=policy.name, uid=policy.uid),
            target=target,
            alert=alert_reference(alert, group_key),
        )
        labels = {TARGET_LABEL: target_hash(target), POLICY_LABEL: policy.name[:63].rstrip("-.")}
        try:
            await self._kube.create(REMEDIATIONS, self._namespace, _resource(name, self._namespace, labels, spec))
        except AlreadyExists:
            receipt.existing.append(name)
        else:
            receipt.created.append(name)
            log.info("remediation created", extra={"remediation": name, "policy": policy.name, "target": target.name})

    async def _mark_resolved(self, name: str, ended: datetime, resource: Resource | None = None) -> bool:
        resource = resource or await self._kube.get(REMEDIATIONS, self._namespace, name)
        if resource is None or RESOLVED_ANNOTATION in (resource["metadata"].get("annotations") or {}):
            return False
        annotation = {RESOLVED_ANNOTATION: ended.astimezone(UTC).isoformat(timespec="seconds")}
        await self._kube.merge_patch(REMEDIATIONS, self._namespace, name, {"metadata": {"annotations": annotation}})
        return True


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]


def _resource(name: str, namespace: str, labels: dict[str, str], spec: RemediationSpec) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "FlinkRemediation",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": dump(spec),
    }
