"""What a person asks of a FlinkRemediation by an annotation: to agree, to try again, to stop."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from remediator.api.names import APPROVAL_ANNOTATION, CANCEL_ANNOTATION, RETRY_ANNOTATION
from remediator.api.reasons import Phase
from remediator.api.remediation import (
    INTERVENTION_LENGTH,
    INTERVENTIONS_LIMIT,
    Intervention,
    InterventionKind,
    RemediationStatus,
)
from remediator.core.ownership import annotation_manager, is_ours

RETRYABLE = frozenset({Phase.REFUSED, Phase.FAILED, Phase.INEFFECTIVE, Phase.CANCELLED})
"""From these a person may start a remediation again."""

_ANNOTATIONS = {
    InterventionKind.APPROVAL: APPROVAL_ANNOTATION,
    InterventionKind.RETRY: RETRY_ANNOTATION,
    InterventionKind.CANCEL: CANCEL_ANNOTATION,
}


def is_new(kind: InterventionKind, annotations: Mapping[str, str], heeded: Iterable[tuple[str, str]]) -> bool:
    """Tell whether an annotation says what was not heeded yet; ``heeded``: kinds and values so far."""
    value = annotations.get(_ANNOTATIONS[kind])
    return value is not None and (str(kind), value[:INTERVENTION_LENGTH]) not in heeded


def asked(
    kind: InterventionKind, metadata: Mapping[str, Any], status: RemediationStatus, now: datetime
) -> Intervention | None:
    """Return what a person asks for and was not heeded yet; each value counts once, and what we wrote does not."""
    annotations = metadata.get("annotations") or {}
    if not is_new(kind, annotations, [(str(i.kind), i.value) for i in status.interventions]):
        return None
    manager = annotation_manager(metadata.get("managedFields") or (), _ANNOTATIONS[kind])
    if is_ours(manager):
        return None
    value = annotations[_ANNOTATIONS[kind]][:INTERVENTION_LENGTH]
    return Intervention(kind=kind, value=value, manager=manager[:128], time=now)


def heeded(status: RemediationStatus, intervention: Intervention | None) -> tuple[Intervention, ...]:
    """Return the interventions of a status with one more."""
    if intervention is None:
        return status.interventions
    return (*status.interventions, intervention)[-INTERVENTIONS_LIMIT:]


def told(intervention: Intervention) -> str:
    """Say who asked, and what reason was given."""
    who = intervention.manager or "an unknown field manager"
    return f"{who} ({intervention.value})" if intervention.value else who
