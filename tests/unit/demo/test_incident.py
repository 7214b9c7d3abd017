"""The demo's verdict fails for each promise that is broken."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from demo.incident import Incident, Sample, failures, marks_of

START = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
RUNNING = START + timedelta(seconds=60)


def sample(seconds: float, lag: float | None) -> Sample:
    return Sample(START + timedelta(seconds=seconds), lag, 4, 800, "firing", "Verifying")


def remediation(**status: Any) -> dict[str, Any]:
    base = {"phase": "Succeeded", "message": "", "times": {"running": RUNNING.isoformat()}}
    return {"metadata": {"name": "r"}, "status": {**base, **status}}


GOOD = Incident(START, [sample(90, 2500), sample(120, 900)])
AUDIT = {"produced": 100, "lost": 0}


def test_a_kept_promise_has_no_failures() -> None:
    assert failures(GOOD, remediation(), 4, AUDIT) == []


@pytest.mark.parametrize(
    ("incident", "outcome", "parallelism", "audit", "words"),
    [
        (GOOD, remediation(phase="Ineffective"), 4, AUDIT, "ended Ineffective"),
        (GOOD, remediation(), 2, AUDIT, "at parallelism 2"),
        (GOOD, remediation(times={}), 4, AUDIT, "not seen running"),
        (Incident(START, [sample(30, 5), sample(90, 2500), sample(181, 5)]), remediation(), 4, AUDIT, "not below 1000"),
        (Incident(START, [sample(90, None)]), remediation(), 4, AUDIT, "not below 1000"),
        (GOOD, remediation(), 4, {"produced": 100, "lost": 1}, "missing"),
        (GOOD, remediation(), 4, {"produced": 0, "lost": 0}, "nothing was produced"),
    ],
)
def test_a_broken_promise_is_named(
    incident: Incident, outcome: dict[str, Any], parallelism: int, audit: dict[str, Any], words: str
) -> None:
    (wrong,) = failures(incident, outcome, parallelism, audit)
    assert words in wrong


def test_the_records_own_timeline_is_read() -> None:
    entry = {"time": RUNNING.isoformat(), "phase": "Verifying", "reason": "Patched", "message": "Scale 2 to 4"}
    assert marks_of(remediation(timeline=[entry])) == [(RUNNING, "r: Verifying (Patched) Scale 2 to 4")]
