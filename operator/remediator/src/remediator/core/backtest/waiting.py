"""When a wait of the simulation is over by time alone."""

from datetime import datetime, timedelta
from typing import Final

from remediator.api.policy import PolicySpec
from remediator.api.reasons import Reason
from remediator.core import pauses
from remediator.core.backtest.records import Record
from remediator.core.decision import Wait
from remediator.core.schedule import asks, observes

_MINUTE: Final = timedelta(minutes=1)
_SECOND: Final = timedelta(seconds=1)
_NEVER: Final = timedelta(days=36_500)


def at_the_latest(record: Record, wait: Wait, now: datetime) -> datetime:
    """Return when to look again at the latest: what else ends a wait, such as the end of the alert, of a storm or of
    what is in flight on the same target, says so itself."""
    guards = record.policy.spec.guards
    stale = record.occurrence.starts_at + guards.max_alert_age + _SECOND
    moments = [stale if stale > now else now + _NEVER]
    match wait.reason:
        case Reason.COOLDOWN | Reason.SETTLING:
            moments.append(wait.until)
        case Reason.PAUSED:
            moments += [end for text in guards.pause_requests if (end := pauses.ends(text)) and end > now]
        case Reason.APPROVAL_REQUIRED if record.approval_requested is not None:
            expires = record.approval_requested + guards.approval.timeout
            moments.append(_mode_changes(record.policy.spec, now, expires))
        case _:
            pass
    return min(moments)


def _mode_changes(policy: PolicySpec, now: datetime, limit: datetime) -> datetime:
    """Return the first full minute at which a policy's schedule has another mode, at the latest a moment."""
    if policy.guards.schedule is None:
        return limit
    mode = (observes(policy, now), asks(policy, now))
    moment = now.replace(second=0, microsecond=0) + _MINUTE
    while moment < limit and mode == (observes(policy, moment), asks(policy, moment)):
        moment += _MINUTE
    return min(moment, limit)
