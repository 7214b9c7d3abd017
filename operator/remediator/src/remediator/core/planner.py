"""From a snapshot that the guards let pass to a plan."""

import json
from typing import Final

from remediator.api.diagnosis import Diagnosis
from remediator.api.policy import ActionType
from remediator.api.reasons import Reason
from remediator.api.remediation import Plan
from remediator.core.naming import digest
from remediator.core.patch import with_id
from remediator.core.restore import plan_restart, plan_restore
from remediator.core.scale import plan_scale
from remediator.core.snapshot import Snapshot

_MADE: Final = "plan made of it"
_NO_ID: Final = ""


def make_plan(s: Snapshot) -> Plan:
    """Plan the action whose turn it is.

    The plan's id is a digest of the remediation, the rung, how many actions there were before, and what is done to the
    target's spec at which generation: made again from the same world it is the same plan, and an approval counts.
    """
    # Several guards ask for the plan of one snapshot, which is frozen; a changed copy of it does not have this.
    made = vars(s)
    if _MADE not in made:
        made[_MADE] = _with_id(s)
    plan: Plan = made[_MADE]
    return plan


def _with_id(s: Snapshot) -> Plan:
    draft = _draft(s)
    operations = json.loads(draft.patch)
    written = [operation for operation in operations if operation["path"].startswith("/spec/")]
    progress = (str(s.progress.step), str(len(s.progress.actions)))
    numbers = (draft.parallelism_before, draft.parallelism_after, draft.observed_generation)
    content = (str(draft.method), *map(str, numbers), json.dumps(written))
    plan_id = digest(s.uid or s.name, *progress, *content)
    patches = {"patch": with_id(operations, plan_id), "inverse": with_id(json.loads(draft.inverse), plan_id)}
    return draft.model_copy(update={"id": plan_id, **patches})


def _draft(s: Snapshot) -> Plan:
    """Make the plan for an empty id."""
    target, action = s.target, s.action
    assert target is not None  # the guards have found it
    match action.type:
        case ActionType.SCALE:
            return _with_warnings(plan_scale(action, target, s.job, _NO_ID, s.diagnosis), s.diagnosis)
        case ActionType.RESTORE:
            return plan_restore(action, target, s.job, s.checkpoint_with_path, _NO_ID)
        case ActionType.RESTART:
            return plan_restart(action, target, _NO_ID)


def _with_warnings(plan: Plan, diagnosis: Diagnosis | None) -> Plan:
    partitions = diagnosis.partitions if diagnosis else None
    if partitions is None or partitions >= plan.parallelism_after:
        return plan
    warning = (
        f"{Reason.MORE_PARTITIONS_NEEDED}: the topics have {partitions} partitions; "
        f"of {plan.parallelism_after} source subtasks the others stay idle. Add partitions, or lower scale.max."
    )
    return plan.model_copy(update={"warnings": (warning,)})
