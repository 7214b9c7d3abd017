"""PromQL that more than one panel needs: what a panel is about, chosen by the variables, and the figures behind it.

Everything is aggregated: a restart gives Flink's metrics new labels, and two replicas of an exporter count once.
"""

NAMESPACE = 'cluster=~"$cluster", namespace=~"$namespace"'
FLINK = f'{NAMESPACE}, app=~"$app"'
GROUP = f'{NAMESPACE}, consumergroup=~"$consumergroup"'
MODEL = f'{NAMESPACE}, model=~"$model"'

FIRING = f'ALERTS{{alertstate="firing", category!="", {NAMESPACE}}}'

LAG = f"streaming:kafka_consumergroup_lag:sum{{{GROUP}}}"
PRODUCED = (
    "max by (cluster, namespace, strimzi_io_cluster, topic, partition) "
    f"(rate(kafka_topic_partition_current_offset{{{NAMESPACE}}}[$__rate_interval]))"
)
# deriv instead of rate: an offset that is set back is not a counter that began anew.
TAKEN_IN = (
    "max by (cluster, namespace, strimzi_io_cluster, consumergroup, topic, partition) "
    f"(deriv(kafka_consumergroup_current_offset{{{GROUP}}}[$__rate_interval]))"
)
# The topics that the alert HighDLQRate looks at.
DEAD_LETTERS = (
    "max by (cluster, namespace, strimzi_io_cluster, topic, partition) (rate(kafka_topic_partition_current_offset"
    f'{{topic=~".+[-._](dlq|dead-letter)", {NAMESPACE}}}[$__rate_interval]))'
)

EVENT_TIME_LAG = f"flink_taskmanager_job_task_operator_currentEmitEventTimeLag{{{FLINK}}}"
BACKPRESSURE = f"flink_taskmanager_job_task_backPressuredTimeMsPerSecond{{{FLINK}}}"
SUBTASKS = (
    "count by (cluster, namespace, app, task_name) (group by (cluster, namespace, app, task_name, subtask_index) "
    f"(flink_taskmanager_job_task_numRecordsInPerSecond{{{FLINK}}}))"
)
CHECKPOINTS_COMPLETED = (
    "sum by (cluster, namespace, app, job_name) "
    f"(increase(flink_jobmanager_job_numberOfCompletedCheckpoints{{{FLINK}}}[$__rate_interval]))"
)
CHECKPOINTS_FAILED = (
    "sum by (cluster, namespace, app, job_name) "
    f"(increase(flink_jobmanager_job_numberOfFailedCheckpoints{{{FLINK}}}[$__rate_interval]))"
)

EVALUATION_AGE = (
    f"time() - max by (cluster, namespace, model) (data_drift_last_evaluation_timestamp_seconds{{{MODEL}}} > 0)"
)

# Every replica says the same of the whole window.
WINDOW_EVENTS = f"max by (cluster, namespace, model) (data_drift_window_events{{{MODEL}}})"
LATE = f"max by (cluster, namespace, model) (late_data_rate{{{MODEL}}})"


def records(selector: str = "") -> str:
    """Return an expression with one series for each FlinkRemediation that still exists: when, in seconds since 1970,
    it entered the phase that it is in."""
    selected = ", ".join(filter(None, (NAMESPACE, selector)))
    return (
        "max by (cluster, namespace, remediation, alert, target_namespace, target, action, phase, reason) "
        f"(remediator_remediation_phase_timestamp_seconds{{{selected}}})"
    )
