"""What the metrics say of the FlinkRemediations that exist: the dashboards list them by it."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from prometheus_client import REGISTRY
from remediator.services.recorder import Recorder
from remediator.services.resources import Remediation, read_remediation
from worlds import NOW

METRIC = "remediator_remediation_phase_timestamp_seconds"


def remediation(name: str, **status: Any) -> Remediation:
    return read_remediation(
        {
            "metadata": {"namespace": "streaming", "name": name, "uid": name, "creationTimestamp": NOW.isoformat()},
            "spec": {
                "policyRef": {"name": "high-kafka-lag", "uid": "u"},
                "target": {"namespace": "jobs", "name": "ml-recommender"},
                "alert": {"name": "HighKafkaLag", "fingerprint": "f", "startsAt": NOW.isoformat(), "labels": {}},
            },
            "status": status,
        }
    )


def series() -> dict[tuple[str, ...], float]:
    """The series by remediation, target, action, phase and reason."""
    names = ("remediation", "target_namespace", "target", "alert", "action", "phase", "reason")
    found = (sample for family in REGISTRY.collect() if family.name == METRIC for sample in family.samples)
    return {tuple(sample.labels[name] for name in names): sample.value for sample in found}


TARGET = ("jobs", "ml-recommender", "HighKafkaLag")


def test_each_record_is_one_series_that_says_since_when() -> None:
    later = NOW + timedelta(seconds=90)
    entries = [
        {"time": NOW.isoformat(), "phase": "Executing", "reason": "Planned"},
        {"time": later.isoformat(), "phase": "Succeeded", "reason": "Verified"},
        {"time": (later + timedelta(hours=1)).isoformat(), "phase": "Succeeded", "reason": "ScaledBack"},
    ]
    ended = remediation("b", phase="Succeeded", reason="ScaledBack", action="Scale 2 to 4", timeline=entries)
    recorder = Recorder(SimpleNamespace(), "test")  # type: ignore[arg-type]
    recorder.show([remediation("a"), ended])
    assert series() == {
        ("a", *TARGET, "", "Pending", ""): NOW.timestamp(),
        ("b", *TARGET, "Scale 2 to 4", "Succeeded", "ScaledBack"): later.timestamp(),
    }


async def test_a_transition_takes_the_place_of_the_phase_before() -> None:
    class Kube:
        async def replace_status(self, _kind: object, _namespace: str, _name: str, resource: Any) -> Any:
            return resource

        async def create(self, *_: object) -> None:
            """Events are not looked at here."""

    recorder = Recorder(Kube(), "test")  # type: ignore[arg-type]
    before = remediation("a")
    recorder.show([before])
    entry = {"time": "2026-11-24T22:58:38.123987Z", "phase": "Executing", "reason": "Planned"}
    after = remediation("a", phase="Executing", reason="Planned", timeline=[entry])
    written = await recorder.record(before, after.status)
    executing = ("a", *TARGET, "", "Executing", "Planned")
    assert list(series()) == [executing]
    # A mark on a graph stays where it is when the record is read from the API server, which keeps milliseconds.
    at_once = series()[executing]
    recorder.show([read_remediation(written.resource)])
    assert series() == {executing: at_once}


def test_what_is_gone_is_no_series() -> None:
    recorder = Recorder(SimpleNamespace(), "test")  # type: ignore[arg-type]
    recorder.show([remediation("a"), remediation("b")])
    recorder.show([remediation("b")])
    assert [name for name, *_ in series()] == ["b"]
