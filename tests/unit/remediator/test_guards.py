"""Each guard objects to what it is there for, with its reason; a healthy world passes."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import TargetReference
from remediator.core.decision import Act, Cancel, Refuse, Wait
from remediator.core.flinkdeployment import parse
from remediator.core.planner import decide
from worlds import NOW, flink_resource, job, policy, sibling, snapshot, target


def _in_state(state: str, **status: Any) -> Any:
    resource = flink_resource()
    resource["status"] |= {"lifecycleState": state, **status}
    return parse(resource)


def _without_label() -> Any:
    resource = flink_resource()
    resource["metadata"]["labels"] = {}
    return parse(resource)


def _elsewhere(number: int) -> TargetReference:
    return TargetReference(namespace="streaming", name=f"job-{number}", uid=f"uid-{number}")


def _storm() -> tuple[Any, ...]:
    return tuple(sibling(f"s{n}", target=_elsewhere(n), created=NOW - timedelta(minutes=1)) for n in range(3))


def _spent(count: int, ago: timedelta) -> tuple[Any, ...]:
    return tuple(sibling(f"s{n}", planned=NOW - ago, finished=NOW - ago) for n in range(count))


CASES = [
    (Reason.ALERT_RESOLVED, Cancel, {"resolved": True}),
    (Reason.PAUSED, Wait, {"policy": policy(guards={"pauseRequests": ["migration"]})}),
    (Reason.TARGET_NOT_FOUND, Refuse, {"target": None}),
    (Reason.TARGET_REPLACED, Refuse, {"target_ref": _elsewhere(1)}),
    (Reason.NOT_OPTED_IN, Refuse, {"target": _without_label()}),
    (Reason.STATELESS_UPGRADE_MODE, Refuse, {"target": target(job={"parallelism": 2})}),
    (Reason.AUTOSCALER_ENABLED, Refuse, {"target": target(flinkConfiguration={"job.autoscaler.enabled": "true"})}),
    (Reason.TASK_MANAGER_REPLICAS_SET, Refuse, {"target": target(taskManager={"replicas": 2})}),
    (Reason.TARGET_NOT_STABLE, Wait, {"target": _in_state("UPGRADING")}),
    (Reason.TARGET_NOT_STABLE, Wait, {"target": _in_state("STABLE", observedGeneration=2)}),
    (Reason.TARGET_NOT_STABLE, Wait, {"target": _in_state("", observedGeneration=None)}),
    (Reason.TARGET_NOT_STABLE, Refuse, {"target": _in_state("FAILED")}),
    (Reason.TARGET_BUSY, Wait, {"siblings": (sibling(phase=Phase.VERIFYING, planned=NOW, finished=None),)}),
    (Reason.ALREADY_AT_MAXIMUM, Refuse, {"target": target(job={"parallelism": 4, "upgradeMode": "savepoint"})}),
    (Reason.COOLDOWN, Wait, {"siblings": _spent(1, timedelta(minutes=14))}),
    (Reason.BUDGET_EXHAUSTED, Refuse, {"siblings": _spent(3, timedelta(minutes=59))}),
    (Reason.BUDGET_EXHAUSTED, Refuse, {"siblings": _spent(7, timedelta(hours=23))}),
    (Reason.STORM, Refuse, {"siblings": _storm()}),
    (Reason.POLICY_INVALID, Refuse, {"policy": policy(verify={"query": "lag{a='{{ labels.absent }}'}"})}),
]


def test_a_healthy_world_is_acted_on() -> None:
    assert isinstance(decide(snapshot()), Act)


@pytest.mark.parametrize(("reason", "kind", "changes"), CASES, ids=lambda v: getattr(v, "value", None))
def test_a_guard_objects(reason: Reason, kind: type, changes: dict[str, Any]) -> None:
    decision = decide(snapshot(**changes))
    assert isinstance(decision, kind)
    assert decision.reason is reason
    assert len(decision.message) > 10


@pytest.mark.parametrize(
    "changes",
    [
        {"siblings": _spent(1, timedelta(minutes=15))},
        {"siblings": _spent(2, timedelta(minutes=59))},
        {"siblings": _spent(6, timedelta(hours=23))},
        {"siblings": _storm()[:2]},
        {"siblings": (sibling(phase=Phase.PENDING, planned=None, finished=None),)},
        {"target": target(taskManager={})},
    ],
)
def test_just_inside_the_limit_passes(changes: dict[str, Any]) -> None:
    assert isinstance(decide(snapshot(**changes)), Act)


def test_cooldown_waits_until_it_is_over() -> None:
    decision = decide(snapshot(siblings=_spent(1, timedelta(minutes=10))))
    assert isinstance(decision, Wait)
    assert decision.until == NOW + timedelta(minutes=5)


def test_the_operator_1_7_generation_is_found_in_the_reconciled_spec() -> None:
    resource = flink_resource()
    del resource["status"]["observedGeneration"]
    resource["status"]["reconciliationStatus"]["lastReconciledSpec"] = (
        '{"spec": {}, "resource_metadata": {"metadata": {"generation": 3}}}'
    )
    assert isinstance(decide(snapshot(target=parse(resource))), Act)


siblings = st.lists(
    st.builds(
        sibling,
        name=st.uuids().map(str),
        target=st.integers(0, 5).map(_elsewhere),
        phase=st.sampled_from(Phase),
        created=st.integers(0, 2000).map(lambda m: NOW - timedelta(minutes=m)),
        planned=st.none() | st.integers(0, 2000).map(lambda m: NOW - timedelta(minutes=m)),
        finished=st.none() | st.integers(0, 2000).map(lambda m: NOW - timedelta(minutes=m)),
    ),
    max_size=12,
)


@given(siblings, st.randoms(use_true_random=False))
def test_the_order_of_siblings_does_not_matter(others: list[Any], random: Any) -> None:
    shuffled = list(others)
    random.shuffle(shuffled)
    world = snapshot(target_ref=_elsewhere(0), target=None)
    assert decide(snapshot(siblings=tuple(others))) == decide(snapshot(siblings=tuple(shuffled)))
    assert isinstance(decide(world), Refuse)


@given(siblings)
def test_never_beyond_the_budget(others: list[Any]) -> None:
    same = tuple(sibling(s.name, planned=s.planned, finished=s.finished, phase=s.phase) for s in others)
    spent = sum(s.planned is not None and s.planned > NOW - timedelta(hours=1) for s in same)
    if spent >= 3:
        assert not isinstance(decide(snapshot(siblings=same, job=job())), Act)
