"""Judges whether a change that was made has taken effect. A spec that says 4 is no proof that 4 runs."""

from dataclasses import dataclass
from datetime import datetime

from remediator.api.base import format_duration
from remediator.api.names import PLAN_ANNOTATION
from remediator.api.policy import ActionType, PolicySpec, Verify
from remediator.api.reasons import Reason
from remediator.api.remediation import Measurement, Method, Plan, Times
from remediator.core.flinkdeployment import FlinkDeployment
from remediator.core.ownership import last_writer
from remediator.core.patch import inverse_id
from remediator.core.scale import still_asks
from remediator.core.snapshot import Job


@dataclass(frozen=True)
class Observation:
    """What is seen of a target after its patch."""

    now: datetime
    target: FlinkDeployment | None
    job: Job | None
    query_holds: bool | None
    """None when Prometheus does not answer, or the policy has no query."""
    query_value: float | None = None
    query_trouble: str = ""
    """What was wrong with the answer; empty where nothing was."""
    unreadable: str = ""
    """Why the target cannot be read; empty if it can, or if there is none."""


@dataclass(frozen=True)
class NotYet:
    """Not there yet; the times say how far it has come."""

    reason: Reason
    message: str
    times: Times


@dataclass(frozen=True)
class Verified:
    """The job runs as planned and the policy's query has held long enough."""

    message: str
    times: Times


@dataclass(frozen=True)
class Ineffective:
    """It did not help, and more time would not either."""

    reason: Reason
    message: str
    times: Times


@dataclass(frozen=True)
class Broken:
    """It ended in a state that neither more time nor the inverse patch would mend."""

    reason: Reason
    message: str
    times: Times


@dataclass(frozen=True)
class Overridden:
    """Somebody else has changed what the plan had set, or the target is gone."""

    reason: Reason
    message: str
    times: Times


@dataclass(frozen=True)
class TakenBack:
    """A change was taken back, and no more is to be waited for."""

    message: str


Verdict = NotYet | Verified | Ineffective | Broken | Overridden


def judge(policy: PolicySpec, plan: Plan, times: Times, seen: Observation) -> Verdict:
    """Compare what is seen with the plan; ``times.patched`` is when the patch was accepted."""
    if times.patched is None:
        raise ValueError("a plan that was not patched cannot be verified")
    if seen.unreadable:
        if times.running is None:
            return _not_running(plan, times, times.patched, seen.now, *_unreadable(seen))
        return _within(policy.verify, times, times.running, seen.now, *_unreadable(seen))
    if seen.target is None:
        return Overridden(Reason.TARGET_DELETED, "The FlinkDeployment was deleted meanwhile.", times)
    if not still_asked(plan, seen.target):
        who = last_writer(seen.target, times.patched) or "Somebody"
        message = f"{who} has taken the change back or put another in its place."
        return Overridden(Reason.CHANGED_BY_OTHERS, message, times)
    if "ROLLED_BACK" in (seen.target.lifecycle_state, seen.target.reconciliation_state):
        return Ineffective(
            Reason.ROLLED_BACK, f"Flink's operator rolled the change back. {seen.target.told}".strip(), times
        )
    # Before any other method the guards have seen that it does not ask: only then may the error be an old one.
    if seen.target.asks_for_manual_restore and (seen.target.caught_up or plan.method is not Method.SAVEPOINT_REDEPLOY):
        message = f"Flink's operator cannot restore the job by itself. {seen.target.told}"
        return Ineffective(Reason.MANUAL_RESTORE_REQUIRED, message, times)

    obstacle = _obstacle(plan, times.patched, seen)
    if times.running is None:
        if obstacle is not None:
            return _not_running(plan, times, times.patched, seen.now, *obstacle)
        broken = _lost_state(plan, seen.job)
        if broken is not None:
            return Broken(*broken, times)
        times = times.model_copy(update={"running": seen.now})
    return _judge_query(policy, plan, times, seen, obstacle)


