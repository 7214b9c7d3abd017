"""What must hold of every decision, whatever the world looks like."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import jsonpatch
import jsonpointer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remediator.api.diagnosis import Diagnosis, Finding, FindingType, VertexLoad
from remediator.api.names import ENABLED_LABEL, PLAN_ANNOTATION
from remediator.api.policy import ActionType, PolicySpec, Strategy
from remediator.api.reasons import Phase
from remediator.api.remediation import Method, TargetReference
from remediator.core import snapshot as snapshots
from remediator.core.configuration import OVERRIDES_KEY
from remediator.core.decide import decide
from remediator.core.decision import Act
from remediator.core.flinkdeployment import parse
from remediator.core.guards import CHAIN
from remediator.core.snapshot import Checkpoint, Job, Progress, Sibling, Snapshot
from worlds import ALERT, NOW, TARGET, apply_json_patch, flink_resource, policy, sibling, snapshot

minutes_ago = st.integers(0, 3000).map(lambda m: NOW - timedelta(minutes=m))
sometimes = st.sampled_from([True, False])
rarely = st.sampled_from([*[False] * 19, True])
never = st.just(False)
parallelism = st.integers(2, 16)
period = st.sampled_from(["10m", "1h", "24h"])

scales = st.one_of(
    st.fixed_dictionaries(
        {
            "max": parallelism,
            "factor": st.floats(1.01, 4, allow_nan=False),
            "strategy": st.sampled_from([str(strategy) for strategy in Strategy]),
        }
    ),
    st.fixed_dictionaries({"parallelism": parallelism}),
    st.fixed_dictionaries({"max": parallelism, "toDrainWithin": period, "headroom": st.floats(1, 3)}),
)
scale_actions = scales.map(lambda scale: {"type": "Scale", "scale": scale})
actions = st.one_of(
    scale_actions,
    st.fixed_dictionaries({"onlyIfFailed": sometimes, "allowSavepointRedeploy": sometimes}).map(
        lambda restore: {"type": "Restore", "restore": restore}
    ),
    st.just({"type": "Restart"}),
)


@st.composite
def policies(draw: st.DrawFn, trouble: st.SearchStrategy[bool], rungs: st.SearchStrategy[dict[str, Any]]) -> PolicySpec:
    guards: dict[str, Any] = {
        "cooldown": draw(st.sampled_from(["0s", "15m"])),
        "budget": draw(st.lists(st.fixed_dictionaries({"max": st.integers(1, 5), "per": period}), max_size=2)),
        "approval": {"required": draw(trouble)},
        "gitOps": draw(st.sampled_from(["Refuse", "Take"])),
        "pauseRequests": ["maintenance"] if draw(trouble) else [],
    }
    return policy(actions=draw(st.lists(rungs, min_size=1, max_size=3)), guards=guards)


measured = st.none() | st.floats(0, 1e6)
diagnoses = st.none() | st.builds(
    Diagnosis,
    time=st.just(NOW),
    findings=st.lists(
        st.sampled_from(FindingType).map(lambda kind: Finding(type=kind, message="evidence")), max_size=2
    ).map(tuple),
    vertices=st.lists(
        st.builds(VertexLoad, name=st.sampled_from("abc"), parallelism=st.integers(0, 16), busy=measured), max_size=3
    ).map(tuple),
    input_rate=measured,
    consumed_rate=measured,
    backlog=measured,
    partitions=st.none() | st.integers(1, 64),
)

SECRET = "hunter2"
IDS = ("aa", "bb", "cc")


@dataclass(frozen=True)
class Vertex:
    """A vertex as its owner has made it."""

    id: str
    override: int | None = None
    """What the configuration says of it."""
    program: int | None = None
    """What the program says of it; the configuration overrides that."""

    def runs_at(self, job: int) -> int:
        """The parallelism it gets in a job of that parallelism: Flink's rule, in our own words."""
        return self.override or self.program or job


