"""*Streaming pipeline*: the five groups that say whether data flows, and what was done when it did not."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import alerts, annotations, flink, kafka
from dashboards.expressions import (
    DEAD_LETTERS,
    EVALUATION_AGE,
    EVENT_TIME_LAG,
    FIRING,
    FLINK,
    LAG,
    LATE,
    MODEL,
    NAMESPACE,
    SUBTASKS,
    TAKEN_IN,
)
from dashboards.parts import Panel, Query, Steps, add_row, board, graph, listing, number


def build() -> builders.Dashboard:
    """Return the dashboard."""
    dashboard = (
        board(
            "streaming-pipeline",
            "Streaming pipeline",
            "Kafka, Flink, the model and what the remediator did. Dashed lines are where alerts fire by default.",
            ["namespace", "app", "consumergroup", "model"],
        )
        .annotation(annotations.firing())
        .annotation(annotations.remediations())
    )
    add_row(dashboard, "", _now())
    add_row(dashboard, "Kafka: lag and throughput", kafka.panels())
    add_row(dashboard, "Flink: processing", flink.panels())
    add_row(dashboard, "Machine learning", _ml())
    add_row(dashboard, "Errors", _errors())
    add_row(dashboard, "System", _system())
    return dashboard


def _now() -> list[Panel]:
    link = {"title": "Runbook", "url": alerts.runbooks("${__value.raw}"), "targetBlank": True}
    return [
        number(
            "Alerts firing",
            "Alerts of this project that fire now. The list is below.",
            "none",
            Query(f"count({FIRING}) or vector(0)", "firing"),
            steps=Steps.above(1),
        ),
        number(
            "Furthest behind",
            "Messages that the slowest consumer group has still to take in, without those it has taken in and not yet "
            "committed.",
            "short",
            Query(f"max({LAG})", "messages"),
            steps=Steps.above(alerts.limit("HighKafkaLag")),
            runbook="HighKafkaLag",
        ),
        number(
            "Taken in",
            "Messages per second that the consumer groups commit.",
            "cps",
            Query(f"sum({TAKEN_IN})", "messages/s"),
        ),
        number(
            "Latest events",
            "How long ago the events happened that the slowest source emits now.",
            "ms",
            Query(f"max({EVENT_TIME_LAG})", "event time lag"),
            steps=Steps(
                (
                    (None, "green"),
                    (alerts.limit("FlinkLatencyObjectiveMissed"), "yellow"),
                    (alerts.limit("HighFlinkProcessingLatency"), "red"),
                )
            ),
            runbook="HighFlinkProcessingLatency",
        ),
        number(
            "Parallelism",
            "Subtasks of the task that has the most: what runs, not what the FlinkDeployment asks for.",
            "none",
            Query(f"max({SUBTASKS})", "subtasks"),
        ),
        number(
            "Drift",
            "Drift score of the model that is furthest off: 0 is like its reference, 1 has nothing in common.",
            "percentunit",
            Query(f"max(data_drift_score{{{MODEL}}})", "score"),
            steps=Steps.above(alerts.limit("MLModelPredictionDrift")),
            runbook="MLModelPredictionDrift",
        ),
        number(
            "Dead letters",
            "Messages per second that go to dead letter topics.",
            "cps",
            Query(f"sum({DEAD_LETTERS})", "messages/s"),
            steps=Steps.above(alerts.limit("HighDLQRate")),
            runbook="HighDLQRate",
        ),
        number(
            "Remediations under way",
            "FlinkRemediations that the remediator works on now. The dashboard Remediations says what it did.",
            "none",
            Query(f"sum(remediator_remediations_in_flight{{{NAMESPACE}}})", "in flight"),
            steps=Steps(((None, "green"), (1, "orange"))),
        ),
        listing(
            "Alerts",
            "Alerts of this project that fire or are about to. A click on the name opens the runbook.",
            f'ALERTS{{category!="", {NAMESPACE}}}',
            {
                "alertname": "Alert",
                "alertstate": "State",
                "severity": "Severity",
                "namespace": "Namespace",
                "app": "Flink job",
                "strimzi_io_cluster": "Kafka",
                "consumergroup": "Consumer group",
                "model": "Model",
            },
            height=5,
            empty="Nothing fires.",
            overrides=[("Alert", {"links": [link]})],
        ),
    ]


def _ml() -> list[Panel]:
    return [
        graph(
            "Inference latency",
            "Time that the model takes for a prediction, over the data monitor's window. The objective is 75 ms for "
            "the 95th percentile.",
            "ms",
            Query(
                f"max by (cluster, namespace, model, quantile) (ml_inference_latency{{{MODEL}}})",
                "{{model}} quantile {{quantile}}",
            ),
            alert="MLInferenceLatencyHigh",
            span=6,
        ),
        graph(
            "Drift score by model",
            "Distance between the window and the reference, of the feature that is furthest off: 0 to 1. By feature on "
            "the dashboard Data drift.",
            "percentunit",
            Query(f"max by (cluster, namespace, model) (data_drift_score{{{MODEL}}})", "{{namespace}}/{{model}}"),
            alert="MLModelPredictionDrift",
            top=1,
            span=6,
        ),
        graph(
            "Age of the last evaluation",
            "Seconds since the data monitor last judged the data. Its score says nothing about anything younger.",
            "s",
            Query(EVALUATION_AGE, "{{namespace}}/{{model}}"),
            alert="DataMonitorStale",
            span=6,
        ),
        graph(
            "Predictions",
            "Predictions per second that the data monitor takes into its window.",
            "cps",
            Query(
                f"sum by (cluster, namespace, model) (rate(data_monitor_events_total{{{MODEL}}}[$__rate_interval]))",
                "{{namespace}}/{{model}}",
            ),
            span=6,
        ),
    ]


def _errors() -> list[Panel]:
    return [
        graph(
            "Dead letters by error",
            "Messages per second that the pipeline gave up on, by what was wrong, as the data monitor counts them. 0 "
            "when the data is right.",
            "cps",
            Query(
                f"sum by (cluster, namespace, error_type) (rate(dlq_messages_total{{{MODEL}}}[$__rate_interval]))",
                "{{error_type}}",
            ),
            alert="HighDLQRate",
            span=6,
        ),
        graph(
            "Dead letters by topic",
            "Growth of the dead letter topics, per second. It is there without the data monitor.",
            "cps",
            Query(f"sum by (cluster, namespace, topic) ({DEAD_LETTERS})", "{{namespace}}/{{topic}}"),
            alert="HighDLQRate",
            span=6,
        ),
        graph(
            "Validation errors",
            "Records per second that the data monitor could not read or that break the schema, by what was wrong. A "
            "record may be wrong in several ways.",
            "cps",
            Query(
                f"sum by (cluster, namespace, error_type) (rate(validation_errors_total{{{MODEL}}}[$__rate_interval]))",
                "{{error_type}}",
            ),
            span=6,
        ),
        graph(
            "Late data",
            "Share of the window's events that came later than allowed: producers deliver late, or clocks differ.",
            "percent",
            Query(LATE, "{{namespace}}/{{model}}"),
            alert="LateDataRateHigh",
            span=6,
        ),
    ]


def _system() -> list[Panel]:
    return [
        graph(
            "CPU of Flink",
            "Share of the processors that the JVMs use: 10 to 15 % is normal, 100 % of a TaskManager is a bottleneck.",
            "percentunit",
            Query(
                f"max by (cluster, namespace, pod) (flink_taskmanager_Status_JVM_CPU_Load{{{FLINK}}})",
                "{{pod}}",
            ),
            Query(
                f"max by (cluster, namespace, pod) (flink_jobmanager_Status_JVM_CPU_Load{{{FLINK}}})",
                "{{pod}}",
            ),
        ),
        graph(
            "Memory of Flink",
            "Heap that the JVMs use. A TaskManager near its limit spends its time on garbage.",
            "bytes",
            Query(
                f"max by (cluster, namespace, pod) (flink_taskmanager_Status_JVM_Memory_Heap_Used{{{FLINK}}})",
                "{{pod}}",
            ),
            Query(
                f"max by (cluster, namespace, pod) (flink_jobmanager_Status_JVM_Memory_Heap_Used{{{FLINK}}})", "{{pod}}"
            ),
        ),
        graph(
            "Memory of the monitors",
            "Resident memory of Prometheus, the data monitor and the remediator.",
            "bytes",
            Query(
                "max by (cluster, namespace, job, pod) (process_resident_memory_bytes"
                f'{{job=~"prometheus|data-monitor|remediator", {NAMESPACE}}})',
                "{{pod}}",
            ),
        ),
        graph(
            "CPU of the nodes",
            "Share of each node's processors that is not idle.",
            "percentunit",
            Query(
                '1 - avg by (instance) (rate(node_cpu_seconds_total{job="node", mode="idle"}[$__rate_interval]))',
                "{{instance}}",
            ),
            top=1,
        ),
        graph(
            "Memory of the nodes",
            "Share of each node's memory that is in use and could not be freed.",
            "percentunit",
            Query(
                '1 - max by (instance) (node_memory_MemAvailable_bytes{job="node"}) '
                '/ max by (instance) (node_memory_MemTotal_bytes{job="node"})',
                "{{instance}}",
            ),
            top=1,
        ),
        graph(
            "Targets that do not answer",
            "Processes that Prometheus knows of and cannot scrape, by job. One that is gone is not among them.",
            "none",
            Query(
                f"count by (cluster, namespace, job) (up{{{NAMESPACE}}}) "
                f"- sum by (cluster, namespace, job) (up{{{NAMESPACE}}})",
                "{{job}}",
            ),
        ),
        graph(
            "What the alerts stand on",
            "Exporters of Kafka's lag and pods of Flink's operator that answer. Without them there is no lag to judge, "
            "and no remediation is carried out.",
            "none",
            Query(
                f"count by (cluster, namespace, strimzi_io_cluster) (kafka_brokers{{{NAMESPACE}}})",
                "{{namespace}} {{strimzi_io_cluster}} exporter",
            ),
            Query(
                f'sum by (cluster, namespace) (up{{job="flink-operator", {NAMESPACE}}})',
                "{{namespace}} Flink's operator",
            ),
            runbook=("KafkaExporterDown", "FlinkOperatorDown"),
        ),
        graph(
            "What Flink's operator cannot do",
            "FlinkDeployments in the state FAILED, and reconciliations that failed, by FlinkDeployment.",
            "short",
            Query(
                "max by (cluster, resourcens, resourcetype) (flink_k8soperator_namespace_Lifecycle_State_FAILED_Count"
                '{cluster=~"$cluster", resourcens=~"$namespace"})',
                "{{resourcens}} {{resourcetype}} failed",
            ),
            Query(
                "sum by (cluster, resourcens, resourcename) "
                "(increase(flink_k8soperator_namespace_resource_JOSDK_Reconciliation_failed_Count"
                '{cluster=~"$cluster", resourcens=~"$namespace"}[$__rate_interval]))',
                "{{resourcens}}/{{resourcename}} failed reconciliations",
            ),
            runbook=("FlinkReconcileFailures", "FlinkDeploymentFailed"),
        ),
    ]
