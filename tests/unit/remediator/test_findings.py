"""What is seen of a job forbids an action or is required for it; what is not seen forbids nothing."""

from typing import Any

import pytest
from remediator.api.diagnosis import Diagnosis, Finding, FindingType, VertexLoad
from remediator.core.decide import decide
from remediator.core.decision import Act, Refuse, Wait
from worlds import NOW, RESTORE, policy, snapshot

EVIDENCE = "97% of the backlog is in events/1."
LOADS = (VertexLoad(name="feature_extractor", parallelism=2),)


def seen(*types: FindingType, vertices: Any = LOADS) -> Diagnosis:
    findings = tuple(Finding(type=kind, message=EVIDENCE) for kind in types)
    return Diagnosis(time=NOW, findings=findings, main=types[0] if types else "", vertices=vertices)


def rung(**findings: Any) -> Any:
    return policy(actions=[{"type": "Scale", "scale": {"max": 4}, "findings": findings}])


@pytest.mark.parametrize("kind", FindingType)
def test_by_default_a_scale_is_refused_for_what_more_subtasks_do_not_help(kind: FindingType) -> None:
    decision = decide(snapshot(diagnosis=seen(kind)))
    if kind in ("HotPartition", "FewerPartitionsThanSubtasks"):
        assert isinstance(decision, Refuse)
        assert decision.reason == "FindingForbids"
        assert decision.message.startswith(f"{kind}: no Scale for it")
        assert EVIDENCE in decision.message
    else:
        assert isinstance(decision, Act)


def test_a_policy_may_forbid_nothing_or_something_else() -> None:
    assert isinstance(decide(snapshot(policy=rung(forbid=[]), diagnosis=seen(FindingType.HOT_PARTITION))), Act)
    world = snapshot(policy=rung(forbid=["WaitsOutside"]), diagnosis=seen(FindingType.WAITS_OUTSIDE))
    assert isinstance(decide(world), Refuse)


def test_a_restore_is_for_any_finding() -> None:
    world = snapshot(policy=policy(actions=RESTORE), diagnosis=seen(FindingType.HOT_PARTITION))
    assert isinstance(decide(world), Act)


@pytest.mark.parametrize("diagnosis", [None, seen(), seen(vertices=())], ids=["not looked", "nothing", "nothing read"])
def test_what_was_not_seen_forbids_nothing(diagnosis: Diagnosis | None) -> None:
    assert isinstance(decide(snapshot(diagnosis=diagnosis)), Act)


def test_a_required_finding_lets_pass_another_refuses_and_none_at_all_waits() -> None:
    required = rung(require=["CpuBound", "Garbage"])
    assert isinstance(decide(snapshot(policy=required, diagnosis=seen(FindingType.CPU_BOUND))), Act)
    other = decide(snapshot(policy=required, diagnosis=seen(FindingType.WAITS_OUTSIDE)))
    assert isinstance(other, Refuse)
    assert (other.reason, EVIDENCE in other.message) == ("FindingMissing", True)
    assert isinstance(decide(snapshot(policy=required, diagnosis=seen())), Refuse)
    for unseen in (None, seen(vertices=())):
        waiting = decide(snapshot(policy=required, diagnosis=unseen))
        assert isinstance(waiting, Wait)
        assert waiting.reason == "FindingMissing"