@dataclass(frozen=True)
class World:
    """A FlinkDeployment as the API server has it, what it was made of, and a snapshot in which it is the target."""

    resource: dict[str, Any]
    vertices: tuple[Vertex, ...]
    seen: Snapshot


vertices = st.tuples(
    *(
        st.builds(
            Vertex,
            id=st.just(vertex),
            override=st.sampled_from([None, None, 1, 2, 3, 4, 6]),
            program=st.sampled_from([None, None, None, 1, 2, 5]),
        )
        for vertex in IDS
    )
)
FORMS: dict[str, Callable[[dict[str, int]], dict[str, Any]]] = {
    "text": lambda overrides: {OVERRIDES_KEY: ", ".join(f"{v}:{n}" for v, n in overrides.items())},
    "map": lambda overrides: {OVERRIDES_KEY: overrides},
    "texts in a map": lambda overrides: {OVERRIDES_KEY: {v: str(n) for v, n in overrides.items()}},
    "nested": lambda overrides: {"pipeline": {"jobvertex-parallelism-overrides": overrides, "name": "x"}},
    "by vertex": lambda overrides: {f"{OVERRIDES_KEY}.{v}": str(n) for v, n in overrides.items()},
}


def overrides_of(resource: dict[str, Any]) -> dict[str, int]:
    """Read the overrides as Flink would, in any of the forms above."""
    configuration = resource["spec"].get("flinkConfiguration") or {}
    found = configuration.get(OVERRIDES_KEY)
    if found is None:
        found = (configuration.get("pipeline") or {}).get("jobvertex-parallelism-overrides")
    if found is None:
        prefix = f"{OVERRIDES_KEY}."
        found = {key[len(prefix) :]: value for key, value in configuration.items() if key.startswith(prefix)}
    if isinstance(found, str):
        found = dict(pair.strip().split(":") for pair in found.split(",") if pair.strip())
    return {vertex: int(number) for vertex, number in found.items()}


def running(world: World, resource: dict[str, Any], job: int | None = None) -> dict[str, int]:
    """The parallelism of each vertex once Flink's operator has taken the resource up."""
    overrides, common = overrides_of(resource), job or resource["spec"]["job"]["parallelism"]
    return {v.id: replace(v, override=overrides.get(v.id)).runs_at(common) for v in world.vertices}


@st.composite
def resources(draw: st.DrawFn, made_of: tuple[Vertex, ...], trouble: st.SearchStrategy[bool]) -> dict[str, Any]:
    configuration: dict[str, Any] = {"s3.secret-key": SECRET} if draw(sometimes) else {}
    overrides = {v.id: v.override for v in made_of if v.override is not None}
    if overrides or draw(sometimes):
        configuration |= FORMS[draw(st.sampled_from(sorted(FORMS)))](overrides)
    if draw(sometimes):
        configuration["jobmanager.scheduler"] = "adaptive"
    if draw(trouble):
        configuration |= {"job.autoscaler.enabled": True}
    if draw(trouble):
        configuration |= {"pipeline.max-parallelism": draw(parallelism)}
    job: dict[str, Any] = {
        "parallelism": draw(st.integers(1, 8)),
        "upgradeMode": "stateless" if draw(trouble) else draw(st.sampled_from(["last-state", "savepoint"])),
    }
    if draw(sometimes):
        job |= {"savepointRedeployNonce": 3, "initialSavepointPath": "s3://bucket/old"}
    resource = flink_resource(
        job=job, flinkConfiguration=configuration, flinkVersion=draw(st.sampled_from(["v1_19", "v2_0"]))
    )
    if not configuration and draw(sometimes):
        del resource["spec"]["flinkConfiguration"]
    if draw(sometimes):
        resource["spec"]["restartNonce"] = draw(st.integers(1, 9))
    if draw(trouble):
        resource["spec"]["taskManager"] = {"replicas": 2}
    if draw(trouble):
        resource["metadata"]["labels"] = {"helm.toolkit.fluxcd.io/name": "x"} if draw(sometimes) else {}
    if draw(rarely):
        del resource["metadata"]["annotations"]
    lifecycle = draw(st.sampled_from(["UPGRADING", "SUSPENDED", ""] if draw(trouble) else ["STABLE"] * 3 + ["FAILED"]))
    state = "FAILED" if lifecycle == "FAILED" else "FINISHED" if draw(trouble) else "RUNNING"
    resource["status"] |= {"lifecycleState": lifecycle, "jobStatus": {"jobId": "job-1", "state": state}}
    if lifecycle == "FAILED" and draw(sometimes):
        resource["status"]["error"] = "HA metadata is not available. Manual restore required."
    if draw(trouble):
        resource["status"]["observedGeneration"] = 2
    return resource


