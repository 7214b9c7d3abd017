"""What comes of an action in the simulation: history does not tell, so that it is assumed, one way or the other."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.api.policy import PolicySpec
from remediator.api.remediation import Plan


@dataclass(frozen=True)
class Assumed:
    """What is assumed of all actions."""

    helps: bool = True
    """Whether the alert ends because of them; else it ends when it did in history."""
    takes: timedelta = timedelta(minutes=2)
    """How long until the job runs as planned."""
    recovers: timedelta = timedelta(minutes=5)
    """With ``helps``: how long after that the alert ends."""


@dataclass(frozen=True)
class Expected:
    """What will come of one action."""

    at: datetime
    """When that is seen."""
    helped: bool
    """Whether it then counts as verified."""
    alert_ends: datetime | None = None
    """When the alert ends because of it; None: not because of it."""


def expect(assumed: Assumed, policy: PolicySpec, plan: Plan, now: datetime, alert_ends: datetime | None) -> Expected:
    """Say what comes of an action that is begun now, about an alert that in history ends at a moment, or not in the
    range.

    As in a cluster, an action is verified when the job runs as planned and the policy's query, if it has one, has held
    for ``verify.for``; the query holds when the alert is over, or is about to be.
    """
    if assumed.takes >= plan.timeout:
        return Expected(now + plan.timeout, helped=False)
    running, verify = now + assumed.takes, policy.verify
    hold_for = verify.hold_for if verify.query is not None else timedelta(0)
    if assumed.helps:
        holds = running + min(assumed.recovers, verify.timeout) if verify.query is not None else running
        return Expected(holds + hold_for, helped=True, alert_ends=running + assumed.recovers)
    if verify.query is None:
        return Expected(running, helped=True)
    if alert_ends is not None and alert_ends <= running + verify.timeout:
        return Expected(max(running, alert_ends) + hold_for, helped=True)
    return Expected(running + verify.timeout + hold_for, helped=False)
