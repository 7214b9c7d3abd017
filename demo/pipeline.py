"""The example pipeline on a cluster: what can be done to it, and what is to be seen of it."""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
from remediator.api.reasons import Phase

from demo.incident import LAG_LIMIT, Sample
from demo.kube import Cluster, wait_for

PIPELINE = "ml-recommender"
LOADGEN = "streaming-monitoring-loadgen"
LAG = f'streaming:kafka_consumergroup_lag:sum{{consumergroup="{PIPELINE}"}}'
HANG_FILE = "/tmp/feature-store-hangs"  # noqa: S108
T = TypeVar("T")
DEADLINE = 600
"""How long (seconds) is waited for what takes a quiet machine a few seconds, or two minutes at most."""
CALM_SECONDS, CALM_DEADLINE = 60, 1800
"""How long all has to be well before the incident, and how long that is waited for: some alerts hold on for long."""
_UNREACHABLE = (httpx.HTTPError, KeyError, ValueError)


class Pipeline:
    """The pipeline, seen with the eyes of one alert."""

    def __init__(self, cluster: Cluster, alert: str) -> None:
        self._cluster = cluster
        self._alert = alert
        self.rate = 0

    def set_rate(self, rate: int) -> None:
        """Change the load (events per second)."""
        self._dial("rate", str(rate))
        self.rate = rate

    def set_shift(self, deviations: float) -> None:
        """Move the features away from what they are like otherwise (standard deviations)."""
        self._dial("shift", str(deviations))

    def _dial(self, name: str, value: str) -> None:
        self._cluster.patch_config_map(LOADGEN, {name: value})
        # A kubelet looks at a pod that has changed at once, and at the ConfigMaps of one that has not within a minute
        # or more.
        selector = "--selector=app.kubernetes.io/component=loadgen"
        self._cluster.kubectl("annotate", "pods", selector, "--overwrite", f"streaming-monitoring.dev/{name}={value}")

    def hang(self) -> None:
        """Let the feature lookups of every running TaskManager hang; a new pod's do not."""
        pods = self._cluster.kubectl("get", "pods", f"--selector=app={PIPELINE},component=taskmanager", "--output=name")
        for pod in pods.split():
            self._cluster.kubectl("exec", pod, "--container=flink-main-container", "--", "touch", HANG_FILE)

    def lag(self) -> float | None:
        """The expression of HighKafkaLag."""
        series = self._cluster.promql(LAG)
        return float(series[0]["value"][1]) if series else None

    def parallelism(self) -> int | None:
        """Lowest parallelism of the job's running vertices that are not fixed to 1, by JobManager REST."""
        job = self.job()
        if job["state"] != "RUNNING":
            return None
        return min((v["parallelism"] for v in job["vertices"] if v["parallelism"] > 1), default=1)

    def restored_checkpoint(self) -> int | None:
        """Id of the checkpoint that the job was last started from, by JobManager REST."""
        return self._latest_checkpoint("restored")

    def completed_checkpoint(self) -> int | None:
        """Id of the latest completed checkpoint, by JobManager REST."""
        return self._latest_checkpoint("completed")

    def alert(self) -> str:
        """State of the alert in Prometheus."""
        states = {alert["state"] for alert in self._cluster.alerts(self._alert)}
        return "firing" if "firing" in states else "pending" if states else "inactive"

    def critical_alerts(self, since: datetime) -> list[str]:
        """Names of the critical alerts on Kafka and Flink that have fired since then."""
        return self.fired(since, 'severity="critical",category=~"kafka|flink"')

    def fired(self, since: datetime, matchers: str = "") -> list[str]:
        """Names of the alerts with such labels (PromQL's matchers) that have fired since then, by Prometheus."""
        seconds = int((datetime.now(UTC) - since).total_seconds()) + 1
        alerts = f'ALERTS{{alertstate="firing",{matchers}}}[{seconds}s]'
        return sorted(
            s["metric"]["alertname"] for s in self._cluster.promql(f"group by (alertname) (last_over_time({alerts}))")
        )

    def sample(self, since: datetime) -> Sample:
        """Measure everything; what does not answer is None. Remediations older than ``since`` are not shown."""
        now = Pipeline(self._cluster.at_once(), self._alert)
        remediation = now.remediation(since)
        status = (remediation or {}).get("status") or {}
        return Sample(
            time=datetime.now(UTC),
            lag=_try(now.lag),
            parallelism=_try(now.parallelism),
            rate=self.rate,
            alert=_try(now.alert) or "inactive",
            remediation=" ".join(filter(None, [status.get("phase"), status.get("reason")])),
        )

    def remediation(self, since: datetime) -> dict[str, Any] | None:
        """The latest answer to the alert that was created since then."""
        found = [
            item
            for item in _try(self._cluster.remediations) or []
            if item["spec"]["target"]["name"] == PIPELINE
            and item["spec"]["alert"]["name"] == self._alert
            and datetime.fromisoformat(item["metadata"]["creationTimestamp"]) >= since.replace(microsecond=0)
        ]
        return found[-1] if found else None

    def audit(self) -> dict[str, Any]:
        """Stop the load, wait until all is read, and compare what was produced with what came out."""
        self.set_rate(0)
        wait_for("the lag drained", lambda: self.lag() == 0, DEADLINE)
        command = [f"deploy/{LOADGEN}", "--", "python3", "-m", "loadgen", "audit", "--wait=60"]
        bootstrap = "--bootstrap-servers=streaming-kafka-bootstrap:9092"
        # It ends with 1 when records are lost; what it prints says so too.
        answer = self._cluster.kubectl("exec", *command, bootstrap, accept=(0, 1))
        audit: dict[str, Any] = json.loads(answer)
        return audit

    def wait_running(self, progress: Callable[[str], None]) -> None:
        """Wait until the job runs at 2, which Flink's operator sees some time later. Raises WaitError."""
        _wait("the job runs at parallelism 2, by JobManager REST", lambda: self.parallelism() == 2, DEADLINE, progress)

    def wait_healthy(self, progress: Callable[[str], None]) -> None:
        """Wait until the job is stable, keeps up with its load and is watched. Raises WaitError."""

        def stable() -> bool:
            return bool(self._cluster.flink_deployment(PIPELINE)["status"]["lifecycleState"] == "STABLE")

        _wait("the job is stable for Flink's operator", stable, DEADLINE, progress)
        _wait("Prometheus has the lag", lambda: self.lag() is not None, DEADLINE, progress)
        _wait("the lag is low", lambda: (self.lag() or 0) < LAG_LIMIT, DEADLINE, progress)
        _wait("no alert is active", lambda: self.alert() == "inactive", DEADLINE, progress)

    def wait_calm(self, progress: Callable[[str], None]) -> None:
        """Wait until nothing is wrong with the pipeline, and has not been for a while. Raises WaitError with what is.

        What came of the start is over then: it would hold the incident's alert back, or be an incident of its own.
        """

        def calm() -> bool:
            active = [a for a in self._cluster.alerts() if "category" in a["labels"]]  # the others are the stack's own
            wrong = {f"{a['labels']['alertname']} is {a['state']}" for a in active if _matters(a)}
            wrong |= {f"{r['metadata']['name']} is open" for r in self._cluster.remediations() if _open(r)}
            if wrong:
                raise ValueError(", ".join(sorted(wrong)))
            return True

        _wait("no alert fires and no remediation is open", calm, CALM_DEADLINE, progress, hold=CALM_SECONDS)

    def _latest_checkpoint(self, kind: str) -> int | None:
        found = self.job("/checkpoints")["latest"][kind]
        return None if found is None else int(found["id"])

    def job(self, part: str = "") -> Any:
        """Ask JobManager REST for the job, or for a part of what it knows about it."""
        job_id = self._cluster.flink_deployment(PIPELINE)["status"]["jobStatus"]["jobId"]
        return self._cluster.service(f"{PIPELINE}-rest", 8081, f"/jobs/{job_id}{part}")


def _matters(alert: dict[str, Any]) -> bool:
    severity = alert["labels"].get("severity")
    return severity != "info" and (alert["state"] == "firing" or severity == "critical")


def _open(remediation: dict[str, Any]) -> bool:
    phase = (remediation.get("status") or {}).get("phase") or Phase.PENDING
    return not Phase(phase).terminal


def _wait(
    what: str, condition: Callable[[], object], seconds: float, progress: Callable[[str], None], hold: float = 0
) -> None:
    began = time.monotonic()
    wait_for(what, condition, seconds, hold=hold)
    progress(f"{what} ({time.monotonic() - began:.0f} s)")


def _try(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except _UNREACHABLE as error:
        print(f"  (not answered: {str(error)[:60]})", file=sys.stderr)
        return None
