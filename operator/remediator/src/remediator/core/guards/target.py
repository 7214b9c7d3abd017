"""Guards on the FlinkDeployment: whether it may be touched, and whether now is the time."""

from remediator.api.names import CONSUMER_GROUPS_ANNOTATION, ENABLED_LABEL
from remediator.api.policy import ActionType, GitOps
from remediator.api.reasons import Reason
from remediator.core.decision import Refuse
from remediator.core.guards.base import Objection, found, guard, wait
from remediator.core.ownership import git_ops_tool
from remediator.core.snapshot import Snapshot

_ENDED = frozenset({"FINISHED", "CANCELED"})
# ResourceLifecycleState of Flink's operator. Any other state, one that is not known here too, passes.
_WANTED = frozenset({"SUSPENDED", "ROLLED_BACK"})
_AT_REST = _WANTED | {"STABLE", "FAILED"}


@guard(Reason.TARGET_NOT_FOUND, Reason.TARGET_UNREADABLE, Reason.TARGET_REPLACED)
def target_found(s: Snapshot) -> Objection | None:
    """There is such a FlinkDeployment, it can be read, and it is still the one the alert was about."""
    ref = s.target_ref
    if s.unreadable:
        return Refuse(
            Reason.TARGET_UNREADABLE,
            f"The FlinkDeployment {ref.namespace}/{ref.name} cannot be read: {s.unreadable}. Correct it, or "
            "look at the job yourself.",
        )
    if s.target is None:
        place, name = ref.namespace or "(no namespace)", ref.name or "(no name)"
        missing = f"There is no FlinkDeployment {place}/{name}"
        if s.policy.target.consumer_group_label is not None and not ref.uid:
            missing = f"No FlinkDeployment in {place} names the consumer group {name} ({CONSUMER_GROUPS_ANNOTATION})"
        return Refuse(
            Reason.TARGET_NOT_FOUND,
            f"{missing}, or the namespace is not watched: check the alert's labels and the policy's target.",
        )
    if ref.uid and s.target.uid != ref.uid:
        return Refuse(
            Reason.TARGET_REPLACED,
            f"{ref.namespace}/{ref.name} was deleted and made anew since the alert. If that is still in trouble, the "
            "next notification of the alert brings a remediation of its own.",
        )
    return None


@guard(Reason.TARGET_BEING_DELETED)
def not_being_deleted(s: Snapshot) -> Objection | None:
    """Nobody has deleted it: a change would not be taken up, or hold its end up."""
    if not found(s).being_deleted:
        return None
    return Refuse(
        Reason.TARGET_BEING_DELETED,
        "The FlinkDeployment is being deleted. If it does not go, look at its finalizer and at Flink's operator.",
    )


@guard(Reason.NOT_OPTED_IN)
def opted_in(s: Snapshot) -> Objection | None:
    """Default deny: the owner's label allows it."""
    if not found(s).opted_in:
        return Refuse(
            Reason.NOT_OPTED_IN,
            f"The FlinkDeployment does not allow remediation. Its owner allows it by the label {ENABLED_LABEL}=true.",
        )
    return None


@guard(Reason.SESSION_CLUSTER)
def has_job(s: Snapshot) -> Objection | None:
    """It runs a job of its own."""
    if not found(s).has_job:
        return Refuse(
            Reason.SESSION_CLUSTER,
            "The FlinkDeployment is a session cluster, without spec.job: only application deployments are remediated.",
        )
    return None


@guard(Reason.STATELESS_UPGRADE_MODE)
def keeps_state(s: Snapshot) -> Objection | None:
    """A stateless upgrade would throw the job's state away."""
    if found(s).upgrade_mode == "stateless":
        return Refuse(
            Reason.STATELESS_UPGRADE_MODE,
            "job.upgradeMode is stateless (Flink's default): a change would lose state. Set last-state or savepoint.",
        )
    return None


