"""Prometheus metrics of both roles, in base units."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from remediator.api.diagnosis import FindingType

_FRACTIONS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
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
FINDINGS = Counter("remediator_findings_total", "FlinkRemediations about whose job it was found, by what.", ["type"])
for _type in FindingType:
    FINDINGS.labels(_type)  # From the start, so that the first one is an increase.
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
QUEUE_DEPTH = Gauge("remediator_queue_depth", "FlinkRemediations that are due and wait for a worker.")
QUEUE_AGE = Gauge("remediator_queue_oldest_seconds", "How long the first of them has been waiting.")
QUEUE_WAIT = Histogram(
    "remediator_queue_wait_seconds", "Time from being due to the begin of a step.", buckets=_FRACTIONS
)
STEP_DURATION = Histogram("remediator_step_duration_seconds", "Time that a step took.", buckets=_FRACTIONS)
LOOP_LAG = Histogram(
    "remediator_event_loop_lag_seconds", "How late the event loop runs what is due.", buckets=_FRACTIONS
)
API_REQUESTS = Counter(
    "remediator_api_requests_total",
    "Requests to the API server by verb, resource and HTTP status; none: no answer.",
    ["verb", "resource", "code"],
)
LEASE_HELD = Gauge("remediator_lease_held", "1 while this controller holds the Lease and acts.")
STOPPED = Gauge("remediator_stopped", "1 while everything is stopped: nothing new begins, whatever the policies say.")
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


class Records(Collector):
    """The FlinkRemediations in work and the newest that have ended: a gauge with one series each, which says when it
    entered the phase it is in."""

    _LABELS: Final = ("remediation", "alert", "target_namespace", "target", "action", "phase", "reason")
    ENDED: Final = 200
    """How many of those that have ended: the series do not grow with the records."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._in_work: dict[str, tuple[tuple[str, ...], float]] = {}
        self._ended: dict[str, tuple[tuple[str, ...], float]] = {}
        registry.register(self)

    def put(self, name: str, labels: Mapping[str, str], entered: float, ended: bool) -> None:
        """Say where a FlinkRemediation is: its labels but for its name, and the time in seconds since 1970."""
        self.remove(name)
        values = (name, *(labels[label] for label in self._LABELS[1:]))
        (self._ended if ended else self._in_work)[name] = (values, entered)
        if len(self._ended) > 2 * self.ENDED:
            self._ended = dict(self._newest())

    def remove(self, name: str) -> None:
        """Forget a FlinkRemediation."""
        self._in_work.pop(name, None)
        self._ended.pop(name, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the series of now; a scrape may come at any moment, from a thread of its own."""
        family = GaugeMetricFamily(
            "remediator_remediation_phase_timestamp_seconds",
            "When a FlinkRemediation, in work or one of the last to end, entered the phase it is in.",
            labels=self._LABELS,
        )
        for labels, entered in [*list(self._in_work.values()), *(one for _, one in self._newest())]:
            family.add_metric(labels, entered)
        yield family

    def _newest(self) -> list[tuple[str, tuple[tuple[str, ...], float]]]:
        return sorted(self._ended.copy().items(), key=lambda item: item[1][1])[-self.ENDED :]


class ConsumerGroups(Collector):
    """Which FlinkDeployment reads with which consumer group: a gauge that is 1 for each such pair. Rules join it, so
    that an alert about a consumer group knows the job that it is about."""

    LABELS: Final = ("target_namespace", "consumergroup", "app")

    def __init__(self, registry: CollectorRegistry) -> None:
        self._pairs: frozenset[tuple[str, str, str]] = frozenset()
        registry.register(self)

    def replace(self, pairs: Iterable[tuple[str, str, str]]) -> None:
        """Say which there are: namespaces, consumer groups and FlinkDeployments' names."""
        self._pairs = frozenset(pairs)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the series of now; a scrape may come at any moment, from a thread of its own."""
        family = GaugeMetricFamily(
            "remediator_consumer_group_info",
            "1 for each consumer group that a FlinkDeployment (app) names in its annotation.",
            labels=self.LABELS,
        )
        for pair in sorted(self._pairs):
            family.add_metric(pair, 1)
        yield family


RECORDS = Records(REGISTRY)
CONSUMER_GROUPS = ConsumerGroups(REGISTRY)
