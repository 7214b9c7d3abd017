"""The data monitor on the example pipeline: drift is seen, told and shown; a monitor that is gone is told, too."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cluster.__main__ import add_images
from cluster.steps import Steps
from e2e.incidents import EASY_RATE
from e2e.monitored import all_seen, feature, ready, score, value
from e2e.release import Release

from demo.install import NAMESPACE
from demo.kube import Cluster, wait_for
from demo.pipeline import Pipeline

NAME = "streaming-monitoring-data-monitor"
DRIFT, STALE = "MLModelPredictionDrift", "DataMonitorStale"
RATE = 200
# A window of a minute instead of ten, and alerts that do not wait.
SHORT_TIMES = {
    "dataMonitor": {"config": {"window": {"length": "1m", "pane": "5s", "evaluateEvery": "5s"}}},
    "rules": {
        "overrides": {
            DRIFT: {"for": "15s", "keepFiringFor": "0s"},
            # Seconds without an evaluation.
            STALE: {"threshold": 60, "for": "15s", "keepFiringFor": "0s"},
        }
    },
}


@pytest.fixture(scope="module", autouse=True)
def judged(release: Release, cluster: Cluster) -> Iterator[None]:
    """A pipeline under a load that it carries easily, with nothing shifted, and a monitor that judges it."""
    release.upgrade(SHORT_TIMES)
    pipeline = Pipeline(cluster, DRIFT)
    pipeline.set_shift(0)
    pipeline.set_rate(RATE)
    wait_for("the monitor judges data that does not drift", lambda: ready(cluster) and 0 <= score(cluster) < 0.1, 420)
    wait_for("no alert of it is active", lambda: not (cluster.alerts(DRIFT) or cluster.alerts(STALE)), 180)
    yield
    pipeline.set_shift(0)
    pipeline.set_rate(EASY_RATE)


@pytest.fixture
def shifted(cluster: Cluster) -> Iterator[None]:
    """A campaign: dearer items, longer sessions, more phones."""
    Pipeline(cluster, DRIFT).set_shift(1.5)
    yield
    Pipeline(cluster, DRIFT).set_shift(0)


def firing(cluster: Cluster, name: str) -> Callable[[], dict[str, Any] | None]:
    return lambda: next((alert for alert in cluster.alerts(name) if alert["state"] == "firing"), None)


def test_what_the_pipeline_does_is_measured(cluster: Cluster) -> None:
    wait_for("every prediction is an event", lambda: all_seen(cluster), 180, every=5)
    # What a restored job reads again is late: true, and over when it has left the window.
    wait_for("few events are late", lambda: 0 <= value(cluster, "max(late_data_rate)") < 5, 420, every=5)
    quantiles = [value(cluster, f'max(ml_inference_latency{{quantile="{q}"}})') for q in ("0.5", "0.95", "0.99")]
    assert 0 < quantiles[0] <= quantiles[1] <= quantiles[2] < 75
    assert value(cluster, "sum(validation_errors_total)") == 0

    # The load generator makes one event in a thousand invalid, in four ways that have three error types.
    def dead_letters() -> set[str]:
        return {one["metric"]["error_type"] for one in cluster.promql("sum by (error_type) (dlq_messages_total) > 0")}

    kinds = {"malformed_json", "schema_violation", "value_out_of_range"}
    wait_for("every kind of dead letter is counted", lambda: dead_letters() == kinds, 240, every=5)


@pytest.mark.usefixtures("shifted")
def test_drift_is_told_with_the_features_that_drift(cluster: Cluster) -> None:
    wait_for("the score rises above the threshold", lambda: score(cluster) > 0.2, 180, every=5)
    alert = wait_for(f"{DRIFT} fires", firing(cluster, DRIFT), 120)
    assert alert["labels"]["namespace"] == NAMESPACE
    assert alert["labels"]["severity"] == "warning"
    for shifted in ("price_log", "session_minutes"):
        wait_for(f"{shifted} drifts", lambda name=shifted: feature(cluster, name) > 0.3, 120, every=5)
    # Nobody shifted these.
    assert feature(cluster, "user_years") < 0.1
    assert feature(cluster, "intent") < 0.1

    def told() -> bool:
        active = cluster.service("kps-alertmanager", 9093, "/api/v2/alerts")
        return any(one["labels"]["alertname"] == DRIFT for one in active)

    wait_for("Alertmanager has it", told, 60)
    # A drift is not for the remediator: scaling does not change what users do.
    assert all(one["spec"]["alert"]["name"] != DRIFT for one in cluster.remediations())


@pytest.mark.long
def test_when_the_data_is_as_before_the_alert_ends(cluster: Cluster) -> None:
    wait_for("the score falls", lambda: 0 <= score(cluster) < 0.1, 240, every=5)
    wait_for(f"{DRIFT} ends", lambda: not cluster.alerts(DRIFT), 120)


@pytest.mark.long
def test_a_monitor_that_is_gone_is_told(cluster: Cluster) -> None:
    cluster.kubectl("scale", "statefulset", NAME, "--replicas=0")
    try:
        alert = wait_for(f"{STALE} fires", firing(cluster, STALE), 240, every=5)
        assert alert["labels"]["namespace"] == NAMESPACE
        # Its last score is no judgement of the data of now.
        assert not cluster.alerts(DRIFT)
    finally:
        cluster.kubectl("scale", "statefulset", NAME, "--replicas=1")
    wait_for("it judges again", lambda: ready(cluster), 240, every=5)
    wait_for(f"{STALE} ends", lambda: not cluster.alerts(STALE), 120)


@pytest.mark.long
def test_the_alert_links_to_a_report_of_what_drifts(release: Release, cluster: Cluster, provider: str) -> None:
    add_images(provider, ["data-monitor-report"], Steps())
    release.upgrade(SHORT_TIMES, {"dataMonitor": {"reports": {"enabled": True, "kind": "evidently"}}})
    wait_for("the reports are served", lambda: "Drift reports" in cluster.page(NAME, 8001, "/").text, 420, every=5)
    Pipeline(cluster, DRIFT).set_shift(1.5)
    try:
        alert = wait_for(f"{DRIFT} fires", firing(cluster, DRIFT), 420, every=5)
        assert alert["annotations"]["report_url"] == "http://localhost:8001/latest"

        def report() -> str | None:
            page = cluster.page(NAME, 8001, "/latest").text
            return page if "Jensen-Shannon distance over reference bins" in page else None

        page = wait_for("a report is made", report, 300, every=5)
        assert "price_log" in page
    finally:
        Pipeline(cluster, DRIFT).set_shift(0)
        release.upgrade(SHORT_TIMES)
