"""Between resources as the API server returns them and the models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from pydantic import ValidationError

from remediator.adapters.kube import Resource
from remediator.api.alertmanager import Alert
from remediator.api.base import Model, PreciseTime
from remediator.api.diagnosis import Diagnosis
from remediator.api.names import APPROVAL_ANNOTATION, ENDED_LABEL, RESOLVED_ANNOTATION, SILENCED_ANNOTATION
from remediator.api.policy import PolicySpec
from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import (
    LABELS_LIMIT,
    TEXT_LIMIT,
    AlertReference,
    Attempt,
    Intervention,
    InterventionKind,
    Measurement,
    PolicyReference,
    RemediationSpec,
    RemediationStatus,
    TargetReference,
    Times,
)
from remediator.core.guards.approval import is_denial
from remediator.core.incident import incident_hash
from remediator.core.interventions import asked, is_new
from remediator.core.matching import ByConsumerGroup, ByName, named_labels
from remediator.core.ownership import annotation_manager
from remediator.core.snapshot import Checkpoint, Progress, Sibling

_ENDED = frozenset(phase for phase in Phase if phase.terminal)


@dataclass(frozen=True)
class Remediation:
    """A FlinkRemediation: its models beside the resource they were read from."""

    resource: Resource
    spec: RemediationSpec
    status: RemediationStatus

    @property
    def namespace(self) -> str:
        """Namespace of the FlinkRemediation."""
        return str(self.resource["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """Name of the FlinkRemediation."""
        return str(self.resource["metadata"]["name"])

    @property
    def resolved(self) -> bool:
        """Whether Alertmanager has said that the alert is resolved."""
        return RESOLVED_ANNOTATION in self.annotations

    @property
    def annotations(self) -> dict[str, str]:
        """Annotations of the FlinkRemediation."""
        return self.resource["metadata"].get("annotations") or {}

    @property
    def created(self) -> datetime:
        """When the FlinkRemediation was created."""
        return datetime.fromisoformat(self.resource["metadata"]["creationTimestamp"])

    @property
    def uid(self) -> str:
        """Uid of the FlinkRemediation."""
        return str(self.resource["metadata"].get("uid") or "")

    @property
    def deleting(self) -> bool:
        """Whether it is being deleted, and only a finalizer still holds it."""
        return bool(self.resource["metadata"].get("deletionTimestamp"))

    @property
    def ended(self) -> bool:
        """Whether its label says that nobody works on it any more."""
        return ENDED_LABEL in (self.resource["metadata"].get("labels") or {})

    @property
    def silenced(self) -> str:
        """What keeps its alert from being notified; empty if nothing does."""
        return self.annotations.get(SILENCED_ANNOTATION, "")

    @property
    def incident(self) -> str:
        """Hash of policy, target and alert: records that answer the same incident have the same."""
        spec = self.spec
        return incident_hash(spec.policy_ref.uid, spec.target, spec.alert.fingerprint)

    def asked(self, kind: InterventionKind, now: datetime) -> Intervention | None:
        """Return what a person asks for by an annotation and was not heeded yet."""
        return asked(kind, self.resource["metadata"], self.status, now)

    @property
    def _approval(self) -> str:
        answer = self.annotations.get(APPROVAL_ANNOTATION, "")
        heeded = any(i.kind is InterventionKind.APPROVAL and i.value == answer for i in self.status.interventions)
        # A denial has ended it once: who tries again is not stopped by the old one.
        return "" if is_denial(answer) and heeded else answer

    @property
    def progress(self) -> Progress:
        """How far it has come, as the core sees it."""
        status = self.status
        return Progress(
            step=status.step,
            actions=_begun(status.attempts, status.times),
            checkpoint=_confirmed(status.before),
            approval=self._approval,
            approved_by=annotation_manager(self.resource["metadata"].get("managedFields") or (), APPROVAL_ANNOTATION),
            proposal=status.proposal,
            approval_requested=status.times.approval_requested,
        )


class _Attempt(Model):
    planned: PreciseTime


class _SiblingStatus(Model):
    phase: str = str(Phase.PENDING)
    attempts: tuple[_Attempt, ...] = ()
    times: Times = Times()

    @property
    def known_phase(self) -> Phase:
        """The phase; in place of one that only a newer version knows, an end if it has ended, else none."""
        try:
            return Phase(self.phase)
        except ValueError:
            return Phase.PENDING if self.times.finished is None else Phase.FAILED


class _SiblingAlert(Model):
    fingerprint: str
    starts_at: PreciseTime


class _SiblingSpec(Model):
    policy_ref: PolicyReference
    target: TargetReference
    alert: _SiblingAlert


class _Sibling(Model):
    """What decisions on others rest on."""

    spec: _SiblingSpec
    status: _SiblingStatus = _SiblingStatus()


def _begun(attempts: Sequence[Attempt | _Attempt], times: Times) -> tuple[datetime, ...]:
    begun = times.planned or times.patched
    # A record that somebody wrote by hand, for explain, may know of its times alone.
    return tuple(attempt.planned for attempt in attempts) or ((begun,) if begun else ())


def _confirmed(before: Measurement | None) -> Checkpoint | None:
    if before is None or before.checkpoint is None or not before.checkpoint_path:
        return None
    return Checkpoint(before.checkpoint, None, before.checkpoint_path)


def read_remediation(resource: Resource) -> Remediation:
    """Read a FlinkRemediation. Raises pydantic.ValidationError, which the CRD's schema makes unlikely."""
    return Remediation(
        resource,
        RemediationSpec.model_validate(resource.get("spec")),
        RemediationStatus.model_validate(resource.get("status") or {}),
    )


