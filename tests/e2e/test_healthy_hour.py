"""A healthy hour, in which nothing is told to anybody."""

import time
from datetime import UTC, datetime

import pytest

from demo.kube import Cluster
from demo.pipeline import Pipeline

RATE, SECONDS = 400, 3600


@pytest.mark.long
def test_nothing_fires_in_a_healthy_hour(cluster: Cluster) -> None:
    pipeline = Pipeline(cluster, "HighKafkaLag")
    pipeline.set_rate(RATE)
    pipeline.wait_healthy(print)
    since = datetime.now(UTC)
    while (passed := (datetime.now(UTC) - since).total_seconds()) < SECONDS:
        print(f"{passed:.0f} s: lag {pipeline.lag()}, firing {pipeline.fired(since)}", flush=True)
        time.sleep(60)
    # Watchdog is there to fire always; what a test before has remediated is told for some minutes.
    assert set(pipeline.fired(since)) <= {"Watchdog", "RemediationEnded"}
    produced = cluster.promql(f'sum(increase(kafka_topic_partition_current_offset{{topic="events"}}[{SECONDS}s]))')
    assert float(produced[0]["value"][1]) > 0.9 * RATE * SECONDS, "the hour was not idle"
