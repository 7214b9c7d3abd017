"""The group *Flink* of the pipeline's dashboard: how late, held up by what, and whether its state is safe."""

from dashboards.expressions import (
    BACKPRESSURE,
    CHECKPOINTS_COMPLETED,
    CHECKPOINTS_FAILED,
    EVENT_TIME_LAG,
    FLINK,
    SUBTASKS,
)
from dashboards.parts import Panel, Query, graph

_JOB = "{{namespace}}/{{app}}"


def panels() -> list[Panel]:
    """Return the panels."""
    return [
        graph(
            "Event time lag",
            "How long ago the events happened that the sources emit. The objective is that the slowest source "
            "stays below 75 ms in 95 % of an hour. Without traffic the lines stay where they were.",
            "ms",
            Query(f"max by (cluster, namespace, app) ({EVENT_TIME_LAG})", f"{_JOB} slowest"),
            Query(
                f"quantile_over_time(0.95, max by (cluster, namespace, app) ({EVENT_TIME_LAG})[1h:1m])",
                f"{_JOB} p95 of the hour before",
            ),
            alert="HighFlinkProcessingLatency",
        ),
        graph(
            "Backpressure by task",
            "Milliseconds of each second in which the task waits for one behind it that is slower. The culprit is the "
            "first busy task behind the last one that waits.",
            "ms",
            Query(
                f"max by (cluster, namespace, app, task_name) ({BACKPRESSURE})",
                "{{app}}: {{task_name}}",
            ),
            alert="FlinkBackpressureHigh",
            top=1000,
        ),
        graph(
            "Busy time by task",
            "Milliseconds of each second in which the busiest subtask works. At 1000 it is the bottleneck.",
            "ms",
            Query(
                "max by (cluster, namespace, app, task_name) "
                f"(flink_taskmanager_job_task_busyTimeMsPerSecond{{{FLINK}}} >= 0)",
                "{{app}}: {{task_name}}",
            ),
            top=1000,
        ),
        graph(
            "Records by task",
            "Records that leave each task, per second.",
            "cps",
            Query(
                "sum by (cluster, namespace, app, task_name) "
                f"(flink_taskmanager_job_task_numRecordsOutPerSecond{{{FLINK}}})",
                "{{app}}: {{task_name}}",
            ),
        ),
        graph(
            "Parallelism by task",
            "Subtasks that run. A remediation by scaling shows as a step.",
            "none",
            Query(SUBTASKS, "{{app}}: {{task_name}}"),
        ),
        graph(
            "TaskManagers and slots",
            "TaskManagers that are registered, those that were asked for and do not come, and slots without work.",
            "none",
            Query(
                f"max by (cluster, namespace, app) (flink_jobmanager_numRegisteredTaskManagers{{{FLINK}}})",
                f"{_JOB} registered",
            ),
            Query(
                f"max by (cluster, namespace, app) (flink_jobmanager_numPendingTaskManagers{{{FLINK}}})",
                f"{_JOB} pending",
            ),
            Query(
                f"max by (cluster, namespace, app) (flink_jobmanager_taskSlotsAvailable{{{FLINK}}})",
                f"{_JOB} free slots",
            ),
            runbook="FlinkTaskManagerDown",
        ),
        graph(
            "Checkpoints",
            "Checkpoints that completed and failed. A restart or a rescale fails the one in progress; it is an alert "
            "when some fail and none completes.",
            "short",
            Query(CHECKPOINTS_COMPLETED, f"{_JOB} {{{{job_name}}}} completed"),
            Query(CHECKPOINTS_FAILED, f"{_JOB} {{{{job_name}}}} failed"),
            runbook="FlinkCheckpointFailures",
        ),
        graph(
            "Checkpoint duration",
            "How long the last completed checkpoint took. It grows with backpressure and with the state.",
            "ms",
            Query(
                "max by (cluster, namespace, app, job_name) "
                f"(flink_jobmanager_job_lastCheckpointDuration{{{FLINK}}} >= 0)",
                f"{_JOB} {{{{job_name}}}}",
            ),
        ),
        graph(
            "Restarts",
            "Restarts of the job, of which rescales are some.",
            "short",
            Query(
                "sum by (cluster, namespace, app, job_name) "
                f"(increase(flink_jobmanager_job_numRestarts{{{FLINK}}}[$__rate_interval]))",
                f"{_JOB} {{{{job_name}}}}",
            ),
            runbook="FlinkJobRestartLoop",
        ),
    ]
