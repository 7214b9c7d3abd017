"""Recovery from one overload by nobody, by Flink's autoscaler and by the remediator, one after the other on a cluster.

Each contender gets a fresh installation of the chart with the demo's values for the scenario ``scale``: the same job at
parallelism 2, and the same step of the load. It takes two hours; BENCH_QUICK=1 sizes for one rate only. CONTENDERS
and RATES choose others, separated by commas; CLUSTER names the provider.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from cluster.__main__ import DEFAULT, KUBECONFIG, up
from cluster.steps import Steps

from bench import comparison
from demo.incident import LAG_LIMIT, Incident, Sample
from demo.install import NAMESPACE, install, last_values, prepare_chart, profiles, uninstall
from demo.kube import ROOT, Cluster
from demo.pipeline import PIPELINE, Pipeline
from demo.scenarios import SCENARIOS

HERE = Path(__file__).parent
QUICK = bool(os.environ.get("BENCH_QUICK"))
DEMO = ROOT / "demo"
OUT = ROOT / "build/recovery"
OVERLOAD = 800
RATES = [int(rate) for rate in os.environ.get("RATES", "800" if QUICK else "700,750,800,900,1000").split(",")]
DRAIN_WITHIN = timedelta(minutes=5)
SETTLED = timedelta(seconds=30)
"""How long the lag has to stay low for the backlog to count as drained."""
EVERY = 2.0
Values = dict[str, Any]
Report = Callable[[str], None]

_OBSERVE: Values = {"remediator": {"policies": {"high-kafka-lag": {"spec": {"mode": "Observe"}}}}}
_TUNED = {
    # The shortest that its documentation shows, and one minute to catch up in.
    "job.autoscaler.stabilization.interval": "1m",
    "job.autoscaler.metrics.window": "1m",
    "job.autoscaler.catch-up.duration": "1m",
    "job.autoscaler.restart.time": "30s",
    "job.autoscaler.target.utilization": "0.6",
}


def _autoscaled(**keys: str) -> Values:
    configuration = {"job.autoscaler.enabled": "true", "job.autoscaler.vertex.max-parallelism": "8", **keys}
    # It goes by how long subtasks are busy below their limit, too: with a store that makes them wait only there, it
    # takes them for idle.
    job = {"extraArgs": ["--feature-ms", "3.5", "--feature-overlap-ms", "1"]}
    return {**_OBSERVE, "pipeline": {"extraFlinkConfiguration": configuration, "job": job}}


def _sized() -> Values:
    step = {"toDrainWithin": f"{DRAIN_WITHIN.total_seconds():.0f}s", "max": 8, "strategy": "Auto"}
    policy = {"spec": {"actions": [{"type": "Scale", "scale": step, "timeout": "10m"}]}}
    return {"remediator": {"policies": {"high-kafka-lag": policy}}}


@dataclass(frozen=True)
class Contender:
    """Who is to end an overload, at which load, and how long that is waited for."""

    name: str
    values: Values
    rate: int = OVERLOAD
    history: float = 0
    """Minutes under the easy load before the overload, for who decides by what was measured."""
    minutes: float = 10


CONTENDERS = [
    Contender("nobody", _OBSERVE, minutes=4),
    Contender("by_factor", {}),
    # By the time at which it is sized, five minutes are known.
    *(Contender(f"sized_{rate}", _sized(), rate=rate, history=4) for rate in RATES),
    Contender("autoscaler_tuned", _autoscaled(**_TUNED), history=3, minutes=15),
    # Its first window begins after 5 minutes and takes 15; without a full one it does nothing.
    Contender("autoscaler_defaults", _autoscaled(), history=19, minutes=20),
]


@dataclass
class Course:
    """What was seen of an overload. Times are in seconds from the moment at which the lag was seen above the alert's
    threshold: before that, nobody can know.
    """

    incident: Incident
    starts: list[str] = field(default_factory=list)
    """When the job was submitted, by Flink's operator: each entry one start."""

    @property
    def samples(self) -> Sequence[Sample]:
        return self.incident.samples

    def seconds(self, moment: datetime) -> float:
        return (moment - self.incident.start).total_seconds()

    def first(self, condition: Callable[[Sample], bool]) -> float | None:
        """Return how long after the threshold was passed a condition was first seen to hold."""
        over = next((s.time for s in self.samples if (s.lag or 0) >= LAG_LIMIT), self.incident.start)
        return next((round((s.time - over).total_seconds(), 1) for s in self.samples if condition(s)), None)

    def drained(self) -> float | None:
        """Return how long after the threshold was passed the lag fell below it to stay there."""
        above = [s.time for s in self.samples if s.lag is not None and s.lag >= LAG_LIMIT]
        if not above or self.samples[-1].time - above[-1] < SETTLED:
            return None
        return self.first(lambda s: s.time > above[-1])

    def late(self) -> int:
        """Return how many events arrived while more waited than the alert allows."""
        steps = pairwise(self.samples)
        return round(sum(a.rate * (b.time - a.time).total_seconds() for a, b in steps if (a.lag or 0) >= LAG_LIMIT))


