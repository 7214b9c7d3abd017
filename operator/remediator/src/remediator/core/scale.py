"""Plans a change of a job's parallelism as one JSON patch and its inverse."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediator.api.names import PLAN_ANNOTATION
from remediator.api.policy import Scale, Strategy
from remediator.api.reasons import Reason
from remediator.api.remediation import Plan
from remediator.core.decision import Refuse
from remediator.core.flinkdeployment import OVERRIDES_KEY, FlinkDeployment, format_overrides
from remediator.core.snapshot import Job, Vertex

IN_PLACE_FLINK_VERSIONS = frozenset({"v1_18", "v1_19", "v1_20"})

Operation = dict[str, Any]


@dataclass(frozen=True)
class _Change:
    """A value of the target's spec, before and after, at a place of the resource."""

    test: tuple[str, Any]
    apply: Operation
    undo: tuple[str, Any]
    """Path and value that take it back; an override is undone by its old value, never by removing the key."""


def current_parallelism(target: FlinkDeployment) -> int:
    """Return the parallelism the job is meant to have: its override where one is set, else the spec's."""
    return max(target.overrides.values(), default=target.parallelism)


def desired_parallelism(scale: Scale, current: int) -> int:
    """Return the parallelism to ask for; never below the current one, never beyond the policy's bounds."""
    if scale.parallelism is not None:
        return max(scale.parallelism, current)
    assert scale.max is not None  # the model says so
    return max(min(math.ceil(current * scale.factor), scale.max), current)


def why_not_in_place(target: FlinkDeployment) -> str:
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
    return ""


def plan_scale(scale: Scale, target: FlinkDeployment, job: Job | None, plan_id: str) -> Plan | Refuse:
    """Plan to bring the target from its current to the desired parallelism.

    The vertices that run at the job's parallelism follow it; those with one of their own are left alone. Without a
    JobManager that answers, only Redeploy is possible, and all vertices count.
    """
    before = current_parallelism(target)
    after = desired_parallelism(scale, before)
    obstacle = why_not_in_place(target) or ("" if job else "the JobManager does not answer")
    if scale.strategy is Strategy.IN_PLACE and obstacle:
        return Refuse(Reason.IN_PLACE_NOT_POSSIBLE, f"Cannot rescale in place: {obstacle}.")
    in_place = scale.strategy is not Strategy.REDEPLOY and not obstacle

    vertices = job.vertices if job else ()
    following = tuple(v for v in vertices if _follows(v, target, before))
    too_small = [v for v in following if v.max_parallelism < after]
    if too_small:
        names = ", ".join(f"{v.name} ({v.max_parallelism})" for v in too_small)
        return Refuse(
            Reason.MAX_PARALLELISM_EXCEEDED,
            f"The maximum parallelism of {names} is below {after}; it cannot change.",
        )
    if in_place and not following:
        return Refuse(Reason.IN_PLACE_NOT_POSSIBLE, f"No vertex runs at the job's parallelism {before}.")

    if in_place:
        changes = [_override(target, {v.id: after for v in following}, {v.id: before for v in following})]
    else:
        changes = [_parallelism(target, after)]
        if target.overrides:  # they would win over the new parallelism
            changes.append(_override(target, dict.fromkeys(target.overrides, after), target.overrides))
    return Plan(
        id=plan_id,
        action="Scale",
        strategy=Strategy.IN_PLACE if in_place else Strategy.REDEPLOY,
        parallelism_before=before,
        parallelism_after=after,
        vertices=tuple(v.id for v in following),
        left_alone=tuple(v.name for v in vertices if v not in following),
        observed_generation=target.generation,
        patch=json.dumps(_patch(changes, target, plan_id)),
        inverse=json.dumps(_inverse(changes, plan_id)),
    )


def inverse_id(plan_id: str) -> str:
    """Return the id that the inverse patch of a plan leaves in the target's annotations."""
    return f"{plan_id}-inverse"


def _follows(vertex: Vertex, target: FlinkDeployment, before: int) -> bool:
    return target.overrides.get(vertex.id, vertex.parallelism) == before


def _parallelism(target: FlinkDeployment, after: int) -> _Change:
    path = "/spec/job/parallelism"
    return _Change(
        test=(path, target.parallelism),
        apply={"op": "replace", "path": path, "value": after},
        undo=(path, target.parallelism),
    )


def _override(target: FlinkDeployment, new: Mapping[str, int], old: Mapping[str, int]) -> _Change:
    path = f"/spec/flinkConfiguration/{_escape(OVERRIDES_KEY)}"
    flat_key_present = OVERRIDES_KEY in target.raw_configuration
    return _Change(
        # Where the key is not there, there is no value to test: the whole map stands for it.
        test=(path, target.raw_configuration[OVERRIDES_KEY])
        if flat_key_present
        else ("/spec/flinkConfiguration", dict(target.raw_configuration)),
        apply={"op": "add", "path": path, "value": format_overrides({**target.overrides, **new})},
        undo=(path, format_overrides({**target.overrides, **old})),
    )


def _patch(changes: list[_Change], target: FlinkDeployment, plan_id: str) -> list[Operation]:
    operations: list[Operation] = [{"op": "test", "path": "/metadata/uid", "value": target.uid}]
    operations += [{"op": "test", "path": path, "value": value} for path, value in (c.test for c in changes)]
    operations += [change.apply for change in changes]
    if not target.annotations:
        operations.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    # In the same patch, so that a restarted controller knows for certain whether it was applied.
    operations.append({"op": "add", "path": _annotation_path(), "value": plan_id})
    return operations


def _inverse(changes: list[_Change], plan_id: str) -> list[Operation]:
    operations: list[Operation] = [{"op": "test", "path": _annotation_path(), "value": plan_id}]
    for change in changes:
        operations.append({"op": "test", "path": change.apply["path"], "value": change.apply["value"]})
    for change in changes:
        path, value = change.undo
        operations.append({"op": "replace", "path": path, "value": value})
    operations.append({"op": "replace", "path": _annotation_path(), "value": inverse_id(plan_id)})
    return operations


def _annotation_path() -> str:
    return f"/metadata/annotations/{_escape(PLAN_ANNOTATION)}"


def _escape(key: str) -> str:
    """Escape a key for a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
