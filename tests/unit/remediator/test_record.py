"""How a status is written, and which records may go."""

from datetime import timedelta

from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import ATTEMPTS_LIMIT, TIMELINE_LIMIT, RemediationStatus
from remediator.core.history import Record, expendable, remembered
from remediator.core.record import advance, begin_attempt, end_attempt
from remediator.core.scale import plan_scale
from worlds import NOW, job, policy, target

PLAN = plan_scale(policy().actions[0], target(), job(), "plan-1")
DAY = timedelta(days=1)


def test_a_transition_is_noted_once() -> None:
    waiting = advance(RemediationStatus(), NOW, Phase.PENDING, Reason.COOLDOWN, "first")
    again = advance(waiting, NOW + timedelta(minutes=1), Phase.PENDING, Reason.COOLDOWN, "second")
    assert [entry.message for entry in again.timeline] == ["first"]
    assert again.message == "second"
    assert again.conditions == ()


def test_the_end_is_a_condition_and_a_moment_that_later_news_do_not_move() -> None:
    ended = advance(RemediationStatus(), NOW, Phase.SUCCEEDED, Reason.VERIFIED, "it helped")
    assert [(c.type, c.status, c.reason) for c in ended.conditions] == [
        ("Complete", "True", "Verified"),
        ("Succeeded", "True", "Verified"),
    ]
    later = advance(ended, NOW + DAY, Phase.SUCCEEDED, Reason.SCALED_BACK, "quiet again")
    assert later.times.finished == NOW
    assert later.conditions == ended.conditions
    failed = advance(RemediationStatus(), NOW, Phase.REFUSED, Reason.STORM, "no")
    assert [c.status for c in failed.conditions] == ["True", "False"]


def test_a_long_story_stays_within_the_schema() -> None:
    status = RemediationStatus()
    for number in range(TIMELINE_LIMIT + 5):
        reason = (Reason.COOLDOWN, Reason.PAUSED)[number % 2]
        status = advance(status, NOW, Phase.PENDING, reason, f"{number}" * 2000)
        status = status.model_copy(update={"attempts": begin_attempt(status, NOW, PLAN)})
        status = status.model_copy(update={"attempts": end_attempt(status, NOW, reason, "y" * 2000)})
    assert len(status.timeline) == TIMELINE_LIMIT
    assert len(status.attempts) == ATTEMPTS_LIMIT
    assert RemediationStatus.model_validate(status.model_dump(mode="json", by_alias=True, exclude_none=True)) == status


def test_an_attempt_ends_once() -> None:
    begun = RemediationStatus(attempts=begin_attempt(RemediationStatus(), NOW, PLAN))
    assert begun.attempts[0].action == "Scale 2 to 4"
    ended = begun.model_copy(update={"attempts": end_attempt(begun, NOW + DAY, Reason.REVERTED, "taken back")})
    assert ended.attempts[0].ended == NOW + DAY
    assert end_attempt(ended, NOW + 2 * DAY, Reason.VERIFIED, "late") == ended.attempts
    assert end_attempt(RemediationStatus(), NOW, Reason.VERIFIED, "none") == ()


def record(name: str, days: int, **changes: object) -> Record:
    """One of an alert that is over, ended as long ago as it was created."""
    moment = NOW - days * DAY
    fields = {"created": moment, "finished": moment, "alert_started": moment, "resolved": True}
    return Record(name, **{**fields, **changes})  # type: ignore[arg-type]


def test_what_goes_is_old_has_ended_and_is_beyond_the_limit() -> None:
    records = [
        record("new", 0),
        record("within the limit", 9),
        record("old", 10),
        record("old, and still in flight", 10, finished=None),
        record("old, and its alert may still fire", 10, resolved=False, alert_started=NOW - DAY),
        record("old, and its alert would be stale", 10, resolved=False),
        record("young", 10, finished=NOW - 2 * DAY),
    ]
    gone = expendable(reversed(records), NOW, limit=2, ttl=7 * DAY, max_alert_age=DAY)
    assert sorted(gone) == ["old", "old, and its alert would be stale"]


def test_records_outlive_the_budgets_that_are_counted_from_them() -> None:
    long = policy(guards={"budget": [{"max": 1, "per": "1h"}, {"max": 7, "per": "10d"}]})
    assert remembered([policy(), long]) == 10 * DAY
    assert remembered([policy(guards={"cooldown": "12d", "budget": []})]) == 12 * DAY
    assert remembered([]) == timedelta(0)