def chosen(names: str) -> list[Contender]:
    """Return the contenders with these names, separated by commas; without a name, all. Raises SystemExit."""
    wanted = set(filter(None, names.split(",")))
    if unknown := wanted - {contender.name for contender in CONTENDERS}:
        there = ", ".join(contender.name for contender in CONTENDERS)
        raise SystemExit(f"CONTENDERS: no {', '.join(sorted(unknown))}; there are {there}")
    return [contender for contender in CONTENDERS if not wanted or contender.name in wanted]


def run(report: Report) -> Values:
    """Measure the contenders; writes the course of each to build/recovery, and a picture of all that are there."""
    contenders = chosen(os.environ.get("CONTENDERS", ""))
    provider = os.environ.get("CLUSTER") or DEFAULT
    steps = Steps()
    up(provider, steps)
    OUT.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(KUBECONFIG, NAMESPACE)
    figures, picture = {}, OUT / "recovery.svg"
    for contender in contenders:
        report(f"{contender.name}: {contender.rate} events/s")
        _install(cluster, provider, contender, steps)
        course = _overload(cluster, contender, steps)
        figures[contender.name] = _figures(cluster, contender, course)
        report(json.dumps({contender.name: figures[contender.name]}))
        comparison.save(course.incident, OUT / f"{contender.name}.json")
        picture.write_text(comparison.draw(comparison.saved(OUT), LAG_LIMIT))
    report(f"written: {picture}")
    return {"cluster": provider, "drain_within_s": DRAIN_WITHIN.total_seconds(), **figures}


def _install(cluster: Cluster, provider: str, contender: Contender, steps: Steps) -> None:
    uninstall(cluster, steps.say)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as own:
        yaml.safe_dump(contender.values, own)
        own.flush()
        demo = [DEMO / "values.yaml", DEMO / "values-scale.yaml", HERE / "recovery-values.yaml"]
        values = [*profiles(provider), *demo, *last_values(provider), Path(own.name)]
        install(cluster, prepare_chart(provider, OUT / "chart"), values, steps.say)


def _overload(cluster: Cluster, contender: Contender, steps: Steps) -> Course:
    scenario = SCENARIOS["scale"]
    pipeline = Pipeline(cluster, scenario.alert)
    pipeline.wait_running(steps.say)
    pipeline.set_rate(scenario.healthy_rate)
    known = time.monotonic() + contender.history * 60
    pipeline.wait_healthy(steps.say)
    pipeline.wait_calm(steps.say)
    time.sleep(max(known - time.monotonic(), 0))
    pipeline.set_rate(contender.rate)
    course = Course(Incident(start=datetime.now(UTC), alert=scenario.alert))
    deadline = time.monotonic() + contender.minutes * 60
    while time.monotonic() < deadline and not _over(course):
        course.incident.samples.append(pipeline.sample(course.incident.start))
        start = cluster.at_once().flink_deployment(PIPELINE)["status"]["jobStatus"].get("startTime")
        if start and start not in course.starts:
            course.starts.append(start)
        time.sleep(EVERY)
    return course


def _over(course: Course) -> bool:
    scaled = any((s.parallelism or 0) > 2 for s in course.samples[-1:])
    return scaled and course.drained() is not None


def _figures(cluster: Cluster, contender: Contender, course: Course) -> Values:
    remediation = Pipeline(cluster, course.incident.alert).remediation(course.incident.start)
    status = (remediation or {}).get("status") or {}
    plan, drained = status.get("plan") or {}, course.drained()
    fired = course.first(lambda s: s.alert == "firing")
    sizes = [s.parallelism for s in course.samples if s.parallelism]
    restarts = cluster.promql(
        f'sum(increase(flink_jobmanager_job_numRestarts{{app="{PIPELINE}"}}[{len(course.samples) * 5}s]))'
    )
    return {
        "events_per_second": contender.rate,
        "watched_s": round(course.seconds(course.samples[-1].time)),
        "alert_after_s": fired,
        "scaled_after_s": course.first(lambda s: (s.parallelism or 0) > 2),
        "parallelism": sizes[-1] if sizes else None,
        "parallelisms": [size for n, size in enumerate(sizes) if n == 0 or size != sizes[n - 1]],
        "drained_after_s": drained,
        "drained_after_alert_s": round(drained - fired, 1) if drained is not None and fired is not None else None,
        "highest_lag": max((s.lag for s in course.samples if s.lag is not None), default=None),
        "late_events": course.late(),
        "submissions": len(course.starts),
        "restarts_of_the_running_job": round(float(restarts[0]["value"][1])) if restarts else None,
        "sizing": plan.get("sizing", ""),
        "remediation": " ".join(filter(None, [status.get("phase"), status.get("reason"), status.get("action")])),
    }
