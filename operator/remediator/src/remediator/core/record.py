"""How a status is written: the next one from the last one and what happened."""

from datetime import datetime
from typing import Any

from remediator.api.base import Condition
from remediator.api.policy import ActionType
from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import (
    ATTEMPTS_LIMIT,
    TIMELINE_LIMIT,
    Attempt,
    Plan,
    RemediationStatus,
    TimelineEntry,
)


def advance(
    status: RemediationStatus, now: datetime, phase: Phase, reason: Reason, message: str, **changes: Any
) -> RemediationStatus:
    """Return the status after a transition; ``changes`` are further fields. A transition that only repeats phase and
    reason leaves the timeline as it is."""
    updated = status.model_copy(update={**changes, "phase": phase, "reason": str(reason), "message": message[:2048]})
    if (phase, str(reason)) != (status.phase, status.reason):
        entry = TimelineEntry(time=now, phase=phase, reason=str(reason), message=message[:1024])
        updated = updated.model_copy(update={"timeline": (*status.timeline, entry)[-TIMELINE_LIMIT:]})
    if phase.terminal and phase is not status.phase:
        updated = updated.model_copy(
            update={
                "times": updated.times.model_copy(update={"finished": now}),
                "conditions": (
                    _condition("Complete", True, now, reason, message),
                    _condition("Succeeded", phase is Phase.SUCCEEDED, now, reason, message),
                ),
            }
        )
    return updated


def describe(plan: Plan) -> str:
    """Say in a few words what a plan does, for the column ACTION."""
    match plan.action:
        case ActionType.SCALE:
            return f"Scale {plan.parallelism_before} to {plan.parallelism_after}"
        case ActionType.RESTORE if plan.checkpoint is not None:
            return f"Restore checkpoint {plan.checkpoint}"
        case action:
            return str(action)


def begin_attempt(status: RemediationStatus, now: datetime, plan: Plan) -> tuple[Attempt, ...]:
    """Return the attempts with a new one for this plan."""
    attempt = Attempt(step=status.step, action=describe(plan), planned=now)
    return (*status.attempts, attempt)[-ATTEMPTS_LIMIT:]


def end_attempt(status: RemediationStatus, now: datetime, reason: Reason, message: str) -> tuple[Attempt, ...]:
    """Return the attempts with the latest one ended; one that has ended stays as it is."""
    if not status.attempts or status.attempts[-1].ended is not None:
        return status.attempts
    ended = status.attempts[-1].model_copy(update={"ended": now, "reason": str(reason), "message": message[:512]})
    return (*status.attempts[:-1], ended)


def _condition(kind: str, holds: bool, now: datetime, reason: Reason, message: str) -> Condition:
    return Condition(
        type=kind,
        status="True" if holds else "False",
        reason=str(reason),
        message=message[:1024],
        last_transition_time=now,
    )
