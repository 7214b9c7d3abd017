"""What must hold of every decision, whatever the world looks like."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remediator.api.names import PLAN_ANNOTATION
from remediator.api.policy import ActionType, PolicySpec, Strategy
from remediator.api.reasons import Phase
from remediator.api.remediation import Method, TargetReference
from remediator.core.configuration import OVERRIDES_KEY
from remediator.core.decide import decide
from remediator.core.decision import Act
from remediator.core.flinkdeployment import parse
from remediator.core.guards import CHAIN
from remediator.core.scale import current_parallelism
from remediator.core.snapshot import Checkpoint, Job, Progress, Snapshot, Vertex
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
)
actions = st.one_of(
    scales.map(lambda scale: {"type": "Scale", "scale": scale}),
    st.fixed_dictionaries({"onlyIfFailed": sometimes, "allowSavepointRedeploy": sometimes}).map(
        lambda restore: {"type": "Restore", "restore": restore}
    ),
    st.just({"type": "Restart"}),
)


@st.composite
def policies(draw: st.DrawFn, trouble: st.SearchStrategy[bool]) -> PolicySpec:
    guards: dict[str, Any] = {
        "cooldown": draw(st.sampled_from(["0s", "15m"])),
        "budget": draw(st.lists(st.fixed_dictionaries({"max": st.integers(1, 5), "per": period}), max_size=2)),
        "approval": {"required": draw(trouble)},
        "gitOps": draw(st.sampled_from(["Refuse", "Take"])),
        "pauseRequests": ["maintenance"] if draw(trouble) else [],
    }
    return policy(actions=draw(st.lists(actions, min_size=1, max_size=3)), guards=guards)


@st.composite
def resources(draw: st.DrawFn, trouble: st.SearchStrategy[bool]) -> dict[str, Any]:
    configuration: dict[str, Any] = {}
    if draw(sometimes):
        configuration["jobmanager.scheduler"] = "adaptive"
    if draw(sometimes):
        configuration[OVERRIDES_KEY] = draw(st.sampled_from(["aa:2,bb:2", "bb:4", "aa:3, bb:4", ""]))
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
    if draw(sometimes):
        resource["spec"]["restartNonce"] = draw(st.integers(1, 9))
    if draw(trouble):
        resource["spec"]["taskManager"] = {"replicas": 2}
    if draw(trouble):
        resource["metadata"]["labels"] = {"helm.toolkit.fluxcd.io/name": "x"} if draw(sometimes) else {}
    if draw(trouble):
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
def jobs(draw: st.DrawFn, resource: dict[str, Any], trouble: st.SearchStrategy[bool]) -> Job | None:
    """The job of a FlinkDeployment, which mostly runs as its spec asks."""
    if draw(trouble):
        return None
    target = parse(resource)
    vertices = tuple(
        Vertex(
            vertex,
            vertex,
            draw(st.integers(1, 8)) if draw(trouble) else target.overrides.get(vertex, current_parallelism(target)),
            draw(st.sampled_from([128, 128, 4])),
        )
        for vertex in ("aa", "bb")
    )
    return Job(
        "job-1",
        "RUNNING",
        (*vertices, Vertex("cc", "sink", 1, 128)),
        completed=None if draw(trouble) else draw(checkpoints),
        restored=draw(st.none() | checkpoints),
        savepoint=draw(st.none() | checkpoints),
        checkpointing=not draw(trouble),
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


@st.composite
def worlds(draw: st.DrawFn, trouble: st.SearchStrategy[bool] = rarely) -> tuple[dict[str, Any], Snapshot]:
    """A FlinkDeployment as the API server has it, and a snapshot in which it is the target; with as much trouble."""
    resource, rules = draw(resources(trouble)), draw(policies(trouble))
    target = parse(resource)
    seen = snapshot(
        alert=ALERT.model_copy(update={"starts_at": draw(minutes_ago)}) if draw(trouble) else ALERT,
        resolved=draw(trouble),
        target_ref=TARGET.model_copy(update={"uid": "another"}) if draw(trouble) else TARGET,
        policy=rules,
        target=None if draw(trouble) else target,
        job=draw(jobs(resource, trouble)),
        siblings=draw(siblings) if draw(sometimes) else (),
        progress=Progress(
            step=draw(st.integers(0, len(rules.actions))) if draw(trouble) else 0,
            actions=tuple(draw(st.lists(minutes_ago, max_size=2))),
            checkpoint=draw(st.sampled_from([None, Checkpoint(5, None, "s3://bucket/chk-5")])),
            approval=draw(st.sampled_from(["", "approved", "denied", "yes"])),
        ),
        partitions=draw(st.none() | st.integers(1, 8)),
    )
    return resource, seen


@given(worlds())
def test_what_is_not_done_has_a_reason_and_says_what_to_do(world: tuple[dict[str, Any], Snapshot]) -> None:
    _, seen = world
    decision = decide(seen)
    if not isinstance(decision, Act):
        assert decision.reason in {reason for guard in CHAIN for reason in guard.reasons}
        assert len(decision.message) > 20


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_siblings_does_not_matter_and_the_same_world_is_decided_on_alike(
    world: tuple[dict[str, Any], Snapshot], random: Any
) -> None:
    _, seen = world
    shuffled = random.sample(seen.siblings, len(seen.siblings))
    assert decide(replace(seen, siblings=tuple(shuffled))) == decide(seen)


@given(worlds(trouble=never))
def test_an_action_stays_within_the_policys_bounds(world: tuple[dict[str, Any], Snapshot]) -> None:
    _, seen = world
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
def test_a_patch_applies_once_changes_what_it_should_and_its_inverse_brings_it_back(
    world: tuple[dict[str, Any], Snapshot],
) -> None:
    resource, seen = world
    decision = decide(seen)
    if not isinstance(decision, Act):
        return
    plan = decision.plan
    patched = apply_json_patch(resource, plan.patch)
    assert changed(resource, patched) <= MAY_CHANGE
    assert patched["metadata"]["annotations"][PLAN_ANNOTATION] == plan.id
    with pytest.raises(jsonpatch.JsonPatchException):
        apply_json_patch(patched, plan.patch)
    # Not even after somebody put everything back as it was, our annotation included.
    put_back = {**resource, "metadata": {**resource["metadata"], "generation": patched["metadata"]["generation"] + 1}}
    with pytest.raises(jsonpatch.JsonPatchException):
        apply_json_patch(put_back, plan.patch)
    back = apply_json_patch(patched, plan.inverse)
    assert _meant(back) == _meant(resource)
    with pytest.raises(jsonpatch.JsonPatchException):
        apply_json_patch(back, plan.inverse)
    if plan.action is not ActionType.SCALE:
        return
    assert current_parallelism(parse(patched)) == plan.parallelism_after
    # Removing an override, rather than setting its old value, would be a full upgrade.
    touched = set(parse(patched).overrides)
    assert set(parse(back).overrides) == touched
    if plan.method is Method.IN_PLACE:
        assert touched >= set(plan.vertices)


def _meant(resource: dict[str, Any]) -> tuple[Any, ...]:
    """The spec without its overrides, and the parallelism that each vertex is to have."""
    spec = json.loads(json.dumps(resource["spec"]))
    spec["flinkConfiguration"].pop(OVERRIDES_KEY, None)
    target = parse(resource)
    at = {vertex: target.overrides.get(vertex, current_parallelism(target)) for vertex in ("aa", "bb")}
    return spec, current_parallelism(target), at
