"""Whether an owner's change of a job's parallelism is hidden by overrides that a plan has left behind, and the patch
that gives the job back: the vertices get what the owner asks for.

An override outlives its incident: it is never removed, because that would be a full upgrade. Without this, a later
``spec.job.parallelism`` would have no effect on the vertices that were rescaled in place.
"""

from remediator.api.names import PLAN_ANNOTATION
from remediator.api.remediation import Method, Plan
from remediator.core.flinkdeployment import FlinkDeployment
from remediator.core.patch import inverse_id, overrides_change, patch


def hidden_parallelism(plan: Plan, target: FlinkDeployment) -> int | None:
    """Return what the owner has set ``spec.job.parallelism`` to since the plan, where its overrides hide that.

    None where nothing is hidden, or somebody else has set the overrides since: they are the owner's then.
    """
    left = _left_behind(plan, target.annotations.get(PLAN_ANNOTATION, ""))
    if left is None or target.parallelism is None or not plan.vertices:
        return None
    override, parallelism = left
    changed = target.parallelism not in (override, parallelism)
    ours = all(target.overrides.get(vertex) == override for vertex in plan.vertices)
    return target.parallelism if changed and ours else None


def hand_back(plan: Plan, target: FlinkDeployment, parallelism: int) -> str:
    """Return the patch, as text, that sets the plan's overrides to what the owner asks for; it applies once."""
    new = {**target.overrides, **dict.fromkeys(plan.vertices, parallelism)}
    return patch([overrides_change(target, new, target.overrides)], target, _handed_back_id(plan, parallelism))


def _left_behind(plan: Plan, mark: str) -> tuple[int, int | None] | None:
    """What the mark in the annotations says: the vertices' overrides and the job's parallelism as we left them."""
    if mark == plan.id:
        redeployed = max(plan.job_parallelism or 0, plan.parallelism_after)
        return plan.parallelism_after, plan.job_parallelism if plan.method is Method.IN_PLACE else redeployed
    if mark == inverse_id(plan.id) and plan.job_parallelism is not None:
        return plan.job_parallelism, plan.job_parallelism
    begin = _handed_back_id(plan, "")
    given = mark.removeprefix(begin)
    return (int(given), int(given)) if mark.startswith(begin) and given.isdigit() else None


def _handed_back_id(plan: Plan, parallelism: int | str) -> str:
    return f"{plan.id}-handed-back-{parallelism}"
