"""Guards that limit how often and how widely is acted."""

from collections import Counter, deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from remediator.api.base import format_duration
from remediator.api.reasons import Reason
from remediator.core.decision import Refuse, Wait
from remediator.core.guards.approval import answer, how_to_answer
from remediator.core.guards.base import LOOK_AGAIN, Objection, guard, wait
from remediator.core.planner import make_plan
from remediator.core.record import describe
from remediator.core.snapshot import Snapshot

SETTLE: Final = timedelta(seconds=3)
"""What one cause sets off arrives within seconds: alerts of one rule begin together, and Alertmanager sends their
groups side by side. So long the first waits for the others; longer would only delay the remedy of a single job."""


@guard(Reason.TARGET_BUSY)
def not_busy(s: Snapshot) -> Objection | None:
    """One remediation in flight per target."""
    busy = sorted(x.name for x in s.target_siblings if x.actions and not x.phase.terminal and not x.deleting)
    if busy:
        return wait(s, Reason.TARGET_BUSY, f"{busy[0]} is in flight on the same FlinkDeployment; it goes first.")
    return None


@guard(Reason.COOLDOWN)
def cooled_down(s: Snapshot) -> Objection | None:
    """The last remediation of this target had time to show its effect."""
    finished = [x.finished for x in s.target_siblings if x.actions and x.finished is not None]
    if not finished:
        return None
    until = max(finished) + s.policy.guards.cooldown
    if s.now < until:
        return Wait(
            Reason.COOLDOWN,
            f"The last remediation of the same FlinkDeployment ended at {max(finished):%H:%M:%S} UTC; looking again at "
            f"{until:%H:%M:%S} (guards.cooldown).",
            until,
        )
    return None


@guard(Reason.BUDGET_EXHAUSTED)
def within_budget(s: Snapshot) -> Objection | None:
    """Not more actions on one target than the policy allows; the rungs of this ladder count too."""
    begun = [*s.progress.actions, *(moment for x in s.target_siblings for moment in x.actions)]
    for entry in s.policy.guards.budget:
        used = sum(moment > s.now - entry.per for moment in begun)
        if used >= entry.max:
            return Refuse(
                Reason.BUDGET_EXHAUSTED,
                f"{used} actions in the last {format_duration(entry.per)}, {entry.max} allowed (guards.budget): the "
                "remedy does not hold, look for the cause.",
            )
    return None


@guard(Reason.SETTLING, Reason.STORM)
def no_storm(s: Snapshot) -> Objection | None:
    """Many targets at once are a problem of the platform: nobody acts while their alerts fire, unless a person agrees.

    A storm is judged by what fires and when it began, so it is one for the first of its records as for the last.
    """
    storm = s.policy.guards.storm
    if storm is None:
        return None
    if s.created is not None and not s.progress.actions and s.now < s.created + SETTLE:
        seconds = int(SETTLE.total_seconds())
        return Wait(
            Reason.SETTLING,
            f"It looks for {seconds} s whether other FlinkDeployments are in trouble, too (guards.storm).",
            s.created + SETTLE,
        )
    fires = _fires(s)
    if len(fires) <= storm.max_targets:
        return None
    count = most_at_once(fires, storm.per, s.now - s.policy.guards.max_alert_age)
    if count <= storm.max_targets:
        return None
    plan = make_plan(s)
    given = answer(s, plan)
    if given.approved:
        return None
    return Wait(
        Reason.STORM,
        f"{count} FlinkDeployments in trouble, whose alerts began within {format_duration(storm.per)}, "
        f"{storm.max_targets} allowed (guards.storm): look at what they share, such as Kafka, nodes or storage. "
        f"It waits until fewer alerts fire, or {describe(plan)} is approved: {how_to_answer(s, plan)}{given.hint}",
        s.now + LOOK_AGAIN,
        plan.id,
    )


def _fires(s: Snapshot) -> list[tuple[datetime, tuple[str, str]]]:
    """Return the alerts that fire: when each began, and its target's namespace and name."""
    own = (s.alert.starts_at, (s.target_ref.namespace, s.target_ref.name))
    others = [
        (x.starts_at or x.created, (x.target.namespace, x.target.name))
        for x in s.siblings
        if x.target.uid and not x.resolved
    ]
    return [own, *others]


def most_at_once(fires: Iterable[tuple[datetime, tuple[str, str]]], per: timedelta, oldest: datetime) -> int:
    """Return how many targets at most have alerts that fire and began within one period of this length; of alerts that
    began before ``oldest`` none counts. An alert that fires is when it began, and its target's namespace and name."""
    begun = sorted(fire for fire in fires if fire[0] >= oldest)
    window: deque[tuple[datetime, tuple[str, str]]] = deque()
    targets: Counter[tuple[str, str]] = Counter()
    most = 0
    for start, target in begun:
        window.append((start, target))
        targets[target] += 1
        while window[0][0] < start - per:
            _, gone = window.popleft()
            targets[gone] -= 1
            if not targets[gone]:
                del targets[gone]
        most = max(most, len(targets))
    return most
