"""Metrics for Prometheus, made when it asks from what the loop last published."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, MetricsHandler
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from data_monitor.adapters import http
from data_monitor.core import problems, quantiles
from data_monitor.core.monitor import Evaluation
from data_monitor.core.truth import REASONS, WHATS, Measured

_BUCKETS_SECONDS: Final = (
    *(1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3),
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_STALE_SECONDS: Final = 120.0
_COUNTERS: Final = {
    "records": ("data_monitor_records", "Records read, good and bad, dead letters among them."),
    "events": ("data_monitor_events", "Events taken into panes."),
    "late": ("late_events", "Events that were late: behind the newest of their partition by more than is allowed."),
    "ahead": (
        "data_monitor_ahead_events",
        "Events ahead of the newest of their partition by more than lateness.jump, which did not move it.",
    ),
    "expired": ("data_monitor_expired_events", "Events that were late beyond the window, and are in none."),
    "skipped": ("data_monitor_skipped_records", "Records left out: too old to matter, or gone before they were read."),
}


@dataclass(frozen=True)
class Published:
    """What the loop knows at one moment."""

    evaluation: Evaluation | None = None
    counted: Counter[str] = field(default_factory=Counter)
    """Since the start of the process: counters must not go back to an older value after a restart."""
    latencies: NDArray[np.int64] = field(default_factory=lambda: np.zeros(quantiles.SIZE, np.int64))
    latency_sum_ms: float = 0.0
    watermark_ms: int | None = None
    lag: int = 0
    saved_at: float = 0.0
    save_failures: int = 0
    measured: Measured | None = None
    """None without ground truth."""


class Exporter:
    """A collector for Prometheus' client."""

    def __init__(self, model: str, digest: str, thresholds: Mapping[str, float], error_types: Sequence[str]) -> None:
        self._model = model
        self._digest = digest
        self._thresholds = dict(thresholds)
        self._error_types = [*dict.fromkeys([*error_types, problems.OTHER])]
        self.published = Published()
        """Replaced as a whole by the loop."""

    def collect(self) -> Iterator[Metric]:
        """The metrics of now."""
        now = self.published
        yield from self._drift(now.evaluation)
        yield from self._counters(now)
        yield self._histogram(now)
        watermark = (now.watermark_ms or 0) / 1000
        yield self._gauge(
            "data_monitor_watermark_timestamp_seconds", "Event time up to which data is whole.", watermark
        )
        yield self._gauge("data_monitor_lag_records", "Records of this replica's partitions not read yet.", now.lag)
        yield self._gauge("data_monitor_state_saved_timestamp_seconds", "When the state was last saved.", now.saved_at)
        yield self._counter(
            "data_monitor_state_save_failures", "Times that the state was not saved.", now.save_failures
        )
        if now.measured:
            yield from self._truth(now.measured)

    def _drift(self, evaluation: Evaluation | None) -> Iterator[Metric]:
        digest = self._gauge("data_drift_reference_info", "1, with the digest of the reference.", labels=["digest"])
        digest.add_metric([self._model, self._digest], 1)
        yield digest
        yield self._by(
            "data_drift_feature_threshold", "Score from which a feature counts as drifted.", "feature", self._thresholds
        )
        yield self._gauge(
            "data_drift_last_evaluation_timestamp_seconds",
            "When a window with enough new events was last judged; 0 before the first.",
            evaluation.judged_at if evaluation else 0.0,
        )
        ready = bool(evaluation and evaluation.ready)
        yield self._gauge("data_drift_window_ready", "1 if the window has enough events; else scores are old.", ready)
        if not evaluation:
            return
        yield self._gauge("data_drift_window_events", "Events in the window, of all replicas.", evaluation.samples)
        yield self._gauge(
            "data_drift_window_end_timestamp_seconds",
            "Event time at which the window ends.",
            evaluation.window_end_ms / 1000,
        )
        late = evaluation.traffic.late_percent
        yield self._gauge("late_data_rate", "Late events in percent of the window's events.", late)
        ratio = None if late is None else late / 100
        yield self._gauge("late_data_ratio", "Late events as a share of the window's events, 0 to 1.", ratio)
        latency = {str(q): value for q, value in evaluation.traffic.latency_ms.items()}
        yield self._by(
            "ml_inference_latency",
            "Quantiles of the inference time over the window, milliseconds.",
            "quantile",
            latency,
        )
        judgement = evaluation.judgement
        if not judgement:
            return
        yield self._gauge("data_drift_score", "Drift, 0 to 1: the headline over all features.", judgement.score)
        yield self._by("data_drift_feature_score", "Drift of a feature, 0 to 1.", "feature", judgement.features)
        yield self._by(
            "data_drift_feature_psi", "Population stability index of a feature.", "feature", judgement.stability
        )
        yield self._by(
            "data_drift_feature_missing_ratio", "Share of missing values, 0 to 1.", "feature", judgement.missing
        )
        yield self._gauge("data_drift_features_drifted", "Features above their threshold.", len(judgement.drifted))
        if judgement.prediction is not None:
            yield self._gauge("prediction_drift_score", "Drift of the predictions, 0 to 1.", judgement.prediction)
        if judgement.segments:
            yield self._by("data_drift_segment_score", "Headline of a segment, 0 to 1.", "segment", judgement.segments)

    def _truth(self, now: Measured) -> Iterator[Metric]:
        yield self._counter("ground_truth_joined", "Predictions that were joined with their label.", now.joined)
        yield self._by("ground_truth_waiting", "Predictions and labels that wait for one another.", "what", now.waiting)
        dropped = CounterMetricFamily(
            "ground_truth_dropped", "Predictions and labels that were not joined.", labels=["model", "what", "reason"]
        )
        for what, reason in product(WHATS, REASONS):
            dropped.add_metric([self._model, what, reason], now.dropped[what, reason])
        yield dropped
        found = now.quality
        if not found:
            return
        end = "Event time at which the window ends that quality is measured over."
        yield self._gauge("ground_truth_window_end_timestamp_seconds", end, found.end_ms / 1000)
        yield self._gauge("ground_truth_window_predictions", "Predictions in that window.", found.predictions)
        yield self._gauge("ground_truth_window_joined", "Those of them that were joined.", found.joined)
        share = "Share of the window's predictions that were joined, 0 to 1."
        yield self._gauge("ground_truth_joined_ratio", share, found.joined / found.predictions)
        yield self._gauge("prediction_accuracy", "Share of right predictions, 0 to 1.", found.accuracy)
        yield self._gauge("prediction_mean_absolute_error", "Mean of abs(prediction - truth).", found.absolute_error)
        yield self._gauge(
            "prediction_root_mean_squared_error", "Root of the mean of (prediction - truth)^2.", found.rms_error
        )
        yield self._gauge("prediction_bias", "Mean of prediction - truth.", found.bias)

    def _counters(self, now: Published) -> Iterator[Metric]:
        for key, (name, text) in _COUNTERS.items():
            yield self._counter(name, text, now.counted[key])
        # Every type from the start, so that the first error is an increase.
        yield self._by_type(
            "validation_errors", "Records with something wrong, by what it is.", "invalid", problems.VALIDATION, now
        )
        yield self._by_type("dlq_messages", "Dead letters by the error they name.", "dead", self._error_types, now)

    def _by_type(self, name: str, text: str, prefix: str, types: Sequence[str], now: Published) -> Metric:
        family = CounterMetricFamily(name, text, labels=["model", "error_type"])
        for kind in types:
            family.add_metric([self._model, kind], now.counted[f"{prefix}.{kind}"])
        return family

    def _histogram(self, now: Published) -> Metric:
        sums = np.cumsum(now.latencies)
        bounds = np.asarray(_BUCKETS_SECONDS)
        # Bins are fine: what a bucket's bound cuts through belongs to it.
        below = sums[quantiles.encode(bounds * 1000)]
        buckets = [(str(bound), float(count)) for bound, count in zip(bounds, below, strict=True)]
        family = HistogramMetricFamily("ml_inference_latency_seconds", "Inference time.", labels=["model"])
        family.add_metric([self._model], [*buckets, ("+Inf", float(sums[-1]))], now.latency_sum_ms / 1000)
        return family

    def _gauge(self, name: str, text: str, value: float | None = None, labels: Sequence[str] = ()) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, text, labels=["model", *labels])
        # A state of an older version may hold NaN for what is not there.
        if value is not None and math.isfinite(value):
            family.add_metric([self._model], float(value))
        return family

    def _counter(self, name: str, text: str, value: float) -> CounterMetricFamily:
        family = CounterMetricFamily(name, text, labels=["model"])
        family.add_metric([self._model], value)
        return family

    def _by(self, name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
        family = self._gauge(name, text, labels=[label])
        for key, value in values.items():
            if math.isfinite(value):
                family.add_metric([self._model, key], value)
        return family


class Health:
    """What probes are answered."""

    def __init__(self) -> None:
        self.ready = False
        """Whether records are being read."""
        self._beat = time.monotonic()

    def beat(self) -> None:
        """The loop runs."""
        self._beat = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether the loop has run lately; waiting for a broker is a part of it."""
        return time.monotonic() - self._beat < _STALE_SECONDS


def serve(address: str, port: int, registry: CollectorRegistry, health: Health) -> ThreadingHTTPServer:
    """Serve ``/metrics``, ``/healthz`` and ``/readyz`` from a thread of its own. Raises OSError."""

    class Handler(MetricsHandler):
        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/healthz":
                    self._answer(health.alive)
                case "/readyz":
                    self._answer(health.ready)
                case "/metrics":
                    super().do_GET()
                case _:
                    self.send_error(404)

        def _answer(self, good: bool) -> None:
            body = b"ok\n" if good else b"not ok\n"
            self.send_response(200 if good else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    Handler.registry = registry
    server = http.bind(address, port, Handler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
