"""Writes what happened where people look: status, Events, metrics and the log."""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime

from remediator.adapters.kube import EVENTS, REMEDIATIONS, Kube, KubeError, Resource
from remediator.api.names import API_VERSION, FIELD_MANAGER
from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import RemediationStatus
from remediator.services.records import Records
from remediator.services.resources import Remediation, dump
from remediator.telemetry import metrics

log = logging.getLogger(__name__)

_WARNINGS = (Phase.INEFFECTIVE, Phase.FAILED, Phase.REFUSED, Phase.OVERRIDDEN)


class Recorder:
    """Writes the status first; the rest follows from it, and may be late or fail without harm."""

    def __init__(self, kube: Kube, records: Records, instance: str) -> None:
        self._kube = kube
        self._records = records
        self._instance = instance
        self._under_way: set[asyncio.Task[None]] = set()

    async def record(self, remediation: Remediation, status: RemediationStatus) -> Remediation:
        """Write a new status at the version that was read; returns what the API server has now.

        Raises Conflict when it has changed since.
        """
        resource = {**remediation.resource, "status": dump(status)}
        resource = await self._kube.replace_status(REMEDIATIONS, remediation.namespace, remediation.name, resource)
        self._records.take(resource)
        written = replace(remediation, resource=resource, status=status)
        before = remediation.status
        if _shown(status) == _shown(before):
            return written
        metrics.TRANSITIONS.labels(status.phase, status.reason).inc()
        self._measure(remediation, status)
        log.info(
            "transition",
            extra={
                "remediation": remediation.name,
                "target": f"{remediation.spec.target.namespace}/{remediation.spec.target.name}",
                "alert": remediation.spec.alert.name,
                "phase": status.phase,
                "reason": status.reason,
                "detail": status.message,
            },
        )
        task = asyncio.create_task(self._events(remediation, status))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return written

    async def written(self) -> None:
        """Wait until what follows from the statuses so far is written, too."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    def _measure(self, remediation: Remediation, status: RemediationStatus) -> None:
        times = status.times
        if times.patched is not None and remediation.status.times.patched is None:
            waited = times.patched - remediation.spec.alert.starts_at
            metrics.ALERT_TO_ACTION.observe(max(waited.total_seconds(), 0))
        before = remediation.status.attempts
        # One that came to nothing was taken off the list.
        same = before and len(before) == len(status.attempts)
        if same and before[-1].ended is None and status.attempts[-1].ended is not None:
            # A rung that did not help is counted like an end.
            taken_back = status.attempts[-1].reason == Reason.CHANGED_BY_OTHERS
            outcome = status.phase if status.phase.terminal else Phase.OVERRIDDEN if taken_back else Phase.INEFFECTIVE
            metrics.ACTIONS.labels(before[-1].action.split()[0], outcome, status.attempts[-1].reason).inc()
        if (
            status.phase is Phase.SUCCEEDED
            and remediation.status.phase is not Phase.SUCCEEDED
            and times.patched is not None
            and times.finished is not None
        ):
            metrics.ACTION_TO_RECOVERY.observe((times.finished - times.patched).total_seconds())

    async def _events(self, remediation: Remediation, status: RemediationStatus) -> None:
        spec = remediation.spec
        regarding = [_reference(API_VERSION, "FlinkRemediation", remediation.resource["metadata"])]
        if spec.target.uid:
            metadata = {"namespace": spec.target.namespace, "name": spec.target.name, "uid": spec.target.uid}
            regarding.append(_reference("flink.apache.org/v1beta1", "FlinkDeployment", metadata))
        for reference in regarding:
            event = self._event(reference, status, remediation.name)
            try:
                await self._kube.create(EVENTS, reference["namespace"], event)
            except KubeError as error:
                log.warning("event not written", extra={"remediation": remediation.name, "error": str(error)})

    def _event(self, reference: Resource, status: RemediationStatus, name: str) -> Resource:
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"generateName": f"{name}-", "namespace": reference["namespace"]},
            "eventTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "type": "Warning" if status.phase in _WARNINGS else "Normal",
            "reason": status.reason,
            "action": str(status.phase),
            "note": f"{name}: {status.message}"[:1024],
            "regarding": reference,
            "reportingController": FIELD_MANAGER,
            "reportingInstance": self._instance,
        }


def _shown(status: RemediationStatus) -> tuple[object, ...]:
    """What makes a transition when it changes; who is asked about another plan shall hear of it."""
    return status.phase, status.reason, status.step, status.proposal


def _reference(api_version: str, kind: str, metadata: Resource) -> Resource:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
