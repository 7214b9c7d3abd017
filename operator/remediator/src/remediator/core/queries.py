"""PromQL for what a diagnosis asks of Prometheus, in two queries for each job.

The series are Flink's and the Kafka exporter's (docs/metrics.md), and the kubelet's, where that is scraped.
"""

import re
from collections.abc import Collection, Mapping

from remediator.core.flinkdeployment import FlinkDeployment

Matchers = tuple[str, ...]
"""Label matchers of PromQL."""

# Not `cluster`: where that is an external label, alerts have it and series have not.
_TELL_KAFKA_CLUSTERS_APART = ("namespace", "strimzi_io_cluster")


def kafka_cluster(consumer_groups: Collection[str], alert: Mapping[str, str]) -> Matchers:
    """Return what selects the series of the Kafka cluster that an alert with these labels is about; nothing where it is
    about none of the groups. Clusters that one Prometheus watches may have topics and groups of the same name."""
    if alert.get("consumergroup") not in consumer_groups:
        return ()
    return tuple(f"{label}={_quoted(alert[label])}" for label in _TELL_KAFKA_CLUSTERS_APART if alert.get(label))


def job_queries(target: FlinkDeployment, cluster: Matchers = ()) -> str:
    """Return a query whose series each have a label ``stat``: ``jvm_cpu`` and ``container_cpu`` (cores),
    ``task_managers``, ``input_rate`` and ``consumed_rate`` (messages per second), and for each vertex, by ``task_id``,
    ``records`` (in and out of all subtasks, per second, over the time of ``consumed_rate``). What nobody exports has
    no series. ``cluster`` selects a :func:`kafka_cluster`."""
    labels = f"namespace={_quoted(target.namespace)},app={_quoted(target.name)}"
    # Pods of Flink's native Kubernetes mode, and of the operator's standalone mode, are named so.
    pods = _quoted(f"{re.escape(target.name)}-taskmanager-.*")
    # It excludes other processes, such as PyFlink's workers; the kubelet's counts them, where it is scraped.
    jvm = f"flink_taskmanager_Status_JVM_CPU_Time{{{labels}}}"
    container = f'container_cpu_usage_seconds_total{{namespace={_quoted(target.namespace)},pod=~{pods},container!=""}}'
    found = {
        "jvm_cpu": f"sum(max by (tm_id) (rate({jvm}[2m]))) / 1e9",
        "container_cpu": f"sum(max by (namespace, pod, container) (rate({container}[2m])))",
        "task_managers": f"count(group by (tm_id) ({jvm}))",
    }
    if target.consumer_groups:
        group = _groups(target.consumer_groups, cluster)
        topics = f"kafka_topic_partition_current_offset{{{','.join(cluster)}}}"
        written = f"max by (namespace, topic, partition) (rate({topics}[2m]))"
        read = f"group by (namespace, topic, partition) (kafka_consumergroup_current_offset{{{group}}})"
        # Flink commits with its checkpoints, in steps: rate() takes the last one for part of a slope, and is off by as
        # much as a step. Over a longer time, so that steps even out.
        by_partition = "max by (namespace, consumergroup, topic, partition)"
        now, before = (
            f"{by_partition} (kafka_consumergroup_current_offset{{{group}}}{offset})" for offset in ("", " offset 5m")
        )
        found["input_rate"] = f"sum({written} and on (namespace, topic, partition) {read})"
        found["consumed_rate"] = f"sum({now} - {before}) / 300"
        by_attempt = "max by (task_id, subtask_index, task_attempt_id)"
        into, out = (
            f"sum by (task_id) ({by_attempt} (increase(flink_taskmanager_job_task_numRecords{way}{{{labels}}}[5m])))"
            for way in ("In", "Out")
        )
        found["records"] = f"({into} + {out}) / 300"
    return " or ".join(f'label_replace({query}, "stat", "{stat}", "", "")' for stat, query in found.items())


def partition_lags(consumer_groups: Collection[str], cluster: Matchers = ()) -> str:
    """Return a query for the lag of each partition that the groups read, in messages, below 0 where they have committed
    nothing; empty without a group. ``cluster`` selects a :func:`kafka_cluster`."""
    if not consumer_groups:
        return ""
    # Two replicas of the exporter say the same of each partition.
    return f"max by (topic, partition) (kafka_consumergroup_lag{{{_groups(consumer_groups, cluster)}}})"


def _groups(names: Collection[str], cluster: Matchers) -> str:
    named = "consumergroup=~" + _quoted("|".join(re.escape(name) for name in sorted(names)))
    return ",".join((named, *cluster))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
