"""The simulated clock: when policies act, wait, refuse and ask. The expected minutes are reckoned by hand.

A job runs 2 minutes after an action, its alert ends 5 minutes later, and the query has then to hold for 1 minute: what
is begun at minute 0 is verified at minute 8.
"""

from datetime import timedelta
from typing import Any

import pytest
from backtest_worlds import at, deployment, fires, minutes, policy, replay, told
from remediator.api.reasons import Phase, Reason

RESTART: dict[str, Any] = {"type": "Restart"}
SCALE: dict[str, Any] = {"type": "Scale", "scale": {"max": 16}}


def test_an_action_that_helps_ends_its_alert() -> None:
    (record,) = replay([policy()], [fires(0, 60)])
    assert told(record) == [(0, "act", "Scale 2 to 4")]
    assert (record.phase, minutes(record.finished), minutes(record.ends_at)) == (Phase.SUCCEEDED, 8, 7)
    assert record.wakes
    assert not record.needed_a_person


def test_an_alert_that_ended_earlier_in_history_ends_then() -> None:
    (record,) = replay([policy()], [fires(0, 3)])
    assert (record.phase, minutes(record.finished), minutes(record.ends_at)) == (Phase.SUCCEEDED, 8, 3)


def test_the_cooldown_is_waited_for_and_the_job_has_kept_its_new_size() -> None:
    first, second = replay([policy(guards={"cooldown": "15m"})], [fires(0, 9), fires(10, 60)])
    assert told(first) == [(0, "act", "Scale 2 to 4")]
    assert told(second) == [(10, "wait", "Cooldown"), (23, "act", "Scale 4 to 8")]
    assert second.waited == {Reason.COOLDOWN: timedelta(minutes=13)}
    assert minutes(second.ends_at) == 30


def test_an_alert_that_ends_in_the_cooldown_needs_nothing() -> None:
    _, second = replay([policy(guards={"cooldown": "15m"})], [fires(0, 9), fires(10, 20)])
    assert (second.phase, second.reason, minutes(second.finished)) == (Phase.CANCELLED, Reason.ALERT_RESOLVED, 20)
    assert second.waited == {Reason.COOLDOWN: timedelta(minutes=10)}


def test_the_budget_counts_a_sliding_period() -> None:
    limited = policy(guards={"budget": [{"max": 2, "per": "1h"}]})
    records = replay([limited], [fires(m, m + 9) for m in (0, 10, 20, 65)])
    assert [told(r)[0][:2] for r in records] == [(0, "act"), (10, "act"), (20, "refuse"), (65, "act")]
    assert records[2].reason == Reason.BUDGET_EXHAUSTED
    assert records[2].needed_a_person


def test_no_further_than_the_policy_allows() -> None:
    records = replay([policy()], [fires(m, m + 9) for m in (0, 10, 20, 30)])
    assert [told(r)[0][2] for r in records] == ["Scale 2 to 4", "Scale 4 to 8", "Scale 8 to 16", "AlreadyAtMaximum"]


def test_a_storm_is_waited_out_and_woke_somebody() -> None:
    stormy = policy(guards={"storm": {"maxTargets": 1, "per": "10m"}})
    jobs = ("a", "b", "c")
    records = replay(
        [stormy],
        [fires(0, end, app=app) for app, end in zip(jobs, (10, 20, 60), strict=True)],
        [deployment(app) for app in jobs],
    )
    a, b, c = sorted(records, key=lambda r: r.target_ref.name)
    settled = 3 / 60
    assert told(a) == told(b) == [(settled, "wait", "Storm")]
    assert [(r.phase, minutes(r.finished)) for r in (a, b)] == [(Phase.CANCELLED, 10), (Phase.CANCELLED, 20)]
    # The second alert ends at minute 20; in a storm one looks once a minute.
    assert told(c) == [(settled, "wait", "Storm"), (21, "act", "Scale 2 to 4")]
    assert all(record.needed_a_person for record in records)


def test_a_storm_passes_when_its_alerts_are_too_old_to_count() -> None:
    stormy = policy(guards={"storm": {"maxTargets": 1, "per": "10m"}, "maxAlertAge": "1h"})
    jobs = ("a", "b", "c")
    found = [fires(begin, None, app) for begin, app in zip((0, 0, 5), jobs, strict=True)]
    a, b, c = replay([stormy], found, [deployment(app) for app in jobs])
    assert [told(record)[-1][1:] for record in (a, b)] == [("refuse", "AlertStale")] * 2
    # One second after an hour; in a storm one looks once a minute.
    assert told(c) == [(5 + 3 / 60, "wait", "Storm"), (61, "act", "Scale 2 to 4")]