@guard(Reason.AUTOSCALER_ENABLED)
def not_autoscaled(s: Snapshot) -> Objection | None:
    """Two controllers must not decide on one parallelism."""
    if s.action.type is ActionType.SCALE and found(s).autoscaled:
        return Refuse(
            Reason.AUTOSCALER_ENABLED,
            "job.autoscaler.enabled is true: Flink's autoscaler decides on the parallelism. Raise its limits, or "
            "switch one of the two off.",
        )
    return None


@guard(Reason.TASK_MANAGER_REPLICAS_SET)
def no_fixed_replicas(s: Snapshot) -> Objection | None:
    """taskManager.replicas overrides the job's parallelism: a patch would cost a redeploy and change nothing."""
    replicas = found(s).task_manager_replicas
    if s.action.type is ActionType.SCALE and replicas is not None:
        return Refuse(
            Reason.TASK_MANAGER_REPLICAS_SET,
            f"spec.taskManager.replicas is {replicas} and overrides job.parallelism: remove it.",
        )
    return None


@guard(Reason.MANAGED_BY_GITOPS)
def not_managed_by_git(s: Snapshot) -> Objection | None:
    """A GitOps controller would take the change back."""
    tool = git_ops_tool(found(s))
    if tool and s.policy.guards.git_ops is GitOps.REFUSE:
        return Refuse(
            Reason.MANAGED_BY_GITOPS,
            f"{tool} keeps it as it is in Git and would take the change back. Let {tool} ignore the fields and set "
            "guards.gitOps to Take, or change it in Git.",
        )
    return None


@guard(Reason.TARGET_NOT_STABLE)
def stable(s: Snapshot) -> Objection | None:
    """The target stands still: nobody is deploying, upgrading or rolling it back."""
    target, action = found(s), s.action.type
    state, told = target.lifecycle_state, target.told
    # Flink's operator does not take up a restart that it cannot carry out, and waits for the next change.
    gave_up = target.failed and target.asks_for_manual_restore and bool(s.progress.actions)
    if not (target.caught_up or gave_up):
        behind = f"Flink's operator has not taken up generation {target.generation} of it yet."
        return wait(s, Reason.TARGET_NOT_STABLE, f"{behind} {told}".strip())
    if state not in _AT_REST and not target.lost:
        busy = f"Flink's operator is at work on it (lifecycle state {state or 'unknown'})."
        return wait(s, Reason.TARGET_NOT_STABLE, f"{busy} {told}".strip())
    if target.job_state in _ENDED:
        return Refuse(
            Reason.TARGET_NOT_STABLE,
            f"The job is {target.job_state}: it has ended, and not by failing. If it should run, start it yourself.",
        )
    failed = state == "FAILED" or (target.lost and state not in _WANTED)
    if failed and action is not ActionType.SCALE:
        return None  # what a restore is there for
    if failed or state != "STABLE":
        return Refuse(
            Reason.TARGET_NOT_STABLE,
            f"Lifecycle state {state}: a {action.lower()} is no remedy. {told}".strip(),
        )
    if action is ActionType.SCALE:
        if target.job_state not in ("", "RUNNING"):
            return wait(s, Reason.TARGET_NOT_STABLE, f"The job is {target.job_state}; only a running job is scaled.")
        if s.job is not None and s.job.vertices and not s.job.running:
            waiting = f"By JobManager REST the job is {s.job.state}, and not all of its vertices run"
            return wait(s, Reason.TARGET_NOT_STABLE, f"{waiting}; only a running job is scaled.")
    return None


@guard(Reason.OPERATOR_RECOVERING)
def operator_at_rest(s: Snapshot) -> Objection | None:
    """Flink's operator is not bringing the job back by itself: two must not restart one job."""
    target = found(s)
    if target.operator_recovers:
        seen = target.job_manager_state or target.job_state
        return wait(s, Reason.OPERATOR_RECOVERING, f"Flink's operator is bringing the job back by itself ({seen}).")
    return None