def with_diagnosis(remediation: Remediation, diagnosis: Diagnosis | None) -> Remediation:
    """Return the remediation with what was just seen in its status, to be written with the next change of it."""
    if diagnosis is None:
        return remediation
    return replace(remediation, status=remediation.status.model_copy(update={"diagnosis": diagnosis}))


def has_ended(metadata: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    """Tell whether nothing more happens to a FlinkRemediation by itself; one with an unknown phase has not ended."""
    return bool(metadata.get("deletionTimestamp")) or status.get("phase") in _ENDED


def needs_work(metadata: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    """Tell whether somebody has to work on a FlinkRemediation: it has not ended, its alert fires again,
    or a person wants it tried again."""
    if not has_ended(metadata, status):
        return (status.get("phase") or Phase.PENDING) in set(Phase)
    if metadata.get("deletionTimestamp"):
        return False
    if cancelled_too_early(metadata, status):
        return True
    heeded = [(str(i.get("kind")), str(i.get("value"))) for i in status.get("interventions") or ()]
    return is_new(InterventionKind.RETRY, metadata.get("annotations") or {}, heeded)


def is_reversible(status: RemediationStatus) -> bool:
    """Tell whether a FlinkRemediation ended with a scale that helped, and may still be taken back."""
    plan, times = status.plan, status.times
    if status.phase is not Phase.SUCCEEDED or plan is None or not plan.inverse or times.scaled_back is not None:
        return False
    return status.reason not in (Reason.CHANGED_BY_OTHERS, Reason.PATCH_REJECTED) and times.finished is not None


def cancelled_too_early(metadata: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    """Tell whether a FlinkRemediation was cancelled because its alert was resolved, and that was taken back since."""
    cancelled = (status.get("phase"), status.get("reason")) == (Phase.CANCELLED, Reason.ALERT_RESOLVED)
    return cancelled and RESOLVED_ANNOTATION not in (metadata.get("annotations") or {})


def in_phase_since(resource: Resource) -> tuple[dict[str, str], float]:
    """Return what the metrics tell of a FlinkRemediation, of whatever version: labels, and when it entered the phase
    that it is in, in seconds since 1970."""
    spec, status = resource.get("spec") or {}, resource.get("status") or {}
    target, alert = spec.get("target") or {}, spec.get("alert") or {}
    phase = str(status.get("phase") or Phase.PENDING)
    labels = {
        "alert": str(alert.get("name", "")),
        "target_namespace": str(target.get("namespace", "")),
        "target": str(target.get("name", "")),
        "action": str(status.get("action") or ""),
        "phase": phase,
        "reason": str(status.get("reason") or ""),
    }
    entered = resource["metadata"]["creationTimestamp"]
    for of_phase, entries in groupby(status.get("timeline") or (), key=lambda entry: entry.get("phase")):
        if of_phase == phase:
            entered = next(entries)["time"]
    return labels, datetime.fromisoformat(entered).timestamp()


def read_sibling(resource: Resource, target: TargetReference | None = None) -> Sibling:
    """Read what other remediations need to know of this one, and no more of it: what a newer version has written beside
    that changes nothing.

    What cannot be read is told by ``unreadable``; ``target`` is what it is known to be about all the same.
    """
    metadata = resource["metadata"]
    created = datetime.fromisoformat(metadata["creationTimestamp"])
    try:
        seen = _Sibling.model_validate({"spec": resource.get("spec"), "status": resource.get("status") or {}})
    except ValidationError as error:
        unknown = TargetReference(namespace="", name="")
        return Sibling(metadata["name"], target or unknown, Phase.PENDING, created, unreadable=first_error(error))
    status = seen.status
    return Sibling(
        name=metadata["name"],
        target=seen.spec.target,
        phase=status.known_phase,
        created=created,
        actions=_begun(status.attempts, status.times),
        finished=status.times.scaled_back or status.times.finished,
        starts_at=seen.spec.alert.starts_at,
        resolved=RESOLVED_ANNOTATION in (metadata.get("annotations") or {}),
        incident=incident_hash(seen.spec.policy_ref.uid, seen.spec.target, seen.spec.alert.fingerprint),
        deleting=bool(metadata.get("deletionTimestamp")),
    )


def read_policy(resource: Resource) -> PolicySpec:
    """Read a policy's spec. Raises pydantic.ValidationError for what the CRD's rules do not catch."""
    return PolicySpec.model_validate(resource.get("spec"))


def alert_reference(alert: Alert, policy: PolicySpec, group_key: str = "") -> AlertReference:
    """Return what is recorded of an alert for a policy; what the custom resource has no room for is cut off."""
    named = [label for label in ("alertname", *named_labels(policy)) if label in alert.labels]
    kept = list(dict.fromkeys([*named, *alert.labels]))[:LABELS_LIMIT]
    return AlertReference(
        name=alert.labels.get("alertname", "")[:253],
        fingerprint=alert.fingerprint[:64],
        starts_at=alert.starts_at,
        labels={label: alert.labels[label][:TEXT_LIMIT] for label in alert.labels if label in kept},
        shortened=tuple(label for label in kept if len(alert.labels[label]) > TEXT_LIMIT and len(label) <= 253),
        annotations={key: text[:TEXT_LIMIT] for key, text in list(alert.annotations.items())[:LABELS_LIMIT]},
        generator_url=alert.generator_url[:TEXT_LIMIT],
        group_key=group_key[:TEXT_LIMIT],
    )


def missing_target(query: ByName | ByConsumerGroup) -> TargetReference:
    """Return what is recorded where no FlinkDeployment was found: what the alert named."""
    named = query.name if isinstance(query, ByName) else query.group
    return TargetReference(namespace=query.namespace[:253], name=named[:253])


def dump(model: Model) -> dict[str, Any]:
    """Write a model the way the custom resource holds it; what is not set is left out."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def first_error(error: ValidationError) -> str:
    """Say where the first error is, and what it is."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]
