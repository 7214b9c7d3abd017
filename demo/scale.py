"""The scale scenario: load past what parallelism 2 can carry, and what the remediator makes of it."""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx

from demo.incident import Incident, Sample, marks_of
from demo.kube import Cluster, wait_for

PIPELINE = "ml-recommender"
LOADGEN = "streaming-monitoring-loadgen"
LAG = f'streaming:kafka_consumergroup_lag:sum{{consumergroup="{PIPELINE}"}}'
HEALTHY_RATE, OVERLOAD_RATE = 400, 800
TERMINAL = {"Succeeded", "Ineffective", "Failed", "Refused", "Observed", "Cancelled", "Overridden"}
_SAMPLE_SECONDS = 2
T = TypeVar("T")
_UNREACHABLE = (httpx.HTTPError, KeyError, ValueError)


class Pipeline:
    """The example pipeline on a cluster, and what is measured of it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.rate = HEALTHY_RATE

    def set_rate(self, rate: int) -> None:
        """Change the load (events per second)."""
        self._cluster.patch_config_map(LOADGEN, {"rate": str(rate)})
        self.rate = rate

    def lag(self) -> float | None:
        """The alert's own expression."""
        series = self._cluster.promql(LAG)
        return float(series[0]["value"][1]) if series else None

    def parallelism(self) -> int | None:
        """Lowest parallelism of the job's running vertices that are not fixed to 1, by JobManager REST."""
        job_id = self._cluster.flink_deployment(PIPELINE)["status"]["jobStatus"]["jobId"]
        job = self._cluster.service(f"{PIPELINE}-rest", 8081, f"/jobs/{job_id}")
        if job["state"] != "RUNNING":
            return None
        return min((v["parallelism"] for v in job["vertices"] if v["parallelism"] > 1), default=1)

    def alert(self) -> str:
        """State of HighKafkaLag in Prometheus."""
        alerts = self._cluster.service("kps-prometheus", 9090, "/api/v1/alerts")["data"]["alerts"]
        states = {a["state"] for a in alerts if a["labels"]["alertname"] == "HighKafkaLag"}
        return "firing" if "firing" in states else "pending" if states else "inactive"

    def sample(self, since: datetime) -> Sample:
        """Measure everything; what does not answer is None. Remediations older than ``since`` are not shown."""
        remediation = self.remediation(since)
        status = (remediation or {}).get("status") or {}
        return Sample(
            time=datetime.now(UTC),
            lag=_try(self.lag),
            parallelism=_try(self.parallelism),
            rate=self.rate,
            alert=_try(self.alert) or "inactive",
            remediation=" ".join(filter(None, [status.get("phase"), status.get("reason")])),
        )

    def remediation(self, since: datetime) -> dict[str, Any] | None:
        """The latest remediation of the pipeline that was created since then."""
        found = [
            item
            for item in _try(self._cluster.remediations) or []
            if item["spec"]["target"]["name"] == PIPELINE
            and datetime.fromisoformat(item["metadata"]["creationTimestamp"]) >= since.replace(microsecond=0)
        ]
        return found[-1] if found else None

    def audit(self) -> dict[str, Any]:
        """Stop the load, wait until all is read, and compare what was produced with what came out."""
        self.set_rate(0)
        wait_for("the lag drained", lambda: self.lag() == 0, 180)
        command = [f"deploy/{LOADGEN}", "--", "python3", "-m", "loadgen", "audit", "--wait=60"]
        bootstrap = "--bootstrap-servers=streaming-kafka-bootstrap:9092"
        # It ends with 1 when records are lost; what it prints says so too.
        answer = self._cluster.kubectl("exec", *command, bootstrap, accept=(0, 1))
        audit: dict[str, Any] = json.loads(answer)
        return audit


def wait_healthy(cluster: Cluster, pipeline: Pipeline, progress: Callable[[str], None]) -> None:
    """Wait until the job runs at 2 and is watched. Raises WaitError."""
    steps: list[tuple[str, Callable[[], object], int]] = [
        ("the job runs", lambda: cluster.flink_deployment(PIPELINE)["status"]["lifecycleState"] == "STABLE", 420),
        ("parallelism is 2 by JobManager REST", lambda: pipeline.parallelism() == 2, 120),
        ("Prometheus has the lag", lambda: pipeline.lag() is not None, 120),
        ("the lag is low", lambda: (pipeline.lag() or 0) < 1000, 240),
        ("no alert is active", lambda: pipeline.alert() == "inactive", 120),
    ]
    for what, condition, seconds in steps:
        began = time.monotonic()
        wait_for(what, condition, seconds)
        progress(f"{what} ({time.monotonic() - began:.0f} s)")


def play(pipeline: Pipeline, progress: Callable[[str], None]) -> tuple[Incident, dict[str, Any] | None]:
    """Play the incident; returns what was seen, and the remediation as it ended (None: there was none)."""
    incident = Incident(start=datetime.now(UTC))
    incident.mark(incident.start, f"{HEALTHY_RATE} events/s: all is well")
    _watch(pipeline, incident, progress, 20, lambda: False)

    pipeline.set_rate(OVERLOAD_RATE)
    incident.mark(datetime.now(UTC), f"{OVERLOAD_RATE} events/s: more than parallelism 2 can carry")
    ended = _watch(pipeline, incident, progress, 600, lambda: _ended(pipeline, incident))
    remediation = pipeline.remediation(incident.start)
    if remediation is not None:
        for moment, what in marks_of(remediation):
            incident.mark(moment, what)
    if ended:
        _watch(pipeline, incident, progress, 30, lambda: incident.samples[-1].alert == "inactive")
    return incident, remediation


def _ended(pipeline: Pipeline, incident: Incident) -> bool:
    remediation = pipeline.remediation(incident.start)
    return remediation is not None and (remediation.get("status") or {}).get("phase") in TERMINAL


def _watch(
    pipeline: Pipeline,
    incident: Incident,
    progress: Callable[[str], None],
    seconds: float,
    done: Callable[[], bool],
) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        sample = pipeline.sample(incident.start)
        _note_changes(incident, sample)
        incident.samples.append(sample)
        progress(sample.line(incident.start))
        if done():
            return True
        time.sleep(_SAMPLE_SECONDS)
    return False


def _note_changes(incident: Incident, sample: Sample) -> None:
    last = incident.samples[-1] if incident.samples else None
    if last is not None and sample.alert != last.alert:
        incident.mark(sample.time, f"HighKafkaLag is {sample.alert}")
    known = [s.parallelism for s in incident.samples if s.parallelism is not None]
    if known and sample.parallelism is not None and sample.parallelism != known[-1]:
        incident.mark(sample.time, f"the job runs at parallelism {sample.parallelism}, by JobManager REST")


def _try(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except _UNREACHABLE as error:
        print(f"  (not answered: {error!r})"[:200], file=sys.stderr)
        return None
