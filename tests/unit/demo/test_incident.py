"""The demo's verdict fails for each promise that is broken."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from demo.incident import Incident, Outcome, Promise, Sample, failures, marks_of

START = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
RUNNING = START + timedelta(seconds=60)
SCALE = Promise(action="Scale 2 to 4", parallelism=4)
RESTORE = Promise(action="Restore", parallelism=2, from_checkpoint=True)


def sample(seconds: float, lag: float | None) -> Sample:
    return Sample(START + timedelta(seconds=seconds), lag, 4, 800, "firing", "Verifying")


def remediation(**status: Any) -> dict[str, Any]:
    base = {"phase": "Succeeded", "action": "Scale 2 to 4", "message": "", "times": {"running": RUNNING.isoformat()}}
    return {"metadata": {"name": "r"}, "status": {**base, **status}}


def restored(checkpoint: int | None) -> Outcome:
    return Outcome(2, checkpoint, ["HighKafkaLag"], AUDIT)


def incident(*samples: Sample) -> Incident:
    return Incident(START, "HighKafkaLag", list(samples))


def scaled(parallelism: int = 4, alerts: tuple[str, ...] = ("HighKafkaLag",), lost: int = 0) -> Outcome:
    return Outcome(parallelism, None, list(alerts), {"produced": 100, "lost": lost})


GOOD = incident(sample(90, 2500), sample(120, 900))
AUDIT = {"produced": 100, "lost": 0}
RESTORED = remediation(action="Restore checkpoint 7", before={"checkpoint": 7})


def test_kept_promises_have_no_failures() -> None:
    assert failures(GOOD, SCALE, remediation(), scaled()) == []
    assert failures(GOOD, RESTORE, RESTORED, restored(7)) == []
    assert failures(GOOD, RESTORE, RESTORED, restored(8)) == []


@pytest.mark.parametrize(
    ("seen", "promise", "record", "outcome", "words"),
    [
        (GOOD, SCALE, remediation(phase="Ineffective"), scaled(), "ended Ineffective"),
        (GOOD, SCALE, remediation(action="Scale 2 to 3"), scaled(), "the action was Scale 2 to 3"),
        (GOOD, SCALE, remediation(), scaled(2), "at parallelism 2"),
        (GOOD, SCALE, remediation(times={}), scaled(), "not seen running"),
        (incident(sample(30, 5), sample(90, 2500), sample(181, 5)), SCALE, remediation(), scaled(), "not below 1000"),
        (incident(sample(90, None)), SCALE, remediation(), scaled(), "not below 1000"),
        (GOOD, SCALE, remediation(), scaled(lost=1), "missing"),
        (GOOD, SCALE, remediation(), Outcome(4, None, [], {"produced": 0, "lost": 0}), "nothing was produced"),
        (GOOD, SCALE, remediation(), scaled(alerts=("FlinkTaskManagerDown", "HighKafkaLag")), "FlinkTaskManagerDown"),
        (GOOD, RESTORE, RESTORED, restored(6), "from checkpoint 6"),
        (GOOD, RESTORE, RESTORED, restored(None), "from checkpoint None"),
        (GOOD, RESTORE, remediation(action="Restore"), restored(7), "from checkpoint 7"),
    ],
)
def test_a_broken_promise_is_named(
    seen: Incident, promise: Promise, record: dict[str, Any], outcome: Outcome, words: str
) -> None:
    (wrong,) = failures(seen, promise, record, outcome)
    assert words in wrong


def test_the_records_own_timeline_is_read() -> None:
    entry = {"time": RUNNING.isoformat(), "phase": "Verifying", "reason": "Patched", "message": "Scale 2 to 4"}
    assert marks_of(remediation(timeline=[entry])) == [(RUNNING, "r: Verifying (Patched) Scale 2 to 4")]
