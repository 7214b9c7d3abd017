"""Guards on what the action needs: room to scale, a checkpoint to start from."""

from remediator.api.base import JSON_TEXT_LIMIT, format_duration
from remediator.api.policy import ActionType, Restore, Strategy
from remediator.api.reasons import Reason
from remediator.api.remediation import NAMES_LIMIT, Method
from remediator.core.decision import Refuse
from remediator.core.guards.base import Objection, found, guard, wait
from remediator.core.planner import make_plan
from remediator.core.restore import LAST_STATE
from remediator.core.scale import (
    current_parallelism,
    following_vertices,
    too_small,
    why_not_in_place,
)
from remediator.core.sizing import desired, sized
from remediator.core.snapshot import Snapshot


@guard(Reason.JOB_NOT_FAILED)
def failed_if_asked(s: Snapshot) -> Objection | None:
    """A restore that is meant for failed jobs leaves alone what Flink still brings back by itself."""
    target = found(s)
    if not _restore(s).only_if_failed or target.failed:
        return None
    return wait(
        s,
        Reason.JOB_NOT_FAILED,
        f"The job is {target.job_state or 'not known'}, not FAILED (restore.onlyIfFailed): Flink brings it back by "
        "itself, or lacks something that a restore does not give it, such as room for its TaskManagers.",
    )


@guard(Reason.JOB_MANAGER_UNREACHABLE)
def job_manager_answers(s: Snapshot) -> Objection | None:
    """What cannot be looked at cannot be verified either; and nobody knows whether there is a checkpoint."""
    if found(s).asks_for_manual_restore:
        return None
    if s.job is None:
        return wait(
            s,
            Reason.JOB_MANAGER_UNREACHABLE,
            "JobManager REST does not answer: nothing could be verified. Look at the JobManager's pod, and whether a "
            "NetworkPolicy keeps the controller from its port.",
        )
    # Of one that has failed, Flink's operator has seen what there was; JobManager REST tells no more (FLINK-33872).
    if s.job.latest is None and not s.job.checkpoints_known and not found(s).failed:
        return wait(
            s,
            Reason.JOB_MANAGER_UNREACHABLE,
            f"JobManager REST has no checkpoint statistics of the job, which is {s.job.state}: whether there is a "
            "checkpoint to start from is not known.",
        )
    return None


@guard(Reason.ALREADY_AT_MAXIMUM, Reason.SIZE_SUFFICES)
def room_to_scale(s: Snapshot) -> Objection | None:
    """There is room left to scale."""
    if s.action.scale is None:
        return None
    current = current_parallelism(found(s), s.job)
    if desired(s.action.scale, current, s.diagnosis) <= current:
        step = sized(s.action.scale, current, s.diagnosis)
        if step is not None and step.parallelism <= current:
            return wait(s, Reason.SIZE_SUFFICES, f"The job has parallelism {current}, which will do. {step.arithmetic}")
        return Refuse(
            Reason.ALREADY_AT_MAXIMUM,
            f"The job has parallelism {current} and the policy goes no further: look for another cause, or raise "
            "scale.max.",
        )
    return None


@guard(Reason.NO_VERTEX_FOLLOWS)
def some_vertex_follows(s: Snapshot) -> Objection | None:
    """A part of the job runs at its parallelism, so that a change of it changes something."""
    if s.action.scale is None or s.job is None or not s.job.vertices or following_vertices(found(s), s.job):
        return None
    running = ", ".join(sorted({str(v.parallelism) for v in s.job.vertices}))
    return Refuse(
        Reason.NO_VERTEX_FOLLOWS,
        f"No vertex runs at the job's parallelism {current_parallelism(found(s), s.job)} but at {running}: the job "
        "lacks slots for what it has already, or every operator sets a parallelism of its own.",
    )


@guard(Reason.IN_PLACE_NOT_POSSIBLE)
def in_place_possible(s: Snapshot) -> Objection | None:
    """The running job can be rescaled, where the policy wants nothing else."""
    if s.action.scale is None or s.action.scale.strategy is not Strategy.IN_PLACE:
        return None
    obstacle = why_not_in_place(found(s), s.job)
    if obstacle:
        return Refuse(
            Reason.IN_PLACE_NOT_POSSIBLE,
            f"Cannot rescale in place: {obstacle}. Set scale.strategy to Auto to allow a redeploy.",
        )
    return None


