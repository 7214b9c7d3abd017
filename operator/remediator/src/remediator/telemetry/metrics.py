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
