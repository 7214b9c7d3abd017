"""A restore's plan, and how it is told that the job really runs again from its state."""

import json
from datetime import timedelta
from typing import Any

import jsonpatch
import pytest
from remediator.api.names import PLAN_ANNOTATION
from remediator.api.reasons import Reason
from remediator.api.remediation import Method, Plan, Times
from remediator.core.decide import decide
from remediator.core.decision import Act
from remediator.core.flinkdeployment import parse
from remediator.core.record import describe
from remediator.core.snapshot import Checkpoint, Progress
from remediator.core.verification import Broken, Ineffective, NotYet, Observation, Overridden, Verified, judge
from worlds import NOW, RESTORE, apply_json_patch, flink_resource, job, policy, snapshot, taken_up

ASKS = "HA metadata is not available to restore from last state. Manual restore required."
LAST_RESORT = ({"type": "Restore", "restore": {"allowSavepointRedeploy": True}},)


def plan(world: dict[str, Any], **changes: Any) -> Plan:
    decision = decide(snapshot(**{"policy": policy(actions=RESTORE), "target": parse(world), **changes}))
    assert isinstance(decision, Act), decision
    return decision.plan


def asking(**spec: Any) -> dict[str, Any]:
    world = flink_resource(**spec)
    world["status"] |= {"lifecycleState": "FAILED", "error": ASKS}
    return world


def test_a_restore_restarts_from_the_last_state() -> None:
    world = flink_resource(job={"parallelism": 2, "upgradeMode": "savepoint"})
    made = plan(world)
    assert (made.method, describe(made)) == (Method.LAST_STATE, "Restore checkpoint 7")
    patched = apply_json_patch(world, made.patch)
    assert patched["spec"]["restartNonce"] == 1
    assert patched["spec"]["job"]["upgradeMode"] == "last-state"
    assert patched["metadata"]["annotations"][PLAN_ANNOTATION] == made.id
    back = apply_json_patch(patched, made.inverse)
    assert (back["spec"], back["metadata"]["generation"]) == (world["spec"], 5)
    with pytest.raises(jsonpatch.JsonPatchException):
        apply_json_patch(taken_up(patched), made.inverse)


def test_the_nonce_is_counted_on() -> None:
    world = flink_resource(restartNonce=4)
    made = plan(world)
    assert apply_json_patch(world, made.patch)["spec"]["restartNonce"] == 5
    moved = flink_resource(restartNonce=6)
    with pytest.raises(jsonpatch.JsonPatchException):
        apply_json_patch(moved, made.patch)


def test_a_restart_keeps_the_upgrade_mode() -> None:
    world = flink_resource(job={"parallelism": 2, "upgradeMode": "savepoint"})
    made = plan(world, policy=policy(actions=[{"type": "Restart"}]))
    assert describe(made) == "Restart"
    assert apply_json_patch(world, made.patch)["spec"]["job"]["upgradeMode"] == "savepoint"


@pytest.mark.parametrize(
    "known",
    [
        {"job": job(completed=Checkpoint(7, NOW, "s3://b/chk-7"))},
        {"job": None, "progress": Progress(checkpoint=Checkpoint(7, None, "s3://b/chk-7"))},
    ],
)
def test_a_path_is_the_last_resort(known: dict[str, Any]) -> None:
    made = plan(asking(), policy=policy(actions=LAST_RESORT), **known)
    assert (made.method, describe(made)) == (Method.SAVEPOINT_REDEPLOY, "Restore checkpoint 7")
    spec = apply_json_patch(asking(), made.patch)["spec"]
    assert spec["job"]["initialSavepointPath"] == "s3://b/chk-7"
    assert spec["job"]["savepointRedeployNonce"] == 1


PLAN = plan(flink_resource())
RESTARTED = parse(taken_up(apply_json_patch(flink_resource(), PLAN.patch)))
PATCHED = Times(planned=NOW, patched=NOW)