def test_the_ladder_is_climbed_when_nothing_helps() -> None:
    (record,) = replay([policy(actions=[SCALE, RESTART])], [fires(0, None)], helps=False)
    # Runs at 2, not verified by 2 + 10 + 1, taken back by 15; a restart runs at 17, and is given up at 17 + 11.
    assert told(record) == [(0, "act", "Scale 2 to 4"), (13, "back", "to 2"), (15, "act", "Restart")]
    assert (record.phase, minutes(record.finished)) == (Phase.INEFFECTIVE, 28)
    assert record.target is not None
    assert record.target.deployment.parallelism == 2
    assert record.needed_a_person


def test_without_an_effect_what_ended_in_time_counts_as_verified() -> None:
    (record,) = replay([policy(actions=[SCALE, RESTART])], [fires(0, 11)], helps=False)
    assert told(record) == [(0, "act", "Scale 2 to 4")]
    assert (record.phase, minutes(record.finished), record.needed_a_person) == (Phase.SUCCEEDED, 12, False)


def test_success_without_a_query_is_none_for_who_is_woken() -> None:
    (record,) = replay([policy(verify={})], [fires(0, 60)], helps=False)
    assert (record.phase, minutes(record.finished), record.needed_a_person) == (Phase.SUCCEEDED, 2, True)


def test_a_start_that_takes_too_long_is_no_success() -> None:
    (record,) = replay([policy(actions=[{**RESTART, "timeout": "2m"}])], [fires(0, 60)])
    assert (record.phase, minutes(record.finished)) == (Phase.INEFFECTIVE, 2)


def test_windows_decide_whether_it_acts_asks_or_observes() -> None:
    windows = [{"from": "09:00", "to": "17:00", "mode": "Act"}, {"from": "20:00", "to": "22:00", "mode": "Ask"}]
    timed = policy(guards={"schedule": {"windows": windows, "otherwise": "Observe"}})
    eight, ten, twenty = replay([timed], [fires(h * 60, h * 60 + 50) for h in (8, 10, 20)])
    assert told(eight) == [(480, "observe", "Scale 2 to 4")]
    assert (eight.phase, eight.actions) == (Phase.OBSERVED, ())
    assert told(ten) == [(600, "act", "Scale 2 to 4")]
    assert told(twenty) == [(1200, "ask", "")]
    assert (twenty.reason, minutes(twenty.finished)) == (Reason.APPROVAL_EXPIRED, 1215)
    assert twenty.needed_a_person


def test_a_question_is_dropped_when_the_policy_may_act_by_itself() -> None:
    windows = [{"from": "09:00", "to": "17:00", "mode": "Act"}]
    guards = {"schedule": {"windows": windows, "otherwise": "Ask"}, "approval": {"timeout": "2h"}}
    (record,) = replay([policy(guards=guards)], [fires(8 * 60, 11 * 60)])
    assert told(record) == [(480, "ask", ""), (540, "act", "Scale 2 to 4")]


def test_a_pause_ends_when_it_says_so() -> None:
    paused = policy(guards={"pauseRequests": ["migration until 2026-03-02T00:30:00Z"]})
    (record,) = replay([paused], [fires(0, 60)])
    assert told(record) == [(0, "wait", "Paused"), (30, "act", "Scale 2 to 4")]


def test_a_scale_that_helped_is_taken_back_when_the_target_has_been_quiet() -> None:
    quiet = policy(revert={"after": {"query": "lag < 10", "quietFor": "30m"}}, guards={"cooldown": "15m"})
    first, second, third = replay([quiet], [fires(0, 9), fires(25, 27), fires(70, 90)])
    # The second is verified at 33, and the target is quiet from then on; the third waits for 63 + 15.
    assert told(first)[0] == (0, "act", "Scale 2 to 4")
    assert told(second) == [(25, "act", "Scale 4 to 8"), (63, "back", "to 4")]
    assert told(third) == [(70, "wait", "Cooldown"), (78, "act", "Scale 4 to 8"), (116, "back", "to 4")]


def test_a_scale_is_not_taken_back_while_another_alert_of_the_target_fires() -> None:
    quiet = policy(revert={"after": {"query": "lag < 10", "quietFor": "30m"}})
    watching = policy("watching", alert="Slow", mode="Observe")
    first, _ = replay([quiet, watching], [fires(0, 9), fires(30, 50, alert="Slow")])
    # Due at 8 + 30; the other alert ends at 50, and it is quiet from then on.
    assert told(first) == [(0, "act", "Scale 2 to 4"), (80, "back", "to 2")]


