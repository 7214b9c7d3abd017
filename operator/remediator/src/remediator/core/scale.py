"""Plans a change of a job's parallelism."""

from remediator.api.diagnosis import Diagnosis
from remediator.api.policy import Action, ActionType, Strategy
from remediator.api.remediation import NAME_LIMIT, NAMES_LIMIT, Method, Plan
from remediator.core.flinkdeployment import FlinkDeployment
from remediator.core.patch import ABSENT, Change, inverse, overrides_change, patch, pointer
from remediator.core.sizing import arithmetic, desired
from remediator.core.snapshot import Job, Vertex

IN_PLACE_FLINK_VERSIONS = frozenset({"v1_18", "v1_19", "v1_20"})
_MAX_PARALLELISM_KEYS = ("pipeline.max-parallelism", "parallelism.max")


def job_parallelism(target: FlinkDeployment, job: Job | None = None) -> int:
    """Return the parallelism of what has none of its own: ``spec.job.parallelism``, or where that is not set, what
    JobManager REST shows."""
    if target.parallelism is not None:
        return target.parallelism
    return max((v.parallelism for v in (job.vertices if job else ()) if v.id not in target.overrides), default=1)


def current_parallelism(target: FlinkDeployment, job: Job | None = None) -> int:
    """Return the parallelism the job is meant to have: the highest that its vertices are.

    A vertex is meant to have its override where one is set, else the job's parallelism. Where the vertices are not
    known, every override is one of theirs.
    """
    ids = {v.id for v in job.vertices} if job else set()
    overridden = {vertex: n for vertex, n in target.overrides.items() if vertex in ids or not ids}
    rest = not ids or bool(ids - overridden.keys())
    return max([*overridden.values(), *([job_parallelism(target, job)] if rest else [])])


def following_vertices(target: FlinkDeployment, job: Job | None) -> tuple[Vertex, ...]:
    """Return the vertices that are to get the new parallelism: those that run at the job's, and those whose override is
    as high as the current one. A vertex with a parallelism of its own, from the program or an override, is left alone.
    """
    if job is None:
        return ()
    common, current = job_parallelism(target, job), current_parallelism(target, job)

    def follows(vertex: Vertex) -> bool:
        override = target.overrides.get(vertex.id)
        return vertex.parallelism == common if override is None else override == current

    return tuple(vertex for vertex in job.vertices if follows(vertex))


def still_asks(target: FlinkDeployment, plan: Plan) -> bool:
    """Tell whether a target's spec asks for the parallelism that a plan had set."""
    if not plan.vertices:
        return current_parallelism(target) == plan.parallelism_after
    return all(target.overrides.get(v, job_parallelism(target)) == plan.parallelism_after for v in plan.vertices)


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
    if not target.switched("kubernetes.operator.job.upgrade.inplace-scaling.enabled"):
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


def plan_scale(
    action: Action, target: FlinkDeployment, job: Job | None, plan_id: str, diagnosis: Diagnosis | None = None
) -> Plan:
    """Plan to bring the target from its current to the desired parallelism, which the guards have found possible.

    The vertices that run at the job's parallelism follow it; those with one of their own are left alone. Where the
    vertices are not known, only Redeploy is possible, and all of them count.
    """
    scale = action.scale
    assert scale is not None  # the model says so
    before = current_parallelism(target, job)
    after = desired(scale, before, diagnosis)
    in_place = scale.strategy is not Strategy.REDEPLOY and not why_not_in_place(target, job)
    vertices, following = job.vertices if job else (), following_vertices(target, job)
    changes = []
    if not in_place and (target.parallelism is None or target.parallelism < after):
        old = ABSENT if target.parallelism is None else target.parallelism
        changes.append(Change(pointer("spec", "job", "parallelism"), old, after))
    if in_place or target.overrides:
        # Those that are there would win over the new parallelism, and operators 1.8 to 1.14 take the highest of them
        # for the parallelism of all other vertices (FLINK-38859).
        changes += _override(target, job, [v.id for v in following], before, after)
    return Plan(
        id=plan_id,
        action=ActionType.SCALE,
        method=Method.IN_PLACE if in_place else Method.REDEPLOY,
        timeout=action.timeout,
        parallelism_before=before,
        parallelism_after=after,
        job_parallelism=target.parallelism,
        vertices=tuple(v.id for v in following),
        left_alone=tuple(v.name[:NAME_LIMIT] for v in vertices if v not in following)[:NAMES_LIMIT],
        sizing=arithmetic(scale, before, diagnosis) or None,
        observed_generation=target.generation,
        patch=patch(changes, target, plan_id),
        inverse=inverse(changes, target, plan_id),
    )


def _override(target: FlinkDeployment, job: Job | None, following: list[str], before: int, after: int) -> list[Change]:
    known = following or [vertex for vertex, number in target.overrides.items() if number == before]
    # An override is undone by its old value, never by removing the key: that would be a full upgrade.
    old = {**dict.fromkeys(known, job_parallelism(target, job)), **target.overrides}
    new = {**target.overrides, **dict.fromkeys(known, after)}
    return [overrides_change(target, new, old)] if new != target.overrides else []