checkpoints = st.builds(
    Checkpoint,
    id=st.integers(1, 50),
    at=st.none() | st.integers(0, 40).map(lambda m: NOW - timedelta(minutes=m)),
    path=st.sampled_from(["s3://bucket/chk", ""]),
)


@st.composite
def jobs(draw: st.DrawFn, made_of: tuple[Vertex, ...], common: int, trouble: st.SearchStrategy[bool]) -> Job | None:
    """The job of a FlinkDeployment, which mostly runs as its spec asks."""
    if draw(trouble):
        return None
    return Job(
        "job-1",
        "RUNNING",
        tuple(
            snapshots.Vertex(
                v.id,
                v.id,
                draw(st.integers(1, 8)) if draw(trouble) else v.runs_at(common),
                draw(st.sampled_from([128, 128, 128, 4])),
            )
            for v in made_of
        ),
        completed=None if draw(trouble) else draw(checkpoints),
        restored=draw(st.none() | checkpoints),
        savepoint=draw(st.none() | checkpoints),
        checkpointing=not draw(trouble),
        checkpoints_known=not draw(trouble),
    )


siblings = st.lists(
    st.builds(
        sibling,
        name=st.uuids().map(str),
        target=st.sampled_from([TARGET, *(TargetReference(namespace="streaming", name=n, uid=n) for n in "abcd")]),
        phase=st.sampled_from(Phase),
        created=minutes_ago,
        actions=st.lists(minutes_ago, max_size=3).map(tuple),
        finished=st.none() | minutes_ago,
    ),
    max_size=5,
).map(tuple)


no_siblings: st.SearchStrategy[tuple[Sibling, ...]] = st.just(())
maybe_siblings = no_siblings | siblings


@st.composite
def worlds(
    draw: st.DrawFn,
    trouble: st.SearchStrategy[bool] = rarely,
    rungs: st.SearchStrategy[dict[str, Any]] = actions,
    others: st.SearchStrategy[tuple[Sibling, ...]] = maybe_siblings,
) -> World:
    """A world with as much trouble, whose policy has such rungs, and with other remediations."""
    made_of = draw(vertices)
    resource, rules = draw(resources(made_of, trouble)), draw(policies(trouble, rungs))
    seen = snapshot(
        alert=ALERT.model_copy(update={"starts_at": draw(minutes_ago)}) if draw(trouble) else ALERT,
        resolved=draw(trouble),
        target_ref=TARGET.model_copy(update={"uid": "another"}) if draw(trouble) else TARGET,
        policy=rules,
        target=None if draw(trouble) else parse(resource),
        job=draw(jobs(made_of, resource["spec"]["job"]["parallelism"], trouble)),
        siblings=draw(others),
        progress=Progress(
            step=draw(st.integers(0, len(rules.actions))) if draw(trouble) else 0,
            actions=tuple(draw(st.lists(minutes_ago, max_size=2))),
            checkpoint=draw(st.sampled_from([None, Checkpoint(5, None, "s3://bucket/chk-5")])),
            approval=draw(st.sampled_from(["", "approved", "denied", "yes"])),
        ),
        diagnosis=draw(diagnoses),
    )
    return World(resource, made_of, seen)


