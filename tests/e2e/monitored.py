"""What the data monitor says on a cluster, by its Prometheus."""

import pytest

from demo.kube import Cluster


def value(cluster: Cluster, query: str) -> float:
    """The value of an aggregation; -1 where there is nothing. A pod that was just replaced may still have series."""
    series = cluster.promql(query)
    return float(series[0]["value"][1]) if series else -1.0


def score(cluster: Cluster) -> float:
    """The headline."""
    return value(cluster, "max(data_drift_score)")


def feature(cluster: Cluster, name: str) -> float:
    """A feature's score."""
    return value(cluster, f'max(data_drift_feature_score{{feature="{name}"}})')


def ready(cluster: Cluster) -> bool:
    """Whether the window is full enough and was judged just now."""
    age = value(cluster, "time() - max(data_drift_last_evaluation_timestamp_seconds)")
    return value(cluster, "min(data_drift_window_ready)") == 1 and 0 <= age < 30


def all_seen(cluster: Cluster) -> bool:
    """Whether every prediction is an event for the monitor, by their rates."""
    written = value(cluster, 'sum(rate(kafka_topic_partition_current_offset{topic="predictions"}[1m]))')
    seen = value(cluster, "sum(rate(data_monitor_events_total[1m]))")
    return written > 1 and seen == pytest.approx(written, rel=0.1)
