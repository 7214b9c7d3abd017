"""Guards on what the action needs: room to scale, a checkpoint to start from."""

from remediator.api.base import format_duration
from remediator.api.policy import ActionType, Restore
from remediator.api.reasons import Reason
from remediator.core.decision import Refuse
from remediator.core.guards.base import Objection, found, wait
from remediator.core.scale import current_parallelism, desired_parallelism
from remediator.core.snapshot import Job, Snapshot


def room_to_scale(s: Snapshot) -> Objection | None:
    """There is room left to scale."""
    if s.action.scale is None:
        return None
    current = current_parallelism(found(s))
    if desired_parallelism(s.action.scale, current) <= current:
        return Refuse(
            Reason.ALREADY_AT_MAXIMUM,
            f"The job has parallelism {current} and the policy goes no further; look for another cause.",
        )
    return None


def checkpoint_known(s: Snapshot) -> Objection | None:
    """A job that takes checkpoints has one to start from, and a restore does not go back too far."""
    if s.action.type is ActionType.SCALE:
        never = s.job is not None and s.job.checkpointing and s.job.latest is None
        return _none_completed() if never else None
    if found(s).asks_for_manual_restore:
        return _manual_restore(s)
    if s.job is None:
        return wait(
            s, Reason.JOB_MANAGER_UNREACHABLE, "The JobManager does not answer, so no checkpoint can be confirmed."
        )
    return _restorable(s, s.job)


def _restorable(s: Snapshot, job: Job) -> Objection | None:
    latest = job.latest
    if latest is None:
        return _none_completed()
    limit = _restore(s).max_checkpoint_age
    if s.action.type is ActionType.RESTORE and latest.at is not None and s.now - latest.at > limit:
        age = format_duration(s.now - latest.at)
        return Refuse(
            Reason.CHECKPOINT_TOO_OLD,
            f"Checkpoint {latest.id} is {age} old, {format_duration(limit)} allowed (restore.maxCheckpointAge).",
        )
    return None


def _manual_restore(s: Snapshot) -> Objection | None:
    error = found(s).error[:300]
    if s.action.type is ActionType.RESTORE and _restore(s).allow_savepoint_redeploy:
        if s.progress.checkpoint_path or (s.job is not None and s.job.latest is not None and s.job.latest.path):
            return None
        why = "no path of a checkpoint was confirmed by JobManager REST"
    else:
        why = "the policy does not allow a redeploy from a path (restore.allowSavepointRedeploy)"
    return Refuse(
        Reason.MANUAL_RESTORE_REQUIRED,
        f"Flink's operator asks for a manual restore, and {why}: set job.initialSavepointPath and "
        f"job.savepointRedeployNonce. {error}",
    )


def _none_completed() -> Refuse:
    return Refuse(
        Reason.NO_COMPLETED_CHECKPOINT,
        "The job has never completed a checkpoint: there is no state to start from. Find out why, then act by hand.",
    )


def _restore(s: Snapshot) -> Restore:
    return s.action.restore or Restore()
