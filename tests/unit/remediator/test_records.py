"""What the controller knows of all FlinkRemediations, and what the metrics say of them for the dashboards."""

from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from remediator.adapters.kube import Resource
from remediator.api.names import RESOLVED_ANNOTATION, RETRY_ANNOTATION
from remediator.api.remediation import TargetReference
from remediator.services.records import Records
from remediator.telemetry import metrics
from worlds import NOW

METRIC = "remediator_remediation_phase_timestamp_seconds"


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    """What only this test exports."""
    own = CollectorRegistry()
    monkeypatch.setattr(metrics, "RECORDS", metrics.Records(own))
    return own


@pytest.fixture
def records() -> Records:
    return Records()


def remediation(name: str, version: int = 1, **status: Any) -> Resource:
    return {
        "metadata": {
            "namespace": "streaming",
            "name": name,
            "uid": name,
            "creationTimestamp": NOW.isoformat(),
            "resourceVersion": str(version),
        },
        "spec": {
            "policyRef": {"name": "high-kafka-lag", "uid": "u"},
            "target": {"namespace": "jobs", "name": "ml-recommender", "uid": "u-1"},
            "alert": {"name": "HighKafkaLag", "fingerprint": name, "startsAt": NOW.isoformat(), "labels": {}},
        },
        "status": status,
    }


def series(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """The series by remediation, target, action, phase and reason."""
    names = ("remediation", "target_namespace", "target", "alert", "action", "phase", "reason")
    found = (sample for family in registry.collect() if family.name == METRIC for sample in family.samples)
    return {tuple(sample.labels[name] for name in names): sample.value for sample in found}


TARGET = ("jobs", "ml-recommender", "HighKafkaLag")


def test_each_record_is_one_series_that_says_since_when(records: Records, registry: CollectorRegistry) -> None:
    later = NOW + timedelta(seconds=90)
    entries = [
        {"time": NOW.isoformat(), "phase": "Executing", "reason": "Planned"},
        {"time": later.isoformat(), "phase": "Succeeded", "reason": "Verified"},
        {"time": (later + timedelta(hours=1)).isoformat(), "phase": "Succeeded", "reason": "ScaledBack"},
    ]
    records.take(remediation("a"))
    records.take(remediation("b", phase="Succeeded", reason="ScaledBack", action="Scale 2 to 4", timeline=entries))
    assert series(registry) == {
        ("a", *TARGET, "", "Pending", ""): NOW.timestamp(),
        ("b", *TARGET, "Scale 2 to 4", "Succeeded", "ScaledBack"): later.timestamp(),
    }


def test_a_transition_takes_the_place_of_the_phase_before(records: Records, registry: CollectorRegistry) -> None:
    records.take(remediation("a"))
    entry = {"time": NOW.isoformat(), "phase": "Executing", "reason": "Planned"}
    records.take(remediation("a", 2, phase="Executing", reason="Planned", timeline=[entry]))
    assert list(series(registry)) == [("a", *TARGET, "", "Executing", "Planned")]


def test_what_is_gone_is_no_series(records: Records, registry: CollectorRegistry) -> None:
    for name in ("a", "b"):
        records.take(remediation(name))
    records.remove("streaming", "a")
    assert [name for name, *_ in series(registry)] == ["b"]


def test_the_series_do_not_grow_with_the_records(records: Records, registry: CollectorRegistry) -> None:
    for number in range(1000):
        entry = {"time": (NOW + timedelta(seconds=number)).isoformat(), "phase": "Refused", "reason": "NotOptedIn"}
        records.take(remediation(f"r-{number}", phase="Refused", reason="NotOptedIn", timeline=[entry]))
    records.take(remediation("in-work"))
    shown = {name for name, *_ in series(registry)}
    assert shown == {"in-work", *(f"r-{number}" for number in range(800, 1000))}, "the newest"


def test_an_older_version_that_comes_late_changes_nothing(records: Records) -> None:
    assert records.take(remediation("a", 7, phase="Verifying", reason="Patched"))
    assert not records.take(remediation("a", 6, phase="Executing", reason="Planned"))
    assert (
        records.siblings("b", TargetReference(namespace="jobs", name="ml-recommender"), False)[0].phase == "Verifying"
    )


def test_the_metadata_of_others_are_brought_by_the_other_watch(records: Records) -> None:
    records.take(remediation("a", 3, phase="Succeeded", reason="Verified"))
    metadata = remediation("a", 4)["metadata"]
    records.put({"metadata": {**metadata, "annotations": {RESOLVED_ANNOTATION: NOW.isoformat()}}})
    (sibling,) = records.siblings("b", TargetReference(namespace="jobs", name="ml-recommender"), False)
    assert (sibling.phase, sibling.resolved) == ("Succeeded", True)


async def test_what_has_ended_is_looked_at_when_a_person_asks_for_it(records: Records) -> None:
    records.take(remediation("a", 3, phase="Refused", reason="NotOptedIn"))
    asked = {**remediation("a", 4)["metadata"], "annotations": {RETRY_ANNOTATION: "opted in now"}}
    records.put({"metadata": asked})
    assert await records.next_to_be_looked_at() == "a"


def test_only_a_storm_looks_at_other_targets(records: Records) -> None:
    other = remediation("other", phase="Verifying", reason="Patched")
    other["spec"]["target"]["name"] = "fraud"
    records.take(other)
    target = TargetReference(namespace="jobs", name="ml-recommender")
    assert records.siblings("a", target, storm=False) == ()
    assert [sibling.name for sibling in records.siblings("a", target, storm=True)] == ["other"]