def judge_revert(plan: Plan, reverted: datetime, seen: Observation) -> NotYet | TakenBack:
    """Compare what is seen with what was before the plan; ``reverted`` is when the inverse patch was accepted."""
    what = _taken_back(plan)
    if seen.unreadable:
        return _taken_back_in_time(plan, reverted, seen.now, what, *_unreadable(seen))
    if seen.target is None:
        return TakenBack(f"{what}; the FlinkDeployment was deleted meanwhile.")
    if seen.target.annotations.get(PLAN_ANNOTATION) != inverse_id(plan.id):
        who = last_writer(seen.target, reverted) or "Somebody"
        return TakenBack(f"{what}; {who} has changed it since.")
    observed, scale = seen.target.observed_generation, plan.action is ActionType.SCALE
    if observed is not None and observed <= plan.observed_generation:
        # The spec is again what Flink's operator has carried out, whether it is at work or down.
        what = f"{what}, before Flink's operator took it up"
        obstacle = _not_running_at(plan, plan.parallelism_before, seen.target, seen.job) if scale else None
    else:
        obstacle = _not_as_asked(plan, plan.parallelism_before, seen.target, seen.job)
    if obstacle is None:
        return TakenBack(f"{what}; the job runs so." if scale else f"{what}.")
    return _taken_back_in_time(plan, reverted, seen.now, what, *obstacle)


def _unreadable(seen: Observation) -> tuple[Reason, str]:
    return Reason.TARGET_UNREADABLE, f"The FlinkDeployment cannot be read: {seen.unreadable}."


def _taken_back_in_time(
    plan: Plan, reverted: datetime, now: datetime, what: str, reason: Reason, message: str
) -> NotYet | TakenBack:
    if now - reverted < plan.timeout:
        return NotYet(reason, f"{what}. {message}", Times(reverted=reverted))
    return TakenBack(f"{what}, which was not seen within {format_duration(plan.timeout)}: {message}")


def _taken_back(plan: Plan) -> str:
    if plan.action is ActionType.SCALE:
        return f"Taken back to parallelism {plan.parallelism_before}"
    return f"{plan.action} is not asked for any more"


def to_be_taken_back(plan: Plan, verdict: Ineffective, target: FlinkDeployment | None) -> bool:
    """Tell whether what did not help is to be taken back: a scale always, a new start only while it can be prevented.

    What Flink's operator has not taken up it would carry out at some later time, when nobody expects it.
    """
    if not plan.inverse or target is None:
        return False
    return plan.action is ActionType.SCALE or (verdict.reason is Reason.VERIFICATION_TIMEOUT and not target.caught_up)


def still_asked(plan: Plan, target: FlinkDeployment) -> bool:
    """Tell whether the target's spec still asks for what the plan had set."""
    match plan.method:
        case Method.SAVEPOINT_REDEPLOY:
            return target.savepoint_redeploy_nonce == plan.nonce
        case _ if plan.action is not ActionType.SCALE:
            return target.restart_nonce == plan.nonce
        case _:
            return still_asks(target, plan)


def _not_running(
    plan: Plan, times: Times, patched: datetime, now: datetime, reason: Reason, message: str
) -> NotYet | Ineffective:
    if now - patched < plan.timeout:
        return NotYet(reason, message, times)
    limit = format_duration(plan.timeout)
    return Ineffective(Reason.VERIFICATION_TIMEOUT, f"Not running as planned within {limit}: {message}", times)


def _lost_state(plan: Plan, job: Job | None) -> tuple[Reason, str] | None:
    # A new JobManager says what it started from; one that stayed has no reason to.
    if plan.method is Method.IN_PLACE or job is None or not job.checkpointing:
        return None
    if job.restored is None:
        message = "The job runs, but JobManager REST says that it was started from no checkpoint: state is missing."
        return Reason.STARTED_WITHOUT_STATE, f"{message} Stop it, and start it from a checkpoint by hand."
    if plan.checkpoint is not None and job.restored.id < plan.checkpoint:
        message = f"The job was started from checkpoint {job.restored.id}, though {plan.checkpoint} was there."
        return Reason.STARTED_FROM_OLDER_STATE, f"{message} It processes again what it had processed."
    return None


def _done(plan: Plan) -> str:
    if plan.action is ActionType.SCALE:
        return f"Runs at parallelism {plan.parallelism_after}"
    return "Runs again from its state"


