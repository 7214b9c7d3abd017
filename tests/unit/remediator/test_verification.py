"""A spec that says 4 is no proof that 4 runs."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from remediator.api.policy import Action, Scale
from remediator.api.reasons import Reason
from remediator.api.remediation import Plan, Times
from remediator.core.configuration import OVERRIDES_KEY
from remediator.core.flinkdeployment import FlinkDeployment, parse
from remediator.core.scale import plan_scale
from remediator.core.snapshot import Checkpoint
from remediator.core.verification import Ineffective, NotYet, Observation, Overridden, Verified, judge, measure
from worlds import NOW, apply_json_patch, flink_resource, job, policy, taken_up

SCALE = Action(type="Scale", scale=Scale(factor=2, max=4))
made = plan_scale(SCALE, parse(flink_resource()), job(), "plan-1")
assert isinstance(made, Plan)
PLAN: Plan = made
PATCHED = Times(planned=NOW, patched=NOW)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("", ""),
        ("a text", "a text"),
        ('["no object"]', '["no object"]'),
        (json.dumps({"type": "a.b.C", "message": "what"}), "what"),
        (json.dumps({"type": "a.b.C", "throwableList": []}), "a.b.C"),
        (json.dumps({"message": "what", "throwableList": [{"message": "x"}, {"message": "why"}]}), "what: why"),
        (json.dumps({"message": "what", "throwableList": [{"message": "what"}]}), "what"),
        (json.dumps({"message": "x" * 1000}), "x" * 300),
    ],
)
def test_what_flinks_operator_says_is_told_in_words(error: str, told: str) -> None:
    world = flink_resource()
    world["status"]["error"] = error
    assert parse(world).told == told


def patched_target(**status: Any) -> FlinkDeployment:
    return parse(taken_up(apply_json_patch(flink_resource(), PLAN.patch), **status))


def seen(after: timedelta = timedelta(minutes=1), **changes: Any) -> Observation:
    now = NOW + after
    at_four = job(4, completed=Checkpoint(9, NOW + timedelta(seconds=40)))
    return replace(Observation(now, patched_target(), at_four, True, 5.0), **changes)


def test_it_succeeds_when_the_query_has_held_long_enough() -> None:
    first = judge(policy(), PLAN, PATCHED, seen())
    assert isinstance(first, NotYet)
    assert first.reason is Reason.WAITING_FOR_QUERY
    later = judge(policy(), PLAN, first.times, seen(timedelta(minutes=2)))
    assert isinstance(later, Verified)


def test_a_break_in_the_query_starts_the_count_anew() -> None:
    first = judge(policy(), PLAN, PATCHED, seen())
    broken = judge(policy(), PLAN, first.times, seen(timedelta(seconds=90), query_holds=False))
    assert broken.times.holding_since is None
    assert isinstance(judge(policy(), PLAN, broken.times, seen(timedelta(minutes=2))), NotYet)


def test_a_silent_prometheus_does_not_break_the_count() -> None:
    first = judge(policy(), PLAN, PATCHED, seen())
    silent = judge(policy(), PLAN, first.times, seen(timedelta(seconds=90), query_holds=None))
    assert silent.times.holding_since == first.times.holding_since


def test_without_a_query_running_as_planned_is_enough() -> None:
    assert isinstance(judge(policy(verify={}), PLAN, PATCHED, seen(query_holds=None)), Verified)


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        (Reason.WAITING_FOR_OPERATOR, {"target": patched_target(observedGeneration=2)}),
        (Reason.WAITING_FOR_OPERATOR, {"target": patched_target(lifecycleState="UPGRADING")}),
        (Reason.WAITING_FOR_JOB, {"job": None}),
        (Reason.WAITING_FOR_JOB, {"job": job(4, state="RESTARTING")}),
        (Reason.WAITING_FOR_PARALLELISM, {"job": job(2)}),
        (Reason.WAITING_FOR_CHECKPOINT, {"job": job(4, completed=Checkpoint(9, NOW))}),
        (Reason.WAITING_FOR_CHECKPOINT, {"job": job(4, completed=None)}),
    ],
)
def test_it_waits_for_what_is_missing_and_no_longer_than_the_timeout(reason: Reason, changes: dict[str, Any]) -> None:
    verdict = judge(policy(), PLAN, PATCHED, seen(**changes))
    assert isinstance(verdict, NotYet)
    assert verdict.reason is reason
    late = judge(policy(), PLAN, PATCHED, seen(timedelta(minutes=10), **changes))
    assert isinstance(late, Ineffective)


def test_a_job_without_checkpoints_is_not_waited_for() -> None:
    verdict = judge(policy(), PLAN, PATCHED, seen(job=job(4, completed=None, checkpointing=False)))
    assert verdict.times.running is not None


def test_a_query_that_never_holds_is_ineffective() -> None:
    running = PATCHED.model_copy(update={"running": NOW})
    late = seen(timedelta(minutes=11), query_holds=False)
    assert isinstance(judge(policy(), PLAN, running, late), Ineffective)


def test_a_rollback_by_the_flink_operator_is_ineffective_at_once() -> None:
    verdict = judge(policy(), PLAN, PATCHED, seen(target=patched_target(lifecycleState="ROLLED_BACK")))
    assert isinstance(verdict, Ineffective)
    assert verdict.reason is Reason.ROLLED_BACK


@pytest.mark.parametrize(
    "where", [{"lifecycleState": "ROLLED_BACK"}, {"reconciliationStatus": {"state": "ROLLED_BACK"}}]
)
def test_a_rollback_is_seen_even_after_the_job_ran_as_planned(where: dict[str, Any]) -> None:
    """Flink's operator takes it back in memory: the spec still says 4."""
    running = judge(policy(), PLAN, PATCHED, seen()).times
    verdict = judge(policy(), PLAN, running, seen(timedelta(minutes=2), target=patched_target(**where)))
    assert isinstance(verdict, Ineffective)
    assert verdict.reason is Reason.ROLLED_BACK


