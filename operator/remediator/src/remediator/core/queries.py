"""PromQL for what a diagnosis asks of Prometheus, in two queries for each job.

The series are Flink's and the Kafka exporter's (docs/metrics.md), and the kubelet's, where that is scraped.
"""

import re
from collections.abc import Collection

from remediator.core.flinkdeployment import FlinkDeployment


def job_queries(target: FlinkDeployment) -> str:
    """Return a query whose series each have a label ``stat``: ``jvm_cpu`` and ``container_cpu`` (cores),
    ``task_managers``, ``input_rate`` and ``consumed_rate`` (messages per second), and for each vertex, by ``task_id``,
    ``records`` (in and out of all subtasks, per second, over the time of ``consumed_rate``). What nobody exports has
    no series."""
    labels = f"namespace={_quoted(target.namespace)},app={_quoted(target.name)}"
    # Pods of Flink's native Kubernetes mode, and of the operator's standalone mode, are named so.
    pods = _quoted(f"{re.escape(target.name)}-taskmanager-.*")
    # It excludes other processes, such as PyFlink's workers; the kubelet's counts them, where it is scraped.
    jvm = f"flink_taskmanager_Status_JVM_CPU_Time{{{labels}}}"
    container = f'container_cpu_usage_seconds_total{{namespace={_quoted(target.namespace)},pod=~{pods},container!=""}}'
    found = {
        "jvm_cpu": f"sum(rate({jvm}[2m])) / 1e9",
        "container_cpu": f"sum(max by (namespace, pod, container) (rate({container}[2m])))",
        "task_managers": f"count({jvm})",
    }
    if target.consumer_groups:
        group = _groups(target.consumer_groups)
        written = "max by (namespace, topic, partition) (rate(kafka_topic_partition_current_offset[2m]))"
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


def partition_lags(consumer_groups: Collection[str]) -> str:
    """Return a query for the lag of each partition that the groups read, in messages; empty without a group."""
    if not consumer_groups:
        return ""
    # Two replicas of the exporter say the same of each partition; -1 is a partition without a commit.
    return f"max by (topic, partition) (kafka_consumergroup_lag{{{_groups(consumer_groups)}}}) >= 0"


def _groups(names: Collection[str]) -> str:
    return "consumergroup=~" + _quoted("|".join(re.escape(name) for name in sorted(names)))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