def seen(**changes: Any) -> Observation:
    again = job(
        completed=Checkpoint(9, NOW + timedelta(seconds=50)), restored=Checkpoint(7, NOW + timedelta(seconds=30))
    )
    fields = {"now": NOW + timedelta(minutes=1), "target": RESTARTED, "job": again, "query_holds": True}
    return Observation(**{**fields, **changes})


def test_it_runs_again_from_its_state() -> None:
    assert isinstance(judge(policy(verify={}), PLAN, PATCHED, seen()), Verified)


def test_a_job_that_started_empty_is_not_called_restored() -> None:
    empty = job(completed=Checkpoint(1, NOW + timedelta(seconds=50)))
    verdict = judge(policy(verify={}), PLAN, PATCHED, seen(job=empty))
    assert isinstance(verdict, Broken)
    assert verdict.reason is Reason.STARTED_WITHOUT_STATE


def test_a_job_that_started_from_an_older_checkpoint_is_not_called_restored() -> None:
    older = job(completed=Checkpoint(8, NOW + timedelta(seconds=50)), restored=Checkpoint(6, NOW))
    verdict = judge(policy(verify={}), PLAN, PATCHED, seen(job=older))
    assert isinstance(verdict, Broken)
    assert verdict.reason is Reason.STARTED_FROM_OLDER_STATE


def test_a_job_without_checkpoints_has_no_state_to_miss() -> None:
    stateless = job(completed=None, checkpointing=False)
    assert isinstance(judge(policy(verify={}), PLAN, PATCHED, seen(job=stateless)), Verified)


def test_another_restart_meanwhile_is_noticed_with_its_author() -> None:
    other = apply_json_patch(flink_resource(), PLAN.patch)
    other["spec"]["restartNonce"] = 9
    other["metadata"]["managedFields"] = [
        {"manager": "kubectl-edit", "time": "2026-03-01T03:00:30Z"},
        {"manager": "streaming-monitoring-remediator", "time": "2026-03-01T03:00:31Z"},
        {"manager": "flink-operator", "time": "2026-03-01T03:00:32Z", "subresource": "status"},
    ]
    verdict = judge(policy(verify={}), PLAN, PATCHED, seen(target=parse(other)))
    assert isinstance(verdict, Overridden)
    assert "kubectl-edit" in verdict.message


def test_a_manual_restore_is_not_waited_for() -> None:
    stuck = apply_json_patch(flink_resource(), PLAN.patch)
    stuck["status"] |= {"error": json.dumps({"message": ASKS})}
    for world in (stuck, taken_up(stuck)):  # Flink's operator may leave the generation behind
        verdict = judge(policy(verify={}), PLAN, PATCHED, seen(target=parse(world)))
        assert isinstance(verdict, Ineffective)
        assert verdict.reason is Reason.MANUAL_RESTORE_REQUIRED


def test_the_error_that_led_to_the_last_resort_may_still_be_there() -> None:
    last = plan(asking(), policy=policy(actions=LAST_RESORT))
    patched = apply_json_patch(asking(), last.patch)
    verdict = judge(policy(verify={}), last, PATCHED, seen(target=parse(patched)))
    assert isinstance(verdict, NotYet)
    assert verdict.reason is Reason.WAITING_FOR_OPERATOR
    again = judge(policy(verify={}), last, PATCHED, seen(target=parse(taken_up(patched))))
    assert isinstance(again, Ineffective)
    restarted = parse(taken_up(patched, lifecycleState="STABLE", error=""))
    assert isinstance(judge(policy(verify={}), last, PATCHED, seen(target=restarted)), Verified)


def test_the_target_of_a_restore_may_be_failed() -> None:
    world = flink_resource()
    world["status"] |= {"lifecycleState": "FAILED", "jobStatus": {"jobId": "job-1", "state": "FAILED"}}
    assert plan(world).checkpoint == 7
