"""*Remediations*: what was done, when, with what effect, and whether the remediator itself is well."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import alerts, annotations
from dashboards.expressions import CHECKPOINTS_COMPLETED, CHECKPOINTS_FAILED, LAG, NAMESPACE, SUBTASKS, records
from dashboards.parts import Panel, Query, Steps, add_row, board, graph, listing, number


def build() -> builders.Dashboard:
    """Return the dashboard."""
    dashboard = (
        board(
            "streaming-remediations",
            "Remediations",
            "What the remediator did about critical alerts, and what came of it. The records: kubectl get frem",
            ["namespace", "app", "consumergroup"],
        )
        .annotation(annotations.firing())
        .annotation(annotations.remediations())
    )
    add_row(dashboard, "", _now())
    add_row(dashboard, "What was done", _done())
    add_row(dashboard, "With what effect", _effect())
    add_row(dashboard, "The remediator itself", _remediator())
    return dashboard


def _count(phases: str) -> str:
    selected = records(f'phase=~"{phases}"')
    return f"count({selected}) or vector(0)"


def _age(metric: str) -> str:
    return f"time() - max(remediator_{metric}_timestamp_seconds{{{NAMESPACE}}} > 0)"


def _now() -> list[Panel]:
    return [
        number(
            "Under way",
            "FlinkRemediations that the controller works on now; those that wait for approval are among them.",
            "none",
            Query(f"sum(remediator_remediations_in_flight{{{NAMESPACE}}})", "in flight"),
            steps=Steps(((None, "green"), (1, "orange"))),
            runbook="RemediationAwaitingApproval",
        ),
        number(
            "Succeeded",
            "FlinkRemediations on record after which the job ran as planned and the policy's query held.",
            "none",
            Query(_count("Succeeded"), "succeeded"),
            steps=Steps(((None, "text"), (1, "green"))),
        ),
        number(
            "Did not help",
            "FlinkRemediations on record that ended Ineffective, Failed or Overridden: people are needed.",
            "none",
            Query(_count("Ineffective|Failed|Overridden"), "unsuccessful"),
            steps=Steps.above(1),
            runbook="RemediationUnsuccessful",
        ),
        number(
            "Refused",
            "FlinkRemediations on record that a guard kept from acting. The reason is in the list below.",
            "none",
            Query(_count("Refused"), "refused"),
            steps=Steps(((None, "green"), (1, "orange"))),
        ),
        number(
            "Controllers in charge",
            "Exactly one holds the Lease and acts.",
            "none",
            Query(f"sum(remediator_lease_held{{{NAMESPACE}}}) or vector(0)", "leaders"),
            steps=Steps(((None, "red"), (1, "green"), (2, "red"))),
            runbook="RemediatorLeaseNotHeld",
        ),
        number(
            "Records looked after",
            "How long ago it was last seen that every FlinkRemediation under way is attended to.",
            "s",
            Query(_age("watch_event"), "age"),
            steps=Steps.above(alerts.limit("RemediatorWatchStale")),
            runbook="RemediatorWatchStale",
        ),
        number(
            "Alertmanager compared",
            "How long ago Alertmanager was last asked for missed alerts. It is asked every minute.",
            "s",
            Query(_age("resync"), "age"),
            steps=Steps.above(alerts.limit("RemediatorResyncStale")),
            runbook="RemediatorResyncStale",
        ),
        number(
            "Watchdog",
            "How long ago the alert that always fires was last received: the path from Prometheus to here is open.",
            "s",
            Query(_age("watchdog"), "age"),
            steps=Steps.above(alerts.limit("RemediatorWatchdogMissing")),
            runbook="RemediatorWatchdogMissing",
        ),
    ]


def _done() -> list[Panel]:
    return [
        listing(
            "Records",
            "The FlinkRemediations in work and the 200 that ended last, the latest first. All that are kept: kubectl "
            "get frem; for the plan, the patch and the timeline: kubectl describe frem NAME",
            f"{records()} * 1000",
            {
                "Value": "In this phase since",
                "alert": "Alert",
                "target_namespace": "Namespace",
                "target": "Flink job",
                "action": "Action",
                "phase": "Phase",
                "reason": "Reason",
                "remediation": "FlinkRemediation",
            },
            height=9,
            empty="No FlinkRemediations.",
            latest_first="In this phase since",
            overrides=[("In this phase since", {"unit": "dateTimeAsIso"})],
        ),
        graph(
            "Phases entered",
            "How many FlinkRemediations entered a phase within the 15 minutes before each moment.",
            "short",
            Query(
                f"sum by (cluster, namespace, phase) (streaming:remediator_remediations:increase15m{{{NAMESPACE}}})",
                "{{phase}}",
            ),
        ),
        graph(
            "Refusals and waits by reason",
            "Why the remediator held back, within the 15 minutes before each moment. Each reason is explained in the "
            "policy's documentation and says what to do about it.",
            "short",
            Query(
                "sum by (cluster, namespace, phase, reason) (streaming:remediator_remediations:increase15m"
                f'{{phase=~"Refused|Pending|AwaitingApproval", {NAMESPACE}}})',
                "{{phase}}: {{reason}}",
            ),
            runbook="RemediationBudgetExhausted",
        ),
        graph(
            "Findings by type",
            "FlinkRemediations about whose job the diagnosis found something, by what. What keeps coming back needs "
            "more than another remediation. The evidence is in the records: kubectl describe frem NAME",
            "short",
            Query(
                "sum by (cluster, namespace, type) "
                f"(increase(remediator_findings_total{{{NAMESPACE}}}[$__rate_interval]))",
                "{{type}}",
            ),
        ),
    ]


def _effect() -> list[Panel]:
    return [
        *_seconds("Alert to action", "From the alert's start to the accepted patch", "alert_to_action"),
        *_seconds("Action to recovery", "From the accepted patch to the verified recovery", "action_to_recovery"),
        graph(
            "Backlog by consumer group",
            "Messages behind; the marks are alerts and remediations. After a remediation that helped, it falls.",
            "short",
            Query(LAG, "{{namespace}}/{{consumergroup}}"),
            alert="HighKafkaLag",
        ),
        graph(
            "Parallelism by task",
            "Subtasks that run: what became of a Scale.",
            "none",
            Query(SUBTASKS, "{{app}}: {{task_name}}"),
        ),
        graph(
            "Checkpoints",
            "Checkpoints that completed and failed: what became of a Restore.",
            "short",
            Query(CHECKPOINTS_COMPLETED, "{{namespace}}/{{app}} completed"),
            Query(CHECKPOINTS_FAILED, "{{namespace}}/{{app}} failed"),
            runbook="FlinkCheckpointFailures",
        ),
    ]


def _seconds(title: str, about: str, name: str) -> list[Panel]:
    metric = f"remediator_{name}_seconds"
    mean = " / ".join(f"sum(increase({metric}_{part}{{{NAMESPACE}}}[$__range]))" for part in ("sum", "count"))
    p95 = f"histogram_quantile(0.95, sum by (le) (increase({metric}_bucket{{{NAMESPACE}}}[$__range])))"
    return [
        number(f"{title}, {which}", f"{about}, over the time shown.", "s", Query(expr, which), span=6, instant=True)
        for which, expr in (("mean", mean), ("p95", p95))
    ]


def _p99(name: str) -> str:
    rates = f"rate(remediator_{name}_seconds_bucket{{{NAMESPACE}}}[$__rate_interval])"
    return f"histogram_quantile(0.99, sum by (cluster, namespace, le) ({rates}))"


def _remediator() -> list[Panel]:
    return [
        graph(
            "Alerts received",
            "Alerts per second that Alertmanager delivered, by what became of them. The Watchdog is among them.",
            "cps",
            Query(
                "sum by (cluster, namespace, result) "
                f"(rate(remediator_alerts_received_total{{{NAMESPACE}}}[$__rate_interval]))",
                "{{result}}",
            ),
        ),
        graph(
            "Webhook answers",
            "Requests per second by status code. 5xx: Alertmanager tries again; 4xx: the notification is lost.",
            "reqps",
            Query(
                "sum by (cluster, namespace, code) "
                f"(rate(remediator_webhook_requests_total{{{NAMESPACE}}}[$__rate_interval]))",
                "{{code}}",
            ),
            runbook="RemediatorWebhookRefusing",
        ),
        graph(
            "Found by resync",
            "FlinkRemediations that were missed by the webhook and found by asking Alertmanager. More than a few mean "
            "that notifications get lost.",
            "short",
            Query(
                "sum by (cluster, namespace) "
                f"(increase(remediator_resync_findings_total{{{NAMESPACE}}}[$__rate_interval]))",
                "{{namespace}}",
            ),
        ),
        graph(
            "Steps",
            "How long steps take, and how long what is due waits for a worker: 99 of 100 are faster.",
            "s",
            Query(_p99("step_duration"), "{{namespace}} step"),
            Query(_p99("queue_wait"), "{{namespace}} wait"),
            runbook="RemediatorSlow",
        ),
        graph(
            "Queue",
            "FlinkRemediations that are due and wait for a worker.",
            "none",
            Query(f"max by (cluster, namespace) (remediator_queue_depth{{{NAMESPACE}}})", "{{namespace}}"),
            runbook="RemediatorSlow",
        ),
        graph(
            "Longest wait",
            "How long the first of them has been waiting.",
            "s",
            Query(f"max by (cluster, namespace) (remediator_queue_oldest_seconds{{{NAMESPACE}}})", "{{namespace}}"),
            runbook="RemediatorSlow",
        ),
        graph(
            "Event loop",
            "How late the event loop runs what is due: 99 of 100 measurements are better.",
            "s",
            Query(_p99("event_loop_lag"), "{{namespace}}"),
            runbook="RemediatorSlow",
            span=8,
        ),
        graph(
            "Requests to the API server",
            "Requests per second by verb.",
            "reqps",
            Query(
                "sum by (cluster, namespace, verb) "
                f"(rate(remediator_api_requests_total{{{NAMESPACE}}}[$__rate_interval]))",
                "{{verb}}",
            ),
            span=8,
        ),
        graph(
            "Conflicts and errors of the API server",
            "Requests per second that were not carried out, by status code. 409 and 422: somebody else wrote first.",
            "reqps",
            Query(
                "sum by (cluster, namespace, verb, code) "
                f'(rate(remediator_api_requests_total{{code!~"2..", {NAMESPACE}}}[$__rate_interval]))',
                "{{verb}}: {{code}}",
            ),
            span=8,
        ),
        graph(
            "Processes that answer",
            "Receivers and controllers that Prometheus can scrape.",
            "none",
            Query(
                f'sum by (cluster, namespace, app_kubernetes_io_component) (up{{job="remediator", {NAMESPACE}}})',
                "{{app_kubernetes_io_component}}",
            ),
            runbook="RemediatorDown",
        ),
        graph(
            "Stopped",
            "1 while somebody has stopped everything: nothing new begins, whatever the policies say.",
            "none",
            Query(f"max by (cluster, namespace) (remediator_stopped{{{NAMESPACE}}})", "{{namespace}}"),
            runbook="RemediatorStopped",
        ),
        graph(
            "Memory",
            "Resident memory of the remediator's processes.",
            "bytes",
            Query(
                f'max by (cluster, namespace, pod) (process_resident_memory_bytes{{job="remediator", {NAMESPACE}}})',
                "{{pod}}",
            ),
        ),
    ]
