"""Guards on the alert and on the policy that answers it."""

from remediator.api.base import format_duration
from remediator.api.reasons import Reason
from remediator.core.decision import Cancel, Refuse
from remediator.core.guards.base import Objection, wait
from remediator.core.snapshot import Snapshot


def alert_resolved(s: Snapshot) -> Objection | None:
    """An alert that is over needs no remedy."""
    if s.resolved:
        return Cancel(Reason.ALERT_RESOLVED, "The alert was resolved before anything was done.")
    return None


def paused(s: Snapshot) -> Objection | None:
    """Someone asked for a pause, by name."""
    if s.policy.guards.pause_requests:
        names = ", ".join(s.policy.guards.pause_requests)
        return wait(s, Reason.PAUSED, f"The policy is paused: {names}. Remove the entry from guards.pauseRequests.")
    return None


def alert_fresh(s: Snapshot) -> Objection | None:
    """What would have helped at the alert's start may not fit a day later."""
    limit = s.policy.guards.max_alert_age
    if s.now - s.alert.starts_at > limit:
        return Refuse(
            Reason.ALERT_STALE,
            f"The alert began more than {format_duration(limit)} ago (guards.maxAlertAge); look at the job yourself.",
        )
    return None
