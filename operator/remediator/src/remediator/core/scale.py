"""Plans a change of a job's parallelism."""

import math

from remediator.api.policy import Action, ActionType, Scale, Strategy
from remediator.api.remediation import Method, Plan
from remediator.core.flinkdeployment import OVERRIDES_KEY, FlinkDeployment, format_overrides
from remediator.core.patch import Change, configuration_change, inverse, patch, pointer
from remediator.core.snapshot import Job, Vertex

IN_PLACE_FLINK_VERSIONS = frozenset({"v1_18", "v1_19", "v1_20"})
_MAX_PARALLELISM_KEYS = ("pipeline.max-parallelism", "parallelism.max")


def current_parallelism(target: FlinkDeployment) -> int:
    """Return the parallelism the job is meant to have: its override where one is set, else the spec's."""
    return max(target.overrides.values(), default=target.parallelism)


def desired_parallelism(scale: Scale, current: int) -> int:
    """Return the parallelism to ask for; never below the current one, never beyond the policy's bounds."""
    if scale.parallelism is not None:
        return max(scale.parallelism, current)
    assert scale.max is not None  # the model says so
    return max(min(math.ceil(current * scale.factor), scale.max), current)


def following_vertices(target: FlinkDeployment, job: Job | None) -> tuple[Vertex, ...]:
    """Return the vertices that run at the job's parallelism; those with one of their own are left alone."""
    current = current_parallelism(target)
    return tuple(v for v in job.vertices if target.overrides.get(v.id, v.parallelism) == current) if job else ()


def why_not_in_place(target: FlinkDeployment, job: Job | None) -> str:
    """Say what stands against a rescale of the running job; empty if nothing does.

    Source: Flink Kubernetes Operator, NativeFlinkService.supportsInPlaceScaling; Flink 2.x ignores the override
    after a restart (FLINK-38770).
    """
    if target.mode != "native":
        return f"the deployment's mode is {target.mode}"
    if target.flink_version not in IN_PLACE_FLINK_VERSIONS:
        return f"Flink {target.flink_version} is not 1.18 to 1.20"
    if target.configuration.get("jobmanager.scheduler", "").lower() != "adaptive":
        return "the job does not use the adaptive scheduler"
    if target.configuration.get("kubernetes.operator.job.upgrade.inplace-scaling.enabled") == "false":
        return "in-place scaling is switched off for this deployment"
    if not following_vertices(target, job):
        return "the vertices of the job are not known"
    return ""


def too_small(target: FlinkDeployment, job: Job | None, after: int) -> str:
    """Name what has a maximum parallelism below ``after``; empty if nothing has."""
    named = [f"{v.name} ({v.max_parallelism})" for v in following_vertices(target, job) if v.max_parallelism < after]
    for key in _MAX_PARALLELISM_KEYS:
        limit = target.configuration.get(key, "")
        if limit.isdigit() and 0 < int(limit) < after:
            named.append(f"{key} ({limit})")
    return ", ".join(named)


def plan_scale(action: Action, target: FlinkDeployment, job: Job | None, plan_id: str) -> Plan:
    """Plan to bring the target from its current to the desired parallelism, which the guards have found possible.

    The vertices that run at the job's parallelism follow it; those with one of their own are left alone. Where the
    vertices are not known, only Redeploy is possible, and all of them count.
    """
    scale = action.scale
    assert scale is not None  # the model says so
    before = current_parallelism(target)
    after = desired_parallelism(scale, before)
    in_place = scale.strategy is not Strategy.REDEPLOY and not why_not_in_place(target, job)
    vertices, following = job.vertices if job else (), following_vertices(target, job)
    if in_place:
        changes = [_override(target, dict.fromkeys((v.id for v in following), after), before)]
    else:
        changes = [Change(pointer("spec", "job", "parallelism"), target.parallelism, after)]
        if target.overrides:  # they would win over the new parallelism
            changes.append(_override(target, dict.fromkeys(target.overrides, after), before))
    return Plan(
        id=plan_id,
        action=ActionType.SCALE,
        method=Method.IN_PLACE if in_place else Method.REDEPLOY,
        timeout=action.timeout,
        parallelism_before=before,
        parallelism_after=after,
        vertices=tuple(v.id for v in following),
        left_alone=tuple(v.name for v in vertices if v not in following),
        observed_generation=target.generation,
        patch=patch(changes, target, plan_id),
        inverse=inverse(changes, plan_id),
    )


def _override(target: FlinkDeployment, new: dict[str, int], before: int) -> Change:
    # An override is undone by its old value, never by removing the key: that would be a full upgrade.
    old = {vertex: target.overrides.get(vertex, before) for vertex in new}
    return configuration_change(
        target,
        OVERRIDES_KEY,
        format_overrides({**target.overrides, **new}),
        format_overrides({**target.overrides, **old}),
    )
