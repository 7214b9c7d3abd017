"""Guards that limit how often and how widely is acted."""

from remediator.api.base import format_duration
from remediator.api.reasons import Reason
from remediator.core.decision import Refuse, Wait
from remediator.core.guards.base import Objection, guard, wait
from remediator.core.snapshot import Snapshot


@guard(Reason.TARGET_BUSY)
def not_busy(s: Snapshot) -> Objection | None:
    """One remediation in flight per target."""
    busy = sorted(x.name for x in s.target_siblings if x.actions and not x.phase.terminal)
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


@guard(Reason.STORM)
def no_storm(s: Snapshot) -> Objection | None:
    """Many targets at once are a problem of the platform."""
    storm = s.policy.guards.storm
    if storm is None:
        return None
    recent = {
        (x.target.namespace, x.target.name) for x in s.siblings if x.created > s.now - storm.per and x.target.uid
    } | {(s.target_ref.namespace, s.target_ref.name)}
    if len(recent) > storm.max_targets:
        return Refuse(
            Reason.STORM,
            f"{len(recent)} FlinkDeployments in trouble within {format_duration(storm.per)}, {storm.max_targets} "
            "allowed (guards.storm): look at what they share, such as Kafka, nodes or storage.",
        )
    return None
