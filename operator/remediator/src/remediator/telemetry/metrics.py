"""Prometheus metrics of both roles, in base units."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

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


class Records(Collector):
    """The FlinkRemediations that exist: a gauge with one series each, which says when it entered the phase it is in.
    Policies limit how many are kept, and so how many series there are."""

    _LABELS: Final = ("remediation", "alert", "target_namespace", "target", "action", "phase", "reason")

    def __init__(self, registry: CollectorRegistry) -> None:
        self._records: dict[str, tuple[tuple[str, ...], float]] = {}
        registry.register(self)

    def put(self, name: str, labels: Mapping[str, str], entered: float) -> None:
        """Say where a FlinkRemediation is: its labels but for its name, and the time in seconds since 1970."""
        self._records = {**self._records, name: self._record(name, labels, entered)}

    def replace(self, records: Iterable[tuple[str, Mapping[str, str], float]]) -> None:
        """Say which ones there are, in the form of put; all others are forgotten."""
        self._records = {name: self._record(name, labels, entered) for name, labels, entered in records}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the series of now; a scrape may come at any moment, from a thread of its own."""
        family = GaugeMetricFamily(
            "remediator_remediation_phase_timestamp_seconds",
            "When a FlinkRemediation that exists entered the phase it is in.",
            labels=self._LABELS,
        )
        for labels, entered in self._records.values():
            family.add_metric(labels, entered)
        yield family

    def _record(self, name: str, labels: Mapping[str, str], entered: float) -> tuple[tuple[str, ...], float]:
        return (name, *(labels[label] for label in self._LABELS[1:])), entered


class ConsumerGroups(Collector):
    """Which FlinkDeployment reads with which consumer group: a gauge that is 1 for each such pair. Rules join it, so
    that an alert about a consumer group knows the job that it is about."""

    LABELS: Final = ("target_namespace", "consumergroup", "app")

    def __init__(self, registry: CollectorRegistry) -> None:
        self._pairs: dict[str, frozenset[tuple[str, str]]] = {}
        registry.register(self)

    def replace(self, namespace: str, pairs: Iterable[tuple[str, str]]) -> None:
        """Say which pairs of a consumer group and a FlinkDeployment's name a namespace has."""
        self._pairs = {**self._pairs, namespace: frozenset(pairs)}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the series of now; a scrape may come at any moment, from a thread of its own."""
        family = GaugeMetricFamily(
            "remediator_consumer_group_info",
            "1 for each consumer group that a FlinkDeployment (app) names in its annotation.",
            labels=self.LABELS,
        )
        for namespace, pairs in self._pairs.items():
            for group, app in sorted(pairs):
                family.add_metric((namespace, group, app), 1)
        yield family


RECORDS = Records(REGISTRY)
CONSUMER_GROUPS = ConsumerGroups(REGISTRY)