def _judge_query(
    policy: PolicySpec, plan: Plan, times: Times, seen: Observation, obstacle: tuple[Reason, str] | None
) -> Verdict:
    verify, done, running = policy.verify, _done(plan), times.running
    assert running is not None  # the caller has set it
    if obstacle is not None:
        # It ran, and does not any more; what is only not to be seen at the moment says nothing.
        if seen.job is not None:
            times = times.model_copy(update={"holding_since": None})
        return _within(verify, times, running, seen.now, *obstacle)
    if verify.query is None:
        return Verified(f"{done}.", times)
    if seen.query_holds:
        since = times.holding_since or seen.now
        times = times.model_copy(update={"holding_since": since})
        if seen.now - since >= verify.hold_for:
            return Verified(f"{done}; the query has held for {format_duration(seen.now - since)}.", times)
        wanted = format_duration(verify.hold_for)
        return NotYet(Reason.WAITING_FOR_QUERY, f"{done}; the query holds, not yet for {wanted}.", times)
    if seen.query_holds is False:
        times = times.model_copy(update={"holding_since": None})
    trouble = "Prometheus does not answer" if seen.query_holds is None else "the query does not hold"
    told = f"{trouble} ({seen.query_trouble})" if seen.query_trouble else trouble
    return _within(verify, times, running, seen.now, Reason.WAITING_FOR_QUERY, f"{done}; {told}.")


def _within(
    verify: Verify, times: Times, running: datetime, now: datetime, reason: Reason, message: str
) -> NotYet | Ineffective:
    if now - running < verify.timeout + verify.hold_for:
        return NotYet(reason, message, times)
    limit = format_duration(verify.timeout)
    return Ineffective(Reason.VERIFICATION_TIMEOUT, f"Not verified within {limit} of running: {message}", times)


def measure(plan: Plan, job: Job | None, query_value: float | None) -> Measurement:
    """Return what is recorded of a job: the lowest parallelism among the planned vertices."""
    if job is None:
        return Measurement(query_value=query_value)
    return Measurement(
        parallelism=_running_parallelism(plan, job),
        checkpoint=job.latest.id if job.latest else None,
        checkpoint_path=job.latest.path if job.latest else "",
        query_value=query_value,
    )


def _running_parallelism(plan: Plan, job: Job) -> int | None:
    planned = [v for v in job.vertices if v.id in plan.vertices]
    if planned:
        return min(v.parallelism for v in planned)
    # The JobManager gave no vertices when the plan was made, or the job's graph has changed since.
    return max((v.parallelism for v in job.vertices), default=None)


def _obstacle(plan: Plan, patched: datetime, seen: Observation) -> tuple[Reason, str] | None:
    assert seen.target is not None
    obstacle = _not_as_asked(plan, plan.parallelism_after, seen.target, seen.job)
    if obstacle is not None or seen.job is None:
        return obstacle
    completed = seen.job.completed.at if seen.job.completed else None
    if seen.job.checkpointing and (completed is None or completed <= patched):
        return Reason.WAITING_FOR_CHECKPOINT, "No checkpoint has been completed since the patch."
    return None


def _not_as_asked(plan: Plan, wanted: int, target: FlinkDeployment, job: Job | None) -> tuple[Reason, str] | None:
    """Say what is missing until the job runs as its spec asks; None if nothing is."""
    if not target.caught_up:
        return Reason.WAITING_FOR_OPERATOR, f"Flink's operator has not taken up the change. {target.told}".strip()
    if target.lifecycle_state != "STABLE":
        return (
            Reason.WAITING_FOR_OPERATOR,
            f"Lifecycle state {target.lifecycle_state or 'unknown'}. {target.told}".strip(),
        )
    return _not_running_at(plan, wanted, target, job)


def _not_running_at(plan: Plan, wanted: int, target: FlinkDeployment, job: Job | None) -> tuple[Reason, str] | None:
    if job is None:
        return Reason.WAITING_FOR_JOB, "The JobManager does not answer."
    if not job.running:
        return Reason.WAITING_FOR_JOB, f"The job is {job.state}, not all of its vertices run."
    parallelism = _running_parallelism(plan, job)
    if plan.action is ActionType.SCALE and parallelism != wanted:
        told = f"The job runs at {parallelism}, not yet at {wanted}. {target.told}"
        return Reason.WAITING_FOR_PARALLELISM, told.strip()
    return None
