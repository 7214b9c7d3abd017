"""Guards on the FlinkDeployment: whether it may be touched, and whether now is the time."""

from remediator.api.policy import ActionType, GitOps
from remediator.api.reasons import Reason
from remediator.core.decision import Refuse
from remediator.core.guards.base import Objection, found, wait
from remediator.core.ownership import git_ops_tool
from remediator.core.snapshot import Snapshot

_TRANSITIONAL = frozenset({"", "CREATED", "DEPLOYED", "UPGRADING", "ROLLING_BACK"})


def target_found(s: Snapshot) -> Objection | None:
    """There is such a FlinkDeployment, and it is still the one the alert was about."""
    ref = s.target_ref
    if s.target is None:
        named = f"{ref.namespace or '(no namespace)'}/{ref.name or '(no name)'}"
        return Refuse(
            Reason.TARGET_NOT_FOUND,
            f"No FlinkDeployment {named} in the watched namespaces; check the alert's labels and the policy's target.",
        )
    if ref.uid and s.target.uid != ref.uid:
        return Refuse(Reason.TARGET_REPLACED, f"{ref.namespace}/{ref.name} was deleted and made anew since the alert.")
    return None


def opted_in(s: Snapshot) -> Objection | None:
    """Default deny: the owner's label allows it."""
    if not found(s).opted_in:
        return Refuse(
            Reason.NOT_OPTED_IN,
            "The FlinkDeployment does not allow remediation; "
            'label it remediation.streaming-monitoring.dev/enabled="true".',
        )
    return None


def keeps_state(s: Snapshot) -> Objection | None:
    """A stateless upgrade would throw the job's state away."""
    if found(s).upgrade_mode == "stateless":
        return Refuse(
            Reason.STATELESS_UPGRADE_MODE,
            "job.upgradeMode is stateless (Flink's default): a change would lose state. Set last-state or savepoint.",
        )
    return None


def not_autoscaled(s: Snapshot) -> Objection | None:
    """Two controllers must not decide on one parallelism."""
    if s.action.type is ActionType.SCALE and found(s).autoscaled:
        return Refuse(Reason.AUTOSCALER_ENABLED, "job.autoscaler.enabled is true: Flink's autoscaler decides.")
    return None


def no_fixed_replicas(s: Snapshot) -> Objection | None:
    """taskManager.replicas overrides the job's parallelism: a patch would cost a redeploy and change nothing."""
    replicas = found(s).task_manager_replicas
    if s.action.type is ActionType.SCALE and replicas is not None:
        return Refuse(
            Reason.TASK_MANAGER_REPLICAS_SET,
            f"taskManager.replicas is {replicas} and overrides job.parallelism; remove it.",
        )
    return None


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


def stable(s: Snapshot) -> Objection | None:
    """The target stands still: nobody is deploying, upgrading or rolling it back."""
    target, action = found(s), s.action.type
    state = target.lifecycle_state
    if not target.caught_up or state in _TRANSITIONAL:
        seen = state or "unknown"
        return wait(s, Reason.TARGET_NOT_STABLE, f"Flink's operator is at work on it (lifecycle state {seen}).")
    if state == "FAILED" and action is not ActionType.SCALE:
        return None  # what a restore is there for
    if state != "STABLE":
        return Refuse(
            Reason.TARGET_NOT_STABLE,
            f"Lifecycle state {state}: a {action.lower()} is no remedy. {target.error[:300]}".strip(),
        )
    if action is ActionType.SCALE and target.job_state not in ("", "RUNNING"):
        return wait(s, Reason.TARGET_NOT_STABLE, f"The job is {target.job_state}; only a running job is scaled.")
    return None


def operator_at_rest(s: Snapshot) -> Objection | None:
    """Flink's operator is not bringing the job back by itself: two must not restart one job."""
    target = found(s)
    if target.operator_recovers:
        seen = target.job_manager_state or target.job_state
        return wait(s, Reason.OPERATOR_RECOVERING, f"Flink's operator is bringing the job back by itself ({seen}).")
    return None