@given(worlds())
def test_what_is_not_done_has_a_reason_and_says_what_to_do(world: World) -> None:
    seen = world.seen
    decision = decide(seen)
    if not isinstance(decision, Act):
        assert decision.reason in {reason for guard in CHAIN for reason in guard.reasons}
        assert len(decision.message) > 20


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_siblings_does_not_matter_and_the_same_world_is_decided_on_alike(
    world: World, random: Any
) -> None:
    seen = world.seen
    shuffled = random.sample(seen.siblings, len(seen.siblings))
    assert decide(replace(seen, siblings=tuple(shuffled))) == decide(seen)


@given(worlds(trouble=never))
def test_an_action_stays_within_the_policys_bounds(world: World) -> None:
    seen = world.seen
    decision = decide(seen)
    if not isinstance(decision, Act):
        return
    plan, target = decision.plan, seen.target
    assert target is not None
    assert target.opted_in
    assert target.upgrade_mode != "stateless"
    assert not seen.resolved
    assert not seen.policy.guards.pause_requests
    for entry in seen.policy.guards.budget:
        begun = [*seen.progress.actions, *(a for s in seen.target_siblings for a in s.actions)]
        assert sum(moment > NOW - entry.per for moment in begun) < entry.max
    assert not any(s.actions and not s.phase.terminal for s in seen.target_siblings)
    if plan.action is ActionType.SCALE:
        scale = seen.action.scale
        assert scale is not None
        assert plan.parallelism_before < plan.parallelism_after <= (scale.max or scale.parallelism or 0)
        assert not target.autoscaled
        assert target.task_manager_replicas is None
    else:
        assert plan.parallelism_after == plan.parallelism_before


MAY_CHANGE = {
    ("spec", "job", "parallelism"),
    ("spec", "job", "upgradeMode"),
    ("spec", "job", "initialSavepointPath"),
    ("spec", "job", "savepointRedeployNonce"),
    ("spec", "restartNonce"),
    ("spec", "flinkConfiguration", OVERRIDES_KEY),
    ("metadata", "annotations"),
    ("metadata", "annotations", PLAN_ANNOTATION),
    ("metadata", "generation"),
}


