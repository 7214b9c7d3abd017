"""When a policy acts, asks or observes, by the clock on the wall."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from remediator.api.policy import PolicySpec
from remediator.core.decide import decide
from remediator.core.decision import Act, Wait
from remediator.core.schedule import asks, observes
from worlds import policy, snapshot

OFFICE = {"days": ["Mon", "Tue", "Wed", "Thu", "Fri"], "from": "09:00", "to": "17:00", "mode": "Ask"}
NIGHT = {"days": ["Sat"], "from": "22:00", "to": "06:00", "mode": "Observe"}


def rules(*windows: dict[str, Any], zone: str = "Europe/Berlin", **changes: Any) -> PolicySpec:
    return policy(guards={"schedule": {"timeZone": zone, "windows": windows or (OFFICE, NIGHT), **changes}})


def mode(spec: PolicySpec, moment: str) -> str:
    now = datetime.fromisoformat(moment).astimezone(UTC)
    return "Observe" if observes(spec, now) else "Ask" if asks(spec, now) else "Act"


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-02T09:00+01:00", "Ask"),  # Monday
        ("2026-03-02T08:59:59+01:00", "Act"),
        ("2026-03-02T16:59:59+01:00", "Ask"),
        ("2026-03-02T17:00+01:00", "Act"),
        ("2026-03-07T12:00+01:00", "Act"),  # Saturday
        ("2026-03-07T22:00+01:00", "Observe"),
        ("2026-03-08T05:59+01:00", "Observe"),  # on Sunday, of Saturday's
        ("2026-03-08T06:00+01:00", "Act"),
        ("2026-03-08T22:30+01:00", "Act"),
        ("2026-07-06T07:30Z", "Ask"),  # 09:30 in summer
        ("2026-01-05T07:30Z", "Act"),  # 08:30 in winter
    ],
)
def test_windows_hold_by_the_clock_there(moment: str, expected: str) -> None:
    assert mode(rules(), moment) == expected


def test_the_hour_that_is_left_out_and_the_one_that_is_repeated() -> None:
    spec = rules({"from": "02:00", "to": "03:00", "mode": "Observe"})
    spring = [mode(spec, f"2026-03-29T0{hour}:30Z") for hour in range(3)]  # 01:30, 03:30, 04:30
    autumn = [mode(spec, "2026-10-24T23:30Z"), *(mode(spec, f"2026-10-25T0{hour}:30Z") for hour in range(3))]
    assert spring == ["Act", "Act", "Act"]
    assert autumn == ["Act", "Observe", "Observe", "Act"]


def test_the_first_window_counts_and_outside_of_all_what_is_said_otherwise() -> None:
    spec = rules(OFFICE, {"mode": "Observe", "from": "12:00", "to": "13:00"}, otherwise="Observe", zone="UTC")
    assert mode(spec, "2026-03-02T12:30Z") == "Ask"
    assert mode(spec, "2026-03-07T12:30Z") == "Observe"
    assert mode(spec, "2026-03-07T20:00Z") == "Observe"
    assert mode(rules({"mode": "Ask"}), "2026-03-07T20:00Z") == "Ask", "all day"


def test_a_schedule_only_holds_back() -> None:
    windows = [{"mode": "Act"}]
    assert observes(policy(mode="Observe", guards={"schedule": {"windows": windows}}), datetime.now(UTC))
    asking = policy(guards={"schedule": {"windows": windows}, "approval": {"required": True}})
    assert asks(asking, datetime.now(UTC))


def test_a_person_is_asked_in_a_window_that_asks_and_nobody_outside_of_it() -> None:
    decision = decide(snapshot(policy=rules({"mode": "Ask", "from": "03:00", "to": "03:30"}, zone="UTC")))
    assert isinstance(decision, Wait)
    assert decision.reason == "ApprovalRequired"
    assert isinstance(decide(snapshot(policy=rules({"mode": "Ask", "from": "03:30", "to": "04:00"}, zone="UTC"))), Act)


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../etc/passwd", "/etc/localtime", "CEST!"])
def test_a_time_zone_that_does_not_exist_is_told(zone: str) -> None:
    with pytest.raises(ValidationError, match="no time zone"):
        rules(zone=zone)


clock = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))


@given(begins=clock, ends=clock, moment=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)))
def test_a_window_of_every_day_and_its_complement_are_never_both(begins: str, ends: str, moment: datetime) -> None:
    now = moment.replace(tzinfo=UTC)
    inside = rules({"from": begins, "to": ends, "mode": "Observe"}, zone="Asia/Kolkata")
    outside = rules({"from": ends, "to": begins, "mode": "Observe"}, zone="Asia/Kolkata")
    there = now + timedelta(hours=5, minutes=30)
    since = (there.hour * 60 + there.minute - int(begins[:2]) * 60 - int(begins[3:])) % 1440
    length = (int(ends[:2]) * 60 + int(ends[3:]) - int(begins[:2]) * 60 - int(begins[3:])) % 1440 or 1440
    assert observes(inside, now) == (since < length)
    if begins != ends:
        assert observes(inside, now) != observes(outside, now)
