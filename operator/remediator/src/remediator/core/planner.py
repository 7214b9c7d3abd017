"""From a snapshot that the guards let pass to a plan."""

from remediator.api.policy import ActionType
from remediator.api.reasons import Reason
from remediator.api.remediation import Plan
from remediator.core.naming import digest
from remediator.core.restore import plan_restart, plan_restore
from remediator.core.scale import plan_scale
from remediator.core.snapshot import Snapshot


def make_plan(s: Snapshot) -> Plan:
    """Plan the action whose turn it is. The same rung on the same generation of the target is the same plan."""
    target, action = s.target, s.action
    assert target is not None  # the guards have found it
    plan_id = digest(s.name, str(s.progress.step), str(target.generation))
    match action.type:
        case ActionType.SCALE:
            return _with_warnings(plan_scale(action, target, s.job, plan_id), s.partitions)
        case ActionType.RESTORE:
            return plan_restore(action, target, s.job, s.checkpoint_with_path, plan_id)
        case ActionType.RESTART:
            return plan_restart(action, target, plan_id)


def _with_warnings(plan: Plan, partitions: int | None) -> Plan:
    if partitions is None or partitions >= plan.parallelism_after:
        return plan
    warning = (
        f"{Reason.MORE_PARTITIONS_NEEDED}: the topics have {partitions} partitions at most; "
        f"of {plan.parallelism_after} source subtasks the others stay idle. Add partitions, or lower scale.max."
    )
    return plan.model_copy(update={"warnings": (warning,)})