def leaves(node: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """The document as values by path."""
    if not isinstance(node, dict) or not node:
        return {path: node}
    return {p: v for key, child in node.items() for p, v in leaves(child, (*path, key)).items()}


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[tuple[str, ...]]:
    a, b = leaves(before), leaves(after)
    return {path for path in a.keys() | b.keys() if a.get(path) != b.get(path)}


@settings(max_examples=300)
@given(worlds(trouble=never))
def test_a_patch_applies_once_changes_what_it_should_and_its_inverse_brings_it_back(world: World) -> None:
    resource, decision = world.resource, decide(world.seen)
    if not isinstance(decision, Act):
        return
    plan = decision.plan
    assert SECRET not in plan.model_dump_json()
    patched = apply_json_patch(resource, plan.patch)
    touched = {path[:3] if path[:2] == ("spec", "flinkConfiguration") else path for path in changed(resource, patched)}
    assert touched <= MAY_CHANGE | {("spec", "flinkConfiguration"), ("spec", "flinkConfiguration", "pipeline")}
    assert patched["metadata"]["annotations"][PLAN_ANNOTATION] == plan.id
    with pytest.raises(jsonpatch.JsonPatchException):
        apply_json_patch(patched, plan.patch)
    # Not even after somebody put everything back as it was, our annotation included.
    put_back = {**resource, "metadata": {**resource["metadata"], "generation": patched["metadata"]["generation"] + 1}}
    with pytest.raises(jsonpatch.JsonPatchException):
        apply_json_patch(put_back, plan.patch)
    back = apply_json_patch(patched, plan.inverse)
    assert running(world, back) == running(world, resource)
    assert back["spec"]["job"] == resource["spec"]["job"]
    with pytest.raises(jsonpatch.JsonPatchException):
        apply_json_patch(back, plan.inverse)
    # Removing an override, rather than setting its old value, would be a full upgrade.
    assert set(overrides_of(back)) == set(overrides_of(patched))


@settings(max_examples=300)
@given(worlds(trouble=never, rungs=scale_actions, others=no_siblings))
def test_a_scale_lowers_no_vertex_and_raises_one_within_the_policys_bounds(world: World) -> None:
    decision, scale = decide(world.seen), world.seen.action.scale
    if not isinstance(decision, Act) or scale is None:
        return
    plan, patched = decision.plan, apply_json_patch(world.resource, decision.plan.patch)
    before, after = running(world, world.resource), running(world, patched)
    assert all(after[vertex] >= before[vertex] for vertex in IDS)
    raised = {vertex for vertex in IDS if after[vertex] > before[vertex]}
    # A program that fixes vertices at just the parallelism of the job is not to be told from one that does not, until
    # they stay where they are: that is for verification.
    job = world.resource["spec"]["job"]["parallelism"]
    fixed = {vertex.id for vertex in world.vertices if vertex.override is None and vertex.program == job}
    if not set(plan.vertices) <= fixed:
        assert raised
        assert {after[vertex] for vertex in raised} == {plan.parallelism_after}
    assert plan.parallelism_after <= (scale.max or scale.parallelism or 0)
    assert raised <= set(plan.vertices)
    assert plan.parallelism_before == max(before[v] for v in plan.vertices)
    # Operators 1.8 to 1.14 take the highest override for the parallelism of all other vertices (FLINK-38859).
    if plan.method is Method.REDEPLOY and overrides_of(patched):
        older = running(world, patched, max(overrides_of(patched).values()))
        assert all(older[vertex] >= before[vertex] for vertex in IDS)


METADATA_CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "another uid": lambda metadata: metadata.update(uid="another"),
    "another generation": lambda metadata: metadata.update(generation=metadata["generation"] + 1),
    "opted out": lambda metadata: metadata["labels"].pop(ENABLED_LABEL),
    "no labels": lambda metadata: metadata.pop("labels"),
}


@pytest.mark.parametrize("change", METADATA_CHANGES)
@settings(max_examples=30)
@given(world=worlds(trouble=never))
def test_a_patch_does_not_apply_to_what_is_another_resource_or_not_allowed_any_more(world: World, change: str) -> None:
    decision = decide(world.seen)
    if not isinstance(decision, Act):
        return
    meanwhile = json.loads(json.dumps(world.resource))
    METADATA_CHANGES[change](meanwhile["metadata"])
    with pytest.raises((jsonpatch.JsonPatchException, jsonpointer.JsonPointerException)):
        apply_json_patch(meanwhile, decision.plan.patch)
    patched = apply_json_patch(world.resource, decision.plan.patch)
    if decision.plan.inverse and change != "another generation":
        METADATA_CHANGES[change](patched["metadata"])
        with pytest.raises((jsonpatch.JsonPatchException, jsonpointer.JsonPointerException)):
            apply_json_patch(patched, decision.plan.inverse)


@settings(max_examples=100)
@given(worlds(trouble=never))
def test_what_others_annotate_meanwhile_is_never_lost(world: World) -> None:
    decision = decide(world.seen)
    if not isinstance(decision, Act):
        return
    meanwhile = json.loads(json.dumps(world.resource))
    meanwhile["metadata"].setdefault("annotations", {})["note"] = "mine"
    meanwhile["metadata"]["resourceVersion"] = "2"
    try:
        patched = apply_json_patch(meanwhile, decision.plan.patch)
    except jsonpatch.JsonPatchException:
        assert "annotations" not in world.resource["metadata"]  # nothing is left but to plan anew
        return
    assert patched["metadata"]["annotations"]["note"] == "mine"
    if decision.plan.inverse:
        back = apply_json_patch(patched, decision.plan.inverse)
        assert back["metadata"]["annotations"]["note"] == "mine"