@guard(Reason.MAX_PARALLELISM_EXCEEDED)
def parallelism_fits(s: Snapshot) -> Objection | None:
    """No part of the job has a maximum below the parallelism that is asked for; Flink cannot change it with state."""
    if s.action.scale is None:
        return None
    after = desired(s.action.scale, current_parallelism(found(s), s.job), s.diagnosis)
    limits = too_small(found(s), s.job, after)
    if limits:
        return Refuse(
            Reason.MAX_PARALLELISM_EXCEEDED,
            f"The maximum parallelism of {limits} is below {after}, and cannot change while the job keeps its state: "
            "lower scale.max.",
        )
    return None


@guard(Reason.MANUAL_RESTORE_REQUIRED, Reason.NO_COMPLETED_CHECKPOINT, Reason.CHECKPOINT_TOO_OLD)
def checkpoint_fits(s: Snapshot) -> Objection | None:
    """A job that takes checkpoints has one to start from, and a restore does not go back too far."""
    restores, latest = s.action.type is ActionType.RESTORE, s.job.latest if s.job else None
    if found(s).asks_for_manual_restore:
        if not (restores and _restore(s).allow_savepoint_redeploy):
            return _manual_restore(s, "the policy does not allow it from a path (restore.allowSavepointRedeploy)")
        if s.checkpoint_with_path is None:
            return _manual_restore(s, "no path of a checkpoint was confirmed by JobManager REST")
    elif latest is None and s.job is not None and s.job.checkpoints_known:
        if s.job.checkpointing:
            return Refuse(
                Reason.NO_COMPLETED_CHECKPOINT,
                "The job has never completed a checkpoint, so there is no state to start from: "
                "find out why, then act by hand.",
            )
        if s.action.type is not ActionType.SCALE:
            return Refuse(
                Reason.NO_COMPLETED_CHECKPOINT,
                "The job takes no checkpoints, so there is no state to start from: act by hand.",
            )
    limit = _restore(s).max_checkpoint_age
    if restores and latest is not None and latest.at is not None and s.now - latest.at > limit:
        age = format_duration(s.now - latest.at)
        return Refuse(
            Reason.CHECKPOINT_TOO_OLD,
            f"Checkpoint {latest.id} is {age} old, {format_duration(limit)} allowed (restore.maxCheckpointAge): decide "
            "yourself whether everything since may be processed again.",
        )
    return None


@guard(Reason.PLAN_TOO_LARGE)
def plan_fits(s: Snapshot) -> Objection | None:
    """The plan can be recorded: what is not written down before it is done is not done."""
    count = len(following_vertices(found(s), s.job)) if s.action.scale else 0
    plan = make_plan(s) if count <= NAMES_LIMIT else None
    if plan is not None and max(len(plan.patch), len(plan.inverse)) <= JSON_TEXT_LIMIT:
        return None
    return Refuse(
        Reason.PLAN_TOO_LARGE,
        f"The plan for {count:,} vertices does not fit into a record, which holds {NAMES_LIMIT:,} and a patch of "
        f"{JSON_TEXT_LIMIT:,} characters: scale the job yourself.",
    )


@guard(Reason.NO_RESTART_STRATEGY)
def outlives_its_shutdown(s: Snapshot) -> Objection | None:
    """A running job that is to start from its last state still has that when its cluster is shut down.

    Before 1.8, Flink's operator ended TaskManagers while the JobManager still watched (FLINK-34524). A job that does
    not start again after failures is then failed for good, and Flink removes what it could start from.
    """
    target, method = found(s), make_plan(s).method
    from_last_state = method is Method.LAST_STATE or (method is Method.REDEPLOY and target.upgrade_mode == LAST_STATE)
    if not from_last_state or target.failed or target.starts_again_after_failures or not target.before_operator_1_8:
        return None
    return Refuse(
        Reason.NO_RESTART_STRATEGY,
        "The job's restart-strategy is none: Flink's operator before 1.8 would let it fail for good while it shuts it "
        "down, and lose its state. Set a restart strategy and, in the same change, job.upgradeMode savepoint; or "
        "upgrade the operator.",
    )


def _manual_restore(s: Snapshot, why: str) -> Refuse:
    return Refuse(
        Reason.MANUAL_RESTORE_REQUIRED,
        f"Flink's operator asks for a manual restore, and {why}: set job.initialSavepointPath and "
        f"job.savepointRedeployNonce. {found(s).told}",
    )


def _restore(s: Snapshot) -> Restore:
    return s.action.restore or Restore()
