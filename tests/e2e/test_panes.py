"""The data monitor on panes that the job on the cluster counts: switched on, and off again.

How exact they are, and what is sent again after a failure, is for tests/kafka.
"""

import pytest
from e2e.incidents import EASY_RATE
from e2e.monitored import all_seen, feature, ready, score, value
from e2e.release import Release

from demo.install import NAMESPACE
from demo.kube import Cluster, wait_for
from demo.pipeline import PIPELINE, Pipeline

RATE = 200
WINDOW = {"dataMonitor": {"config": {"window": {"length": "1m", "evaluateEvery": "5s"}}}}
ON = {"pipeline": {"panes": {"enabled": True, "seconds": 5}}, **WINDOW}
# The state of what counted the panes has nowhere to go, and only a start from a savepoint leaves it behind.
OFF = {"pipeline": {"job": {"upgradeMode": "savepoint", "allowNonRestoredState": True}}, **WINDOW}


def steps(cluster: Cluster) -> list[str]:
    """Names of the running job's vertices, by JobManager REST; none unless all of them run."""
    vertices = Pipeline(cluster, "").job()["vertices"]
    return [one["name"] for one in vertices] if all(one["status"] == "RUNNING" for one in vertices) else []


def counts_panes(cluster: Cluster) -> bool | None:
    """Whether the job counts panes; None while it does not run."""
    deployment = cluster.flink_deployment(PIPELINE)
    if deployment["status"].get("lifecycleState") != "STABLE":
        return None
    found = steps(cluster)
    return any("pane_counter" in name for name in found) if found else None


@pytest.mark.long
def test_the_job_counts_the_panes_and_stops_doing_so(release: Release, cluster: Cluster) -> None:
    pipeline = Pipeline(cluster, "")
    release.upgrade(ON)
    try:
        pipeline.set_rate(RATE)
        wait_for("the job counts panes", lambda: counts_panes(cluster) is True, 420, every=5)
        wait_for("the monitor judges", lambda: ready(cluster) and 0 <= score(cluster) < 0.1, 420, every=5)
        wait_for("every prediction is an event", lambda: all_seen(cluster), 240, every=5)
        assert value(cluster, "sum(validation_errors_total)") == 0
        pipeline.set_shift(1.5)
        wait_for("the drift is seen", lambda: feature(cluster, "price_log") > 0.4 < score(cluster), 240, every=5)
        assert feature(cluster, "user_years") < 0.1
    finally:
        pipeline.set_shift(0)
        release.upgrade(OFF)
    wait_for("the job goes on without", lambda: counts_panes(cluster) is False, 420, every=5)
    wait_for("the monitor judges predictions", lambda: ready(cluster) and 0 <= score(cluster) < 0.1, 420, every=5)
    wait_for("every prediction is an event", lambda: all_seen(cluster), 240, every=5)
    mounted = cluster.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/streaming-monitoring-data-monitor")
    assert "topic: predictions" in mounted["data"]["config.yaml"]
    pipeline.set_rate(EASY_RATE)
