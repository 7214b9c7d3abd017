"""Each guard objects to what it is there for, with its reason; a healthy world passes."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remediator.api.diagnosis import Diagnosis, Finding, FindingType, VertexLoad
from remediator.api.policy import Mode
from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import Method, Plan, TargetReference
from remediator.core.decide import decide
from remediator.core.decision import Act, Cancel, Refuse, Wait
from remediator.core.flinkdeployment import parse
from remediator.core.guards import CHAIN, SCALE_BACK_CHAIN
from remediator.core.planner import make_plan
from remediator.core.snapshot import Checkpoint, Progress, Vertex
from worlds import ALERT, NOW, RESTORE, flink_resource, in_state, job, policy, sibling, snapshot, target


def _without_label() -> Any:
    resource = flink_resource()
    resource["metadata"]["labels"] = {}
    return parse(resource)


def _marked(**metadata: Any) -> Any:
    resource = flink_resource()
    resource["metadata"] |= metadata
    return parse(resource)


def _restore(world: Any, **changes: Any) -> dict[str, Any]:
    return {"policy": policy(actions=RESTORE), "target": world, **changes}


def _under_operator_1_7(state: str = "RUNNING", **spec: Any) -> Any:
    """It writes the generation into the spec that it reconciled."""
    resource, last = flink_resource(**spec), {"resource_metadata": {"metadata": {"generation": 3}}}
    resource["status"] |= {
        "observedGeneration": None,
        "jobStatus": {"jobId": "job-1", "state": state},
        "reconciliationStatus": {"lastReconciledSpec": json.dumps(last)},
    }
    return parse(resource)


_NO_RESTARTS = {"restart-strategy.type": "none"}
_SAVEPOINTS = {"parallelism": 2, "upgradeMode": "savepoint"}
_ASKS = in_state("FAILED", error="HA metadata is not available. Manual restore required.")
_OLD = job(completed=Checkpoint(7, NOW - timedelta(minutes=31), "file:/checkpoints/chk-7"))
NO_PATH = job(completed=Checkpoint(7, NOW))
ONLY_IF_FAILED = ({"type": "Restore", "restore": {"onlyIfFailed": True}},)
LAST_RESORT = ({"type": "Restore", "restore": {"allowSavepointRedeploy": True}},)
IN_PLACE = policy(actions=[{"type": "Scale", "scale": {"max": 4, "strategy": "InPlace"}}])
_APPROVAL = policy(guards={"approval": {"required": True, "timeout": "15m"}})
_LONG_ASKED = {"approval_requested": NOW - timedelta(minutes=15)}


def _elsewhere(number: int) -> TargetReference:
    return TargetReference(namespace="streaming", name=f"job-{number}", uid=f"uid-{number}")


def _storm() -> tuple[Any, ...]:
    return tuple(sibling(f"s{n}", target=_elsewhere(n), created=NOW - timedelta(minutes=1)) for n in range(3))


_INCIDENT: dict[str, Any] = {"incident": "i1", "created": NOW - timedelta(minutes=5)}


def _same_incident(**changes: Any) -> Any:
    ended = {"phase": Phase.REFUSED, "actions": (), "finished": None, "created": NOW - timedelta(minutes=6)}
    return sibling("high-kafka-lag-0", **{**ended, "incident": "i1", **changes})


def planned(**changes: Any) -> Plan:
    return make_plan(snapshot(**changes))


def _spent(count: int, ago: timedelta) -> tuple[Any, ...]:
    return tuple(sibling(f"s{n}", actions=(NOW - ago,), finished=NOW - ago) for n in range(count))


def _many(count: int) -> Any:
    return job(vertices=tuple(Vertex(f"{n:032x}", "v", 2, 128) for n in range(count)))


_HOT = Diagnosis(
    time=NOW,
    main=FindingType.HOT_PARTITION,
    findings=(
        Finding(
            type=FindingType.HOT_PARTITION,
            message="97% of the backlog of 92,784 messages is in events/1, one of 4 partitions: one subtask reads "
            "it, and more of them do not help. Look at the keys that the producers write.",
        ),
    ),
    vertices=(VertexLoad(name="features", parallelism=2),),
)
_SMALL = Diagnosis(
    time=NOW,
    vertices=(VertexLoad(name="features", parallelism=2, busy=500),),
    input_rate=300,
    consumed_rate=330,
    backlog=1200,
)
_CPU_ONLY = policy(actions=[{"type": "Scale", "scale": {"max": 4}, "findings": {"require": ["CpuBound"]}}])
_SIZED = policy(actions=[{"type": "Scale", "scale": {"toDrainWithin": "10m", "max": 8}}])

CASES = [
    (Reason.FINDING_FORBIDS, Refuse, {"diagnosis": _HOT}),
    (Reason.FINDING_MISSING, Wait, {"policy": _CPU_ONLY}),
    (Reason.FINDING_MISSING, Refuse, {"policy": _CPU_ONLY, "diagnosis": _SMALL}),
    (Reason.SIZE_SUFFICES, Wait, {"policy": _SIZED, "diagnosis": _SMALL}),
    (Reason.ALERT_RESOLVED, Cancel, {"resolved": True}),
    (Reason.PAUSED, Wait, {"policy": policy(guards={"pauseRequests": ["migration"]})}),
    (Reason.PAUSED, Wait, {"stops": ("broker upgrade",), "namespace": "streaming"}),
    (Reason.TARGET_NOT_FOUND, Refuse, {"target": None}),
    (Reason.TARGET_NOT_FOUND, Refuse, {"target": None, "target_ref": TargetReference(namespace="streaming", name="g")}),
    (
        Reason.TARGET_UNREADABLE,
        Refuse,
        {"target": None, "unreadable": "spec.job.parallelism is not a whole number of at least 0 but 'two'"},
    ),
    (Reason.TARGET_BEING_DELETED, Refuse, {"target": _marked(deletionTimestamp="2026-03-01T02:40:00Z")}),
    (Reason.TARGET_BEING_DELETED, Refuse, _restore(in_state("DELETING"))),
    (
        Reason.RECORD_UNREADABLE,
        Wait,
        {"siblings": (sibling(unreadable="status.attempts: Input should be a valid tuple"),)},
    ),
    (Reason.PLAN_TOO_LARGE, Refuse, {"job": _many(1100)}),
    (Reason.PLAN_TOO_LARGE, Refuse, {"job": _many(1000)}),
    (Reason.JOB_MANAGER_UNREACHABLE, Wait, {"job": job(completed=None, checkpoints_known=False)}),
    (Reason.NO_COMPLETED_CHECKPOINT, Refuse, _restore(target(), job=job(completed=None, checkpointing=False))),
    (Reason.TARGET_NOT_STABLE, Wait, {"target": in_state("SOMETHING_NEW")}),
    (Reason.TARGET_REPLACED, Refuse, {"target_ref": _elsewhere(1)}),
    (Reason.NOT_OPTED_IN, Refuse, {"target": _without_label()}),
    (Reason.STATELESS_UPGRADE_MODE, Refuse, {"target": target(job={"parallelism": 2})}),
    (Reason.AUTOSCALER_ENABLED, Refuse, {"target": target(flinkConfiguration={"job.autoscaler.enabled": "true"})}),
    (Reason.TASK_MANAGER_REPLICAS_SET, Refuse, {"target": target(taskManager={"replicas": 2})}),
    (Reason.TARGET_NOT_STABLE, Wait, {"target": in_state("UPGRADING")}),
    (Reason.TARGET_NOT_STABLE, Wait, {"target": in_state("STABLE", observedGeneration=2)}),
    (Reason.TARGET_NOT_STABLE, Wait, {"target": in_state("", observedGeneration=None)}),
    (Reason.TARGET_NOT_STABLE, Refuse, {"target": in_state("FAILED")}),
    (Reason.TARGET_BUSY, Wait, {"siblings": (sibling(phase=Phase.VERIFYING, actions=(NOW,), finished=None),)}),
    (Reason.ALREADY_AT_MAXIMUM, Refuse, {"target": target(job={"parallelism": 4, "upgradeMode": "savepoint"})}),
    (Reason.COOLDOWN, Wait, {"siblings": _spent(1, timedelta(minutes=14))}),
    (Reason.BUDGET_EXHAUSTED, Refuse, {"siblings": _spent(3, timedelta(minutes=59))}),
    (Reason.BUDGET_EXHAUSTED, Refuse, {"siblings": _spent(7, timedelta(hours=23))}),
    (Reason.SETTLING, Wait, {"created": NOW - timedelta(seconds=2)}),
    (Reason.STORM, Wait, {"siblings": _storm(), "namespace": "streaming"}),
    (Reason.DUPLICATE, Cancel, {"siblings": (_same_incident(),), **_INCIDENT}),
    (Reason.ALERT_SILENCED, Wait, {"silenced": "silence 8f1c by ada (planned rescale) until 04:00 UTC"}),
    (Reason.BUDGET_EXHAUSTED, Refuse, {"progress": Progress(actions=(NOW,) * 3)}),
    (Reason.ALERT_STALE, Refuse, {"alert": ALERT.model_copy(update={"starts_at": NOW - timedelta(hours=25)})}),
    (Reason.MANAGED_BY_GITOPS, Refuse, {"target": _marked(annotations={"argocd.argoproj.io/tracking-id": "x"})}),
    (Reason.MANAGED_BY_GITOPS, Refuse, {"target": _marked(managedFields=[{"manager": "kustomize-controller"}])}),
    (Reason.TARGET_NOT_STABLE, Wait, {"target": in_state("STABLE", jobStatus={"state": "RESTARTING"})}),
    (Reason.TARGET_NOT_STABLE, Wait, {"job": job(vertices=(Vertex("aa", "source", 2, 128, "SCHEDULED"),))}),
    (Reason.OPERATOR_RECOVERING, Wait, {"target": in_state("STABLE", jobManagerDeploymentStatus="DEPLOYING")}),
    (Reason.OPERATOR_RECOVERING, Wait, {"target": in_state("STABLE", jobManagerDeploymentStatus="MISSING")}),
    (Reason.NO_COMPLETED_CHECKPOINT, Refuse, {"job": job(completed=None)}),
    (Reason.NO_COMPLETED_CHECKPOINT, Refuse, _restore(target(), job=job(completed=None))),
    (Reason.CHECKPOINT_TOO_OLD, Refuse, _restore(target(), job=_OLD)),
    (Reason.JOB_MANAGER_UNREACHABLE, Wait, {"job": None}),
    (Reason.JOB_MANAGER_UNREACHABLE, Wait, _restore(target(), job=None)),
    (Reason.JOB_NOT_FAILED, Wait, {"policy": policy(actions=ONLY_IF_FAILED)}),
    (Reason.ALERT_NOT_MATCHED, Refuse, {"policy": policy(match=[{"label": "severity", "value": "warning"}])}),
    (Reason.ALERT_NOT_MATCHED, Refuse, {"policy": policy(match=[{"label": "team", "operator": "=~", "value": ".+"}])}),
    (Reason.SESSION_CLUSTER, Refuse, {"target": target(job=None)}),
    (Reason.TARGET_NOT_STABLE, Refuse, {"target": in_state("STABLE", jobStatus={"state": "FINISHED"})}),
    (Reason.TARGET_NOT_STABLE, Refuse, _restore(in_state("STABLE", jobStatus={"state": "CANCELED"}))),
    (Reason.NO_VERTEX_FOLLOWS, Refuse, {"job": job(3)}),
    (Reason.IN_PLACE_NOT_POSSIBLE, Refuse, {"policy": IN_PLACE, "target": target(flinkVersion="v2_0")}),
    (Reason.MAX_PARALLELISM_EXCEEDED, Refuse, {"target": target(flinkConfiguration={"pipeline.max-parallelism": 3})}),
    (Reason.CHECKPOINT_TOO_OLD, Refuse, {"policy": policy(actions=LAST_RESORT), "target": _ASKS, "job": _OLD}),
    (Reason.MANUAL_RESTORE_REQUIRED, Refuse, {"policy": policy(actions=LAST_RESORT), "target": _ASKS, "job": NO_PATH}),
    (Reason.TARGET_NOT_STABLE, Refuse, _restore(in_state("SUSPENDED"))),
    (Reason.MANUAL_RESTORE_REQUIRED, Refuse, _restore(_ASKS)),
    (Reason.NO_RESTART_STRATEGY, Refuse, _restore(_under_operator_1_7(flinkConfiguration=_NO_RESTARTS))),
    (
        Reason.NO_RESTART_STRATEGY,
        Refuse,
        {"target": _under_operator_1_7(flinkConfiguration={"restart-strategy": "off"})},
    ),
    (Reason.APPROVAL_REQUIRED, Wait, {"policy": _APPROVAL, "namespace": "streaming"}),
    (Reason.APPROVAL_DENIED, Cancel, {"policy": _APPROVAL, "progress": Progress(approval="denied")}),
    (
        Reason.APPROVAL_EXPIRED,
        Cancel,
        {"policy": _APPROVAL, "progress": Progress(**_LONG_ASKED, proposal=planned(policy=_APPROVAL).id)},
    ),
    (Reason.POLICY_INVALID, Refuse, {"progress": Progress(step=1)}),
    (Reason.POLICY_INVALID, Refuse, {"policy": policy(verify={"query": "lag{a='{{ labels.absent }}'}"})}),
]


def test_a_healthy_world_is_acted_on() -> None:
    assert isinstance(decide(snapshot()), Act)


def test_every_reason_of_every_guard_has_a_case() -> None:
    assert {reason for reason, _, _ in CASES} == {reason for guard in CHAIN for reason in guard.reasons}
    assert set(SCALE_BACK_CHAIN) < set(CHAIN)


@pytest.mark.parametrize(("reason", "kind", "changes"), CASES, ids=lambda v: getattr(v, "value", None))
def test_a_guard_objects(reason: Reason, kind: type, changes: dict[str, Any]) -> None:
    decision = decide(snapshot(**changes))
    assert isinstance(decision, kind)
    assert decision.reason is reason
    assert len(decision.message) > 10
    objecting = next(guard for guard in CHAIN if guard(snapshot(**changes)) is not None)
    assert reason in objecting.reasons


@pytest.mark.parametrize(
    "changes",
    [
        {"siblings": _spent(1, timedelta(minutes=15))},
        {"siblings": _spent(2, timedelta(minutes=59))},
        {"siblings": _spent(6, timedelta(hours=23))},
        {"siblings": _storm()[:2]},
        {"siblings": (sibling(phase=Phase.PENDING, actions=(), finished=None),)},
        {"target": target(taskManager={})},
        {"job": job(completed=None, restored=Checkpoint(3))},
        {"job": job(completed=None, checkpointing=False)},
        {"policy": _APPROVAL, "progress": Progress(approval=f"approved:{planned(policy=_APPROVAL).id}")},
        {"created": NOW - timedelta(seconds=3)},
        {"siblings": (_same_incident(resolved=True),), **_INCIDENT},
        {"siblings": (_same_incident(created=NOW - timedelta(minutes=4)),), **_INCIDENT},
        {"policy": _APPROVAL.model_copy(update={"mode": Mode.OBSERVE})},
        {"alert": ALERT.model_copy(update={"starts_at": NOW - timedelta(hours=24)})},
        {
            "target": _marked(labels={**flink_resource()["metadata"]["labels"], "helm.toolkit.fluxcd.io/name": "x"}),
            "policy": policy(guards={"gitOps": "Take"}),
        },
        _restore(target()),
        _restore(in_state("FAILED")),
        _restore(in_state("FAILED"), job=job(completed=None, checkpoints_known=False)),
        {"siblings": (sibling(target=_elsewhere(1), unreadable="status"),)},
        {"job": _many(500)},
        {"policy": policy(actions=ONLY_IF_FAILED), "target": in_state("FAILED")},
        {"policy": IN_PLACE},
        {"job": job(vertices=(*job().vertices, Vertex("dd", "lookup table", 1, 128, "FINISHED")))},
        _restore(target(taskManager={"replicas": 2})),
        _restore(target(flinkConfiguration=_NO_RESTARTS)),
        _restore(_under_operator_1_7("FAILED", flinkConfiguration=_NO_RESTARTS)),
        {"target": _under_operator_1_7(flinkConfiguration={"jobmanager.scheduler": "adaptive", **_NO_RESTARTS})},
        {"target": _under_operator_1_7(flinkConfiguration=_NO_RESTARTS, job=_SAVEPOINTS)},
        _restore(target(), job=job(completed=Checkpoint(7, NOW - timedelta(minutes=30)))),
    ],
)
def test_just_inside_the_limit_passes(changes: dict[str, Any]) -> None:
    assert isinstance(decide(snapshot(**changes)), Act)


def test_a_session_cluster_without_any_mention_of_a_job_is_seen() -> None:
    resource = flink_resource()
    del resource["spec"]["job"]
    assert decide(snapshot(target=parse(resource))) == decide(snapshot(target=target(job=None)))


def test_a_restart_that_flinks_operator_could_not_carry_out_is_followed_by_the_last_resort() -> None:
    """It leaves the generation behind for good: see FLINK-39043."""
    stuck = in_state("FAILED", observedGeneration=2, error=_ASKS.error)
    world = {"policy": policy(actions=LAST_RESORT), "target": stuck}
    first = decide(snapshot(**world))
    assert isinstance(first, Wait)
    second = decide(snapshot(**world, progress=Progress(actions=(NOW - timedelta(minutes=1),))))
    assert isinstance(second, Act)
    assert second.plan.method is Method.SAVEPOINT_REDEPLOY


def test_who_is_asked_learns_what_follows_and_what_was_misspelt() -> None:
    ladder = policy(
        actions=[{"type": "Scale", "scale": {"max": 4}}, {"type": "Restart"}], guards={"approval": {"required": True}}
    )
    decision = decide(snapshot(policy=ladder, progress=Progress(approval="yes"), namespace="streaming"))
    assert isinstance(decision, Wait)
    assert "Scale 2 to 4 (if that does not help, Restart will be asked about), plan " in decision.message
    assert "'yes' is neither" in decision.message
    assert "kubectl -n streaming annotate --overwrite frem high-kafka-lag-1 " in decision.message


def test_an_approval_is_for_one_plan() -> None:
    """Made again from the same world, the plan is the same; when the target has changed meanwhile it is another."""
    asking = snapshot(policy=_APPROVAL)
    decision = decide(asking)
    assert isinstance(decision, Wait)
    assert decision.proposal in decision.message
    approved = replace(asking, progress=Progress(approval=f"approved:{decision.proposal}"))
    later = replace(approved, now=NOW + timedelta(minutes=1), job=job(completed=Checkpoint(8, NOW, "file:/chk-8")))
    assert isinstance(decide(later), Act)
    seven = parse(flink_resource(job={"parallelism": 3, "upgradeMode": "last-state"}))
    changed = replace(later, target=seven, job=job(3))
    again = decide(changed)
    assert isinstance(again, Wait)
    assert again.proposal != decision.proposal
    assert f"What was approved is plan {decision.proposal}" in again.message
    assert isinstance(decide(replace(approved, uid="another record")), Wait)


@pytest.mark.parametrize(
    ("answer", "by", "told"),
    [
        ("approved", "kubectl-annotate", "'approved' alone names no plan: write approved:"),
        ("approved:{plan}", "streaming-monitoring-remediator", "was written by streaming-monitoring-remediator"),
        ("denied", "streaming-monitoring-remediator", "was written by streaming-monitoring-remediator"),
    ],
)
def test_what_does_not_count_as_an_approval_is_told(answer: str, by: str, told: str) -> None:
    given = answer.format(plan=planned(policy=_APPROVAL).id)
    decision = decide(snapshot(policy=_APPROVAL, progress=Progress(approval=given, approved_by=by)))
    assert isinstance(decision, Wait)
    assert told in decision.message


def test_another_plan_is_asked_about_for_as_long_as_the_first() -> None:
    about_another = Progress(**_LONG_ASKED, proposal="another")
    assert isinstance(decide(snapshot(policy=_APPROVAL, progress=about_another)), Wait)


def _in_trouble(number: int, **changes: Any) -> Any:
    fresh = {"created": NOW, "starts_at": NOW - timedelta(minutes=5), "actions": (), "finished": None}
    return sibling(f"s{number}", **{**fresh, "target": _elsewhere(number), "phase": Phase.PENDING, **changes})


@pytest.mark.parametrize(
    ("others", "storm"),
    [
        ([{}, {}, {}], True),
        ([{}, {}, {"resolved": True}], False),
        # A resync after an outage creates all at once; their alerts began at different times.
        ([{}, {}, {"starts_at": NOW - timedelta(minutes=30)}], False),
        # It lasts as long as the alerts do, not as long as the period.
        ([{"starts_at": NOW - timedelta(hours=2)}] * 4, True),
        ([{"starts_at": NOW - timedelta(hours=25)}] * 4, False),
        ([{}, {}, {"target": TargetReference(namespace="streaming", name="g")}], False),
    ],
)
def test_a_storm_is_judged_by_the_alerts_that_fire(others: list[dict[str, Any]], storm: bool) -> None:
    siblings = tuple(_in_trouble(number, **changes) for number, changes in enumerate(others))
    decision = decide(snapshot(siblings=siblings))
    assert isinstance(decision, Wait if storm else Act)


def test_a_person_may_let_one_through_a_storm() -> None:
    decision = decide(snapshot(siblings=_storm()))
    assert isinstance(decision, Wait)
    approved = Progress(approval=f"approved:{decision.proposal}")
    assert isinstance(decide(snapshot(siblings=_storm(), progress=approved)), Act)


def test_who_is_being_deleted_keeps_nobody_waiting() -> None:
    held = sibling(phase=Phase.VERIFYING, actions=(NOW - timedelta(days=2),), finished=None, deleting=True)
    assert isinstance(decide(snapshot(siblings=(held,))), Act)


def test_a_policy_without_a_storm_gate_acts_in_a_storm() -> None:
    assert isinstance(decide(snapshot(siblings=_storm(), policy=policy(guards={"storm": None}))), Act)


def test_a_generation_that_nobody_wrote_down_is_not_caught_up() -> None:
    resource = flink_resource()
    del resource["status"]["observedGeneration"]
    resource["status"]["reconciliationStatus"]["lastReconciledSpec"] = "no JSON"
    assert isinstance(decide(snapshot(target=parse(resource))), Wait)


def test_cooldown_waits_until_it_is_over() -> None:
    decision = decide(snapshot(siblings=_spent(1, timedelta(minutes=10))))
    assert isinstance(decision, Wait)
    assert decision.until == NOW + timedelta(minutes=5)


def test_a_restart_by_the_flink_operator_itself_is_waited_for() -> None:
    resource = flink_resource(flinkConfiguration={"kubernetes.operator.job.restart.failed": "true"})
    resource["status"] |= {"lifecycleState": "FAILED", "jobStatus": {"jobId": "job-1", "state": "FAILED"}}
    decision = decide(snapshot(policy=policy(actions=RESTORE), target=parse(resource)))
    assert isinstance(decision, Wait)
    assert decision.reason is Reason.OPERATOR_RECOVERING


def test_too_few_partitions_are_a_warning() -> None:
    decision = decide(snapshot(diagnosis=Diagnosis(time=NOW, partitions=3)))
    assert isinstance(decision, Act)
    assert decision.plan.warnings[0].startswith("MorePartitionsNeeded: the topics have 3 partitions; of 4 source")
    enough = decide(snapshot(diagnosis=Diagnosis(time=NOW, partitions=4)))
    assert isinstance(enough, Act)
    assert enough.plan.warnings == ()


def test_the_operator_1_7_generation_is_found_in_the_reconciled_spec() -> None:
    assert isinstance(decide(snapshot(target=_under_operator_1_7())), Act)


siblings = st.lists(
    st.builds(
        sibling,
        name=st.uuids().map(str),
        target=st.integers(0, 5).map(_elsewhere),
        phase=st.sampled_from(Phase),
        created=st.integers(0, 2000).map(lambda m: NOW - timedelta(minutes=m)),
        actions=st.lists(st.integers(0, 2000).map(lambda m: NOW - timedelta(minutes=m)), max_size=3).map(tuple),
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
    same = tuple(sibling(s.name, actions=s.actions, finished=s.finished, phase=s.phase) for s in others)
    spent = sum(moment > NOW - timedelta(hours=1) for s in same for moment in s.actions)
    if spent >= 3:
        assert not isinstance(decide(snapshot(siblings=same, job=job())), Act)
