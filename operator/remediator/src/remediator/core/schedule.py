"""When a policy acts, asks or only observes: its windows, in the time zone of those who are on call.

The hours are those of a clock on the wall there: a window from 02:00 to 03:00 does not come in the night in which that
hour is left out, and comes twice in the one in which it is repeated.
"""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from remediator.api.policy import Mode, PolicySpec, Schedule, Window, WindowMode

_DAY: Final = timedelta(days=1)


def observes(policy: PolicySpec, now: datetime) -> bool:
    """Tell whether a policy only observes at a moment."""
    return policy.mode is Mode.OBSERVE or _mode(policy.guards.schedule, now) is WindowMode.OBSERVE


def asks(policy: PolicySpec, now: datetime) -> bool:
    """Tell whether a person has to agree at a moment."""
    return policy.guards.approval.required or _mode(policy.guards.schedule, now) is WindowMode.ASK


def _mode(schedule: Schedule | None, now: datetime) -> WindowMode:
    if schedule is None:
        return WindowMode.ACT
    there = now.astimezone(ZoneInfo(schedule.time_zone))
    return next((window.mode for window in schedule.windows if _holds(window, there)), schedule.otherwise)


def _holds(window: Window, there: datetime) -> bool:
    clock = f"{there:%H:%M}"
    if window.begins < window.ends:
        return window.begins <= clock < window.ends and _on(window, there)
    # Past midnight it belongs to the day on which it began.
    return (clock >= window.begins and _on(window, there)) or (clock < window.ends and _on(window, there - _DAY))


def _on(window: Window, there: datetime) -> bool:
    return not window.days or list(type(window.days[0]))[there.weekday()] in window.days