def test_a_scale_is_not_taken_back_by_a_policy_that_may_not_act_any_more() -> None:
    after = {"after": {"query": "lag < 10", "quietFor": "30m"}}
    windows = [{"from": "00:00", "to": "00:10", "mode": "Act"}, {"from": "02:00", "to": "00:00", "mode": "Act"}]
    timed = policy(revert=after, guards={"schedule": {"windows": windows, "otherwise": "Observe"}})
    (record,) = replay([timed], [fires(0, 9)])
    # Due at 38; tried again every 10 minutes until it may act.
    assert told(record) == [(0, "act", "Scale 2 to 4"), (128, "back", "to 2")]


def test_one_incident_as_long_as_its_record_has_not_ended() -> None:
    (record,) = replay([policy()], [fires(0, 3), fires(4, 6)])
    assert (told(record), [minutes(moment) for moment in record.began]) == ([(0, "act", "Scale 2 to 4")], [0, 4])


def test_two_policies_take_turns_and_the_alert_ends_for_both() -> None:
    one, other = replay([policy("a"), policy("b", actions=[RESTART])], [fires(0, 60)])
    assert (one.policy.name, told(one)) == ("a", [(0, "act", "Scale 2 to 4")])
    assert told(other) == [(0, "wait", "TargetBusy")]
    assert (other.phase, minutes(other.finished)) == (Phase.CANCELLED, 7)


def test_a_second_alert_of_a_busy_target_goes_on_afterwards() -> None:
    policies = [policy("a"), policy("b", alert="Slow", actions=[RESTART])]
    _, other = replay(policies, [fires(0, 60), fires(1, 60, alert="Slow")])
    assert told(other) == [(1, "wait", "TargetBusy"), (8, "act", "Restart")]


@pytest.mark.parametrize(
    ("action", "done"),
    [
        ({"type": "Scale", "scale": {"max": 16, "toDrainWithin": "5m"}}, "Scale 2 to 4"),
        ({"type": "Restore", "restore": {"onlyIfFailed": True}}, "Restore"),
        (RESTART, "Restart"),
    ],
)
def test_every_action_is_possible_in_the_assumed_world(action: dict[str, Any], done: str) -> None:
    (record,) = replay([policy(actions=[action])], [fires(0, 60)])
    assert told(record) == [(0, "act", done)]


def test_a_rescale_in_place_is_one_of_the_assumed_vertex() -> None:
    resource = deployment()
    resource["spec"]["flinkConfiguration"] = {"jobmanager.scheduler": "adaptive"}
    in_place = {"type": "Scale", "scale": {"max": 16, "strategy": "InPlace"}}
    first, second = replay([policy(actions=[in_place])], [fires(0, 9), fires(20, 29)], [resource])
    assert [step[2] for record in (first, second) for step in told(record)] == ["Scale 2 to 4", "Scale 4 to 8"]
    assert second.target is not None
    assert (second.target.deployment.parallelism, second.target.deployment.overrides) == (2, {"job": 8})


def test_what_the_range_cuts_off_is_open() -> None:
    (record,) = replay([policy(guards={"cooldown": "15m"})], [fires(0, None)], until=5)
    assert (record.phase, record.finished) == (Phase.VERIFYING, None)


def test_a_finding_that_is_required_is_waited_for() -> None:
    (record,) = replay([policy(actions=[{**RESTART, "findings": {"require": ["WaitsOutside"]}}])], [fires(0, 30)])
    assert told(record) == [(0, "wait", "FindingMissing")]
    assert (record.phase, record.waited) == (Phase.CANCELLED, {Reason.FINDING_MISSING: timedelta(minutes=30)})


def test_who_is_not_there_or_has_not_agreed_is_left_alone() -> None:
    records = replay([policy()], [fires(0, 9, "gone"), fires(0, 9, "shy")], [deployment("shy", labels={})])
    assert {(r.target_ref.name, r.reason) for r in records} == {
        ("gone", Reason.TARGET_NOT_FOUND),
        ("shy", Reason.NOT_OPTED_IN),
    }


def test_a_consumer_group_names_several_jobs() -> None:
    annotations = {"streaming-monitoring.dev/consumer-groups": "g"}
    by_group = policy(target={"consumerGroupLabel": "group"})
    jobs = [deployment("a", annotations=annotations), deployment("b", annotations=annotations), deployment("c")]
    records = replay([by_group], [fires(0, 9, group="g")], jobs)
    assert [(r.target_ref.name, told(r)) for r in records] == [(n, [(0, "act", "Scale 2 to 4")]) for n in ("a", "b")]
    assert records[0].created == at(0)
