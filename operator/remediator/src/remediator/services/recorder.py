"""Writes what happened where people look: status, Events, metrics and the log."""

import logging
from dataclasses import replace

from remediator.adapters.kube import REMEDIATIONS, Kube
from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import RemediationStatus
from remediator.services.events import Events
from remediator.services.records import Records
from remediator.services.resources import Remediation, dump
from remediator.telemetry import metrics

log = logging.getLogger(__name__)


class Recorder:
    """Writes the status first; the rest follows from it, and may be late or fail without harm."""

    def __init__(self, kube: Kube, records: Records, events: Events) -> None:
        self._kube = kube
        self._records = records
        self._events = events

    async def record(self, remediation: Remediation, status: RemediationStatus) -> Remediation:
        """Write a new status at the version that was read; returns what the API server has now.

        Raises Conflict when it has changed since.
        """
        resource = {**remediation.resource, "status": dump(status)}
        resource = await self._kube.replace_status(REMEDIATIONS, remediation.namespace, remediation.name, resource)
        self._records.take(resource)
        _count_findings(remediation, status)
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
        self._events.add(remediation, status)
        return written

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


def _count_findings(remediation: Remediation, status: RemediationStatus) -> None:
    """Count what is found for the first time. The remediation's own status has the new diagnosis already; its resource
    still has the one before."""
    written = (remediation.resource.get("status") or {}).get("diagnosis") or {}
    known = {finding["type"] for finding in written.get("findings", ())}
    found = {finding.type for finding in status.diagnosis.findings} if status.diagnosis else set()
    for kind in found - known:
        metrics.FINDINGS.labels(kind).inc()


def _shown(status: RemediationStatus) -> tuple[object, ...]:
    """What makes a transition when it changes; who is asked about another plan shall hear of it."""
    return status.phase, status.reason, status.step, status.proposal