@pytest.mark.parametrize(
    ("managers", "named"),
    [
        ([("argocd-controller", 30)], "Argo CD (argocd-controller)"),
        ([("kustomize-controller", 30)], "Flux (kustomize-controller)"),
        ([("helm-controller", 30)], "Flux (helm-controller)"),
        ([("kubectl-edit", 30), ("flink-operator", 10)], "kubectl-edit"),
        ([("kubectl-patch", 30), ("streaming-monitoring-remediator", 40)], "kubectl-patch"),
        ([("helm", 0)], "helm"),
        ([("kubectl-client-side-apply", -60)], "Somebody"),
        ([("argocd-controller", -60)], "Argo CD"),
        ([("", 30)], "Somebody"),
        ([], "Somebody"),
    ],
)
def test_who_takes_the_change_back_is_named(managers: list[tuple[str, int]], named: str) -> None:
    """By seconds after the patch; who only removes a field leaves no trace but being known to keep the resource."""
    resource = flink_resource()
    resource["metadata"]["managedFields"] = [
        {
            "manager": name,
            "operation": "Update",
            "time": (NOW + timedelta(seconds=after)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for name, after in managers
    ] + [{"manager": "flink-operator", "subresource": "status", "time": "2026-03-01T03:59:00Z"}]
    patched = PATCHED.model_copy(update={"patched": NOW + timedelta(milliseconds=700)})
    verdict = judge(policy(), PLAN, patched, seen(target=parse(resource)))
    assert isinstance(verdict, Overridden)
    assert verdict.reason is Reason.CHANGED_BY_OTHERS
    assert verdict.message.startswith(f"{named} has taken the change back")


def test_one_vertex_put_back_is_noticed_too() -> None:
    resource = apply_json_patch(flink_resource(), PLAN.patch)
    resource["spec"]["flinkConfiguration"][OVERRIDES_KEY] = "aa:4,bb:2"
    assert isinstance(judge(policy(), PLAN, PATCHED, seen(target=parse(resource))), Overridden)


def test_a_job_that_fails_again_while_the_query_holds_is_no_success() -> None:
    first = judge(policy(), PLAN, PATCHED, seen())
    failing = job(4, state="RESTARTING")
    again = judge(policy(), PLAN, first.times, seen(timedelta(minutes=2), job=failing))
    assert isinstance(again, NotYet)
    assert again.reason is Reason.WAITING_FOR_JOB
    assert again.times.holding_since is None
    late = judge(policy(), PLAN, again.times, seen(timedelta(minutes=12), job=failing))
    assert isinstance(late, Ineffective)


def test_a_silent_job_manager_proves_nothing_and_breaks_no_count() -> None:
    first = judge(policy(), PLAN, PATCHED, seen())
    silent = judge(policy(), PLAN, first.times, seen(timedelta(minutes=2), job=None))
    assert isinstance(silent, NotYet)
    assert silent.times.holding_since == first.times.holding_since


def test_what_flinks_operator_says_is_passed_on() -> None:
    stuck = patched_target(observedGeneration=3, error="Invalid parallelism")
    verdict = judge(policy(), PLAN, PATCHED, seen(target=stuck))
    assert "Invalid parallelism" in verdict.message


def test_a_redeploy_put_back_is_noticed() -> None:
    redeploy = plan_scale(SCALE, parse(flink_resource(flinkConfiguration={})), job(), "plan-2")
    patched = taken_up(apply_json_patch(flink_resource(flinkConfiguration={}), redeploy.patch))
    again = job(4, completed=Checkpoint(9, NOW + timedelta(seconds=40)), restored=Checkpoint(7, NOW))
    assert isinstance(judge(policy(verify={}), redeploy, PATCHED, seen(target=parse(patched), job=again)), Verified)
    patched["spec"]["job"]["parallelism"] = 2
    assert isinstance(judge(policy(verify={}), redeploy, PATCHED, seen(target=parse(patched))), Overridden)


def test_what_was_never_patched_is_not_judged() -> None:
    with pytest.raises(ValueError, match="not patched"):
        judge(policy(), PLAN, Times(planned=NOW), seen())


def test_a_deleted_target_ends_it() -> None:
    assert isinstance(judge(policy(), PLAN, PATCHED, seen(target=None)), Overridden)


def test_the_lowest_planned_vertex_is_measured() -> None:
    at = job(4)
    at = replace(at, vertices=(replace(at.vertices[0], parallelism=3), *at.vertices[1:]))
    assert measure(PLAN, at, None).parallelism == 3
    renamed = replace(at, vertices=tuple(replace(v, id=v.id + "x") for v in at.vertices))
    assert measure(PLAN, renamed, None).parallelism == 4
