"""Judges whether a change that was made has taken effect. A spec that says 4 is no proof that 4 runs."""

from dataclasses import dataclass
from datetime import datetime

from remediator.api.policy import PolicySpec
from remediator.api.reasons import Reason
from remediator.api.remediation import Measurement, Plan, Times
from remediator.core.flinkdeployment import FlinkDeployment
from remediator.core.scale import current_parallelism
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
class Overridden:
    """Somebody else has changed what the plan had set, or the target is gone."""

    reason: Reason
    message: str
    times: Times


Verdict = NotYet | Verified | Ineffective | Overridden


def judge(policy: PolicySpec, plan: Plan, times: Times, seen: Observation) -> Verdict:
    """Compare what is seen with the plan; ``times.patched`` is when the patch was accepted."""
    if times.patched is None:
        raise ValueError("a plan that was not patched cannot be verified")
    if seen.target is None:
        return Overridden(Reason.TARGET_DELETED, "The FlinkDeployment was deleted meanwhile.", times)
    asked = current_parallelism(seen.target)
    if asked != plan.parallelism_after:
        message = f"The spec asks for {asked} again, not {plan.parallelism_after}: somebody took the change back."
        return Overridden(Reason.CHANGED_BY_OTHERS, message, times)
    if "ROLLED_BACK" in (seen.target.lifecycle_state, seen.target.reconciliation_state):
        return Ineffective(
            Reason.ROLLED_BACK, f"Flink's operator rolled the change back. {seen.target.error}".strip(), times
        )

    obstacle = _obstacle(plan, times.patched, seen)
    if times.running is None and obstacle is not None:
        reason, message = obstacle
        timeout = policy.actions[0].timeout
        if seen.now - times.patched >= timeout:
            return Ineffective(
                Reason.VERIFICATION_TIMEOUT, f"Not running as planned within {timeout}: {message}", times
            )
        return NotYet(reason, message, times)
    running = times.running or seen.now
    times = times.model_copy(update={"running": running})
    return _judge_query(policy, plan, times, running, seen)


def _judge_query(policy: PolicySpec, plan: Plan, times: Times, running: datetime, seen: Observation) -> Verdict:
    verify = policy.verify
    done = f"Runs at parallelism {plan.parallelism_after}"
    if verify.query is None:
        return Verified(f"{done}.", times)
    if seen.query_holds:
        since = times.holding_since or seen.now
        times = times.model_copy(update={"holding_since": since})
        if seen.now - since >= verify.hold_for:
            return Verified(f"{done}; the query has held for {seen.now - since}.", times)
        return NotYet(Reason.WAITING_FOR_QUERY, f"{done}; the query holds, not yet for {verify.hold_for}.", times)
    if seen.query_holds is False:
        times = times.model_copy(update={"holding_since": None})
    if seen.now - running >= verify.timeout + verify.hold_for:
        return Ineffective(
            Reason.VERIFICATION_TIMEOUT, f"{done}, but the query did not hold within {verify.timeout}.", times
        )
    trouble = "Prometheus does not answer" if seen.query_holds is None else "the query does not hold yet"
    return NotYet(Reason.WAITING_FOR_QUERY, f"{done}; {trouble}.", times)


def measure(plan: Plan, job: Job | None, query_value: float | None) -> Measurement:
    """Return what is recorded of a job: the lowest parallelism among the planned vertices."""
    if job is None:
        return Measurement(query_value=query_value)
    return Measurement(
        parallelism=_running_parallelism(plan, job),
        checkpoint=job.completed_checkpoint,
        query_value=query_value,
    )


def _running_parallelism(plan: Plan, job: Job) -> int | None:
    planned = [v for v in job.vertices if v.id in plan.vertices]
    if planned:
        return min(v.parallelism for v in planned)
    # The JobManager gave no vertices when the plan was made, or the job's graph has changed since.
    return max((v.parallelism for v in job.vertices), default=None)


def _obstacle(plan: Plan, patched: datetime, seen: Observation) -> tuple[Reason, str] | None:
    target, job = seen.target, seen.job
    assert target is not None
    if not target.caught_up:
        return Reason.WAITING_FOR_OPERATOR, "Flink's operator has not looked at the change yet."
    if target.lifecycle_state != "STABLE":
        return (
            Reason.WAITING_FOR_OPERATOR,
            f"Lifecycle state {target.lifecycle_state or 'unknown'}. {target.error}".strip(),
        )
    if job is None:
        return Reason.WAITING_FOR_JOB, "The JobManager does not answer."
    if job.state != "RUNNING" or any(v.status != "RUNNING" for v in job.vertices):
        return Reason.WAITING_FOR_JOB, f"The job is {job.state}, not all of its vertices run."
    parallelism = _running_parallelism(plan, job)
    if parallelism != plan.parallelism_after:
        return (
            Reason.WAITING_FOR_PARALLELISM,
            f"The job runs at {parallelism}, not yet at {plan.parallelism_after}.",
        )
    if job.checkpointing and (job.completed_at is None or job.completed_at <= patched):
        return Reason.WAITING_FOR_CHECKPOINT, "No checkpoint has been completed since the patch."
    return None
