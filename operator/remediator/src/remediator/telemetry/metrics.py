"""Prometheus metrics of both roles, in base units."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_SECONDS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200)

ALERTS_RECEIVED = Counter(
    "remediator_alerts_received_total", "Alerts received by the webhook, by what became of them.", ["result"]
)
WEBHOOK_REQUESTS = Counter("remediator_webhook_requests_total", "Webhook requests by HTTP status code.", ["code"])
TRANSITIONS = Counter(
    "remediator_remediations_total", "FlinkRemediations that entered a phase, with the reason.", ["phase", "reason"]
)
ACTIONS = Counter(
    "remediator_actions_total", "Finished actions by type, outcome and reason.", ["type", "outcome", "reason"]
)
ALERT_TO_ACTION = Histogram(
    "remediator_alert_to_action_seconds",
    "Time from the alert's start to the accepted patch.",
    buckets=_SECONDS,
)
ACTION_TO_RECOVERY = Histogram(
    "remediator_action_to_recovery_seconds",
    "Time from the accepted patch to the verified recovery.",
    buckets=_SECONDS,
)
IN_FLIGHT = Gauge("remediator_remediations_in_flight", "FlinkRemediations that the controller is working on.")
LEASE_HELD = Gauge("remediator_lease_held", "1 while this controller holds the Lease and acts.")
WATCH_TIMESTAMP = Gauge(
    "remediator_watch_event_timestamp_seconds",
    "When it was last seen that every FlinkRemediation in flight is attended to: the watch brings its events.",
)
RESYNC_TIMESTAMP = Gauge("remediator_resync_timestamp_seconds", "When Alertmanager was last compared with the records.")
RESYNC_FINDINGS = Counter(
    "remediator_resync_findings_total", "FlinkRemediations that resync created or marked resolved."
)
WATCHDOG_TIMESTAMP = Gauge(
    "remediator_watchdog_timestamp_seconds", "When the alert Watchdog was last seen; 0 if it never was."
)


def count_watchdog(seen: bool) -> None:
    """Note that Watchdog was seen: the path from Prometheus to here is open."""
    if seen:
        WATCHDOG_TIMESTAMP.set_to_current_time()
