"""The generator's counts for Prometheus, read when Prometheus asks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from loadgen.generate import Generator


class Collector:
    """Turns a generator's counts into metrics."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    def collect(self) -> Iterator[Metric]:
        """The metrics of now."""
        generator = self._generator
        yield GaugeMetricFamily("loadgen_wanted_events_per_second", "Dialled rate.", generator.pacer.rate)
        yield GaugeMetricFamily("loadgen_feature_shift", "Shift in standard deviations.", generator.source.shift)
        events = CounterMetricFamily("loadgen_events", "Events by what became of them.", labels=["result"])
        counts = generator.counts
        for result, count in (
            ("sent", counts.sent),
            ("delivered", counts.delivered),
            ("failed", counts.failed),
            ("missed", int(generator.pacer.missed)),
        ):
            events.add_metric([result], count)
        yield events
        bad = CounterMetricFamily("loadgen_bad_events", "Events made invalid on purpose.", labels=["kind"])
        for kind, count in sorted(generator.source.bad.items()):
            bad.add_metric([kind], count)
        yield bad


def serve(port: int, generator: Generator) -> None:
    """Answer on /metrics from a thread of its own."""
    registry = CollectorRegistry()
    registry.register(Collector(generator))  # type: ignore[arg-type]
    start_http_server(port, registry=registry)
