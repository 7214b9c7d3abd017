"""Looks at a running job before a decision: what it does, by JobManager REST and Prometheus, and what that means.

A remedy never waits long for this: what has not come within the time limit is missing, and the diagnosis says so.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from remediator.adapters.flink_metrics import FlinkMetrics
from remediator.adapters.prometheus import Prometheus
from remediator.api.diagnosis import Diagnosis
from remediator.core.diagnosis import diagnose
from remediator.core.flinkdeployment import FlinkDeployment
from remediator.core.queries import Matchers, job_queries, kafka_cluster, partition_lags
from remediator.core.readings import Readings
from remediator.core.snapshot import Job

LIMIT: Final = 1.0
"""Seconds that a decision waits for a diagnosis at most."""
FRESH: Final = timedelta(seconds=10)
"""So long a diagnosis is taken again: a JobManager fetches nothing newer (metrics.fetcher.update-interval)."""
REST: Final = timedelta(minutes=1)
"""So long a Prometheus that did not answer in time is not asked: its threads are needed for verification."""
_KEPT: Final = 256


@dataclass(frozen=True)
class _Metrics:
    numbers: Mapping[str, float] = field(default_factory=dict)
    records: Mapping[str, float] = field(default_factory=dict)
    lags: Mapping[str, float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


class Diagnoser:
    """Diagnoses jobs; writes nowhere."""

    def __init__(
        self, flink: FlinkMetrics, prometheus: Prometheus, clock: Callable[[], datetime], limit: float = LIMIT
    ) -> None:
        self._flink = flink
        self._prometheus = prometheus
        self._clock = clock
        self._limit = limit
        self._known: dict[tuple[str, int, Matchers], Diagnosis] = {}
        self._silent_since: datetime | None = None

    async def diagnose(self, target: FlinkDeployment, job: Job | None, alert: Mapping[str, str]) -> Diagnosis | None:
        """Return what is to be said of a job about which there is an alert with these labels; None for a job that does
        not run."""
        if job is None or not job.vertices or not job.running:
            return None
        cluster = kafka_cluster(target.consumer_groups, alert)
        now, key = self._clock(), (job.id, max(v.parallelism for v in job.vertices), cluster)
        known = self._known.get(key)
        if known is not None and timedelta(0) <= now - known.time < FRESH:
            return known
        flink, metrics = await asyncio.gather(
            self._flink.read(target.namespace, target.name, job, self._limit), self._metrics(target, cluster, now)
        )
        managers, cores = metrics.numbers.get("task_managers"), target.task_manager_cpu
        used = metrics.numbers.get("container_cpu", metrics.numbers.get("jvm_cpu"))
        missing = [*metrics.missing, *(["CPU use"] if used is None else [])]
        diagnosis = diagnose(
            Readings(
                at=now,
                flink=flink,
                cpu_used=used,
                cpu_limit=None if managers is None or cores is None else managers * cores,
                partitions=metrics.lags,
                input_rate=metrics.numbers.get("input_rate"),
                consumed_rate=metrics.numbers.get("consumed_rate"),
                records=metrics.records,
                missing=tuple(missing),
            )
        )
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[key] = diagnosis
        return diagnosis

    async def _metrics(self, target: FlinkDeployment, cluster: Matchers, now: datetime) -> _Metrics:
        if self._silent_since is not None and now - self._silent_since < REST:
            return _Metrics(missing=("Prometheus: it did not answer in time before",))
        numbers, lags = job_queries(target, cluster), partition_lags(target.consumer_groups, cluster)
        wanted = [self._prometheus.vector(query) for query in (numbers, lags) if query]
        try:
            async with asyncio.timeout(self._limit):
                answers = await asyncio.gather(*wanted)
        except TimeoutError:
            self._silent_since = now
            return _Metrics(missing=("Prometheus: no answer in time",))
        self._silent_since = None
        missing = ["Prometheus: no usable answer"] if None in answers else []
        if not lags:
            missing.append("partitions: the FlinkDeployment names no consumer group")
        first, second = answers[0], answers[1] if lags else []
        return _Metrics(
            numbers={labels["stat"]: value for labels, value in first or () if "stat" in labels},
            records={labels["task_id"]: value for labels, value in first or () if "task_id" in labels},
            lags={f"{labels.get('topic', '')}/{labels.get('partition', '')}": value for labels, value in second or ()},
            missing=tuple(missing),
        )
