"""Which record a notice belongs to, and what that record is called."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remediator.api.alertmanager import Alert
from remediator.api.remediation import TargetReference
from remediator.core.incident import Answer, Newest, answer, incident_hash, record_number, remediation_name
from worlds import NOW, TARGET

FIRES = Newest(number=1, starts_at=NOW, resolved_at=None, ended=False)
OVER = replace(FIRES, resolved_at=NOW + timedelta(minutes=5))
OVER_AND_ENDED = replace(OVER, ended=True)


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def notice(status: str, starts: float = 0, **changes: Any) -> Alert:
    labels = {"alertname": "A"}
    return Alert(status=status, labels=labels, starts_at=at(starts), fingerprint="f", **changes)


@pytest.mark.parametrize(
    ("newest", "alert", "expected"),
    [
        (None, notice("firing"), Answer.CREATE),
        (FIRES, notice("firing"), Answer.NOTHING),
        (FIRES, notice("firing", 1), Answer.NOTHING),
        (FIRES, notice("firing", -1), Answer.NOTHING),
        (replace(FIRES, ended=True), notice("firing", 60), Answer.NOTHING),
        # The same start after a resolution: Alertmanager had given it up, or a twin is late.
        (OVER, notice("firing"), Answer.REOPEN),
        (OVER_AND_ENDED, notice("firing"), Answer.REOPEN),
        (OVER_AND_ENDED, notice("firing", 5), Answer.REOPEN),
        # A later start: the next incident, unless the record can still answer it.
        (OVER, notice("firing", 6), Answer.REOPEN),
        (OVER_AND_ENDED, notice("firing", 5.1), Answer.CREATE),
        # Read from a list of alerts that is older than the resolution.
        (OVER_AND_ENDED, notice("firing", updated_at=at(4)), Answer.NOTHING),
        (OVER, notice("firing", updated_at=at(5)), Answer.NOTHING),
        (OVER, notice("firing", updated_at=at(6)), Answer.REOPEN),
        (OVER_AND_ENDED, notice("firing", 6, updated_at=at(7)), Answer.CREATE),
        (None, notice("firing", updated_at=at(-9)), Answer.CREATE),
        (FIRES, notice("resolved", ends_at=at(5)), Answer.RESOLVE),
        (FIRES, notice("resolved"), Answer.RESOLVE),
        (replace(FIRES, ended=True), notice("resolved", ends_at=at(5)), Answer.RESOLVE),
        (OVER, notice("resolved", ends_at=at(7)), Answer.NOTHING),
        (None, notice("resolved", ends_at=at(5)), Answer.NOTHING),
        # About the incident before.
        (FIRES, notice("resolved", -60, ends_at=at(-30)), Answer.NOTHING),
        (FIRES, notice("resolved", -60, ends_at=at(0)), Answer.NOTHING),
    ],
)
def test_a_notice(newest: Newest | None, alert: Alert, expected: Answer) -> None:
    assert answer(alert, newest) is expected


@given(st.text(max_size=300), st.integers(1, 99_999))
def test_every_name_is_a_dns_label_that_tells_its_number(alertname: str, number: int) -> None:
    incident = incident_hash("uid", TARGET, "f")
    name = remediation_name(alertname, incident, number)
    assert len(name) <= 63
    assert name[0].isalnum()
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert record_number(name, incident) == number


def test_only_the_same_policy_target_and_alert_are_one_incident() -> None:
    other = TargetReference(namespace="streaming", name="other", uid="other")
    again = TargetReference(namespace=TARGET.namespace, name=TARGET.name, uid="made again")
    known = [
        ("uid", TARGET, "f"),
        ("uid2", TARGET, "f"),
        ("uid", other, "f"),
        ("uid", again, "f"),
        ("uid", TARGET, "g"),
    ]
    assert len({incident_hash(*parts) for parts in known}) == 5
    assert incident_hash("uid", TARGET, "f") == incident_hash("uid", TARGET, "f")
