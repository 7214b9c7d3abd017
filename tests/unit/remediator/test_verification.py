"""A spec that says 4 is no proof that 4 runs."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from remediator.api.policy import Action, Scale
from remediator.api.reasons import Reason
from remediator.api.remediation import Plan, Times
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


def test_somebody_who_takes_the_change_back_is_noticed() -> None:
    verdict = judge(policy(), PLAN, PATCHED, seen(target=parse(flink_resource())))
    assert isinstance(verdict, Overridden)
    assert verdict.reason is Reason.CHANGED_BY_OTHERS


def test_a_deleted_target_ends_it() -> None:
    assert isinstance(judge(policy(), PLAN, PATCHED, seen(target=None)), Overridden)


def test_the_lowest_planned_vertex_is_measured() -> None:
    at = job(4)
    at = replace(at, vertices=(replace(at.vertices[0], parallelism=3), *at.vertices[1:]))
    assert measure(PLAN, at, None).parallelism == 3
    renamed = replace(at, vertices=tuple(replace(v, id=v.id + "x") for v in at.vertices))
    assert measure(PLAN, renamed, None).parallelism == 4
