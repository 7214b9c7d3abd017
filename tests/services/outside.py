"""What the services ask beside the API server, in memory, behind the real adapters: Flink's operator with its
JobManagers, Prometheus and Alertmanager."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
import requests
from remediator.adapters.kube import FLINK_DEPLOYMENTS, Resource
from requests.adapters import BaseAdapter

from services.api_server import ApiServer

Clock = Callable[[], datetime]
OVERRIDES = "pipeline.jobvertex-parallelism-overrides"


@dataclass
class Flink:
    """Flink's operator, and the JobManager of each FlinkDeployment. What a spec asks for runs as soon as the operator
    looks at it; checkpoints complete all the time."""

    server: ApiServer
    clock: Clock
    vertices: dict[str, int | None] = field(default_factory=lambda: {"source": None, "features": None, "sink": 1})
    """Each with the parallelism that its code sets; None: the job's."""
    idle: set[str] = field(default_factory=set)
    """Names of the FlinkDeployments that the operator does not look at."""
    unreachable: set[str] = field(default_factory=set)
    """Names of the FlinkDeployments whose JobManager does not answer."""
    slots: int = 1000
    """The highest parallelism that a vertex gets."""
    load: "Load | None" = None
    """What the jobs do; None where JobManager REST has no metrics."""

    def reconcile(self) -> None:
        """Take up what has changed, as the operator does every few seconds."""
        for target in self.server.stored(FLINK_DEPLOYMENTS):
            metadata, status = target["metadata"], target.get("status") or {}
            if metadata["name"] not in self.idle and status.get("observedGeneration") != metadata["generation"]:
                self.write_status(target, {"observedGeneration": metadata["generation"], "lifecycleState": "STABLE"})

    def write_status(self, target: Resource, change: Resource) -> None:
        """Write fields of a FlinkDeployment's status."""
        metadata = target["metadata"]

        def changed(old: Resource) -> Resource:
            return {**old, "status": {**(old.get("status") or {}), **change}}

        self.server.update(
            FLINK_DEPLOYMENTS, metadata["namespace"], metadata["name"], changed, "flink-operator", "status"
        )

    def parallelism(self, target: Resource) -> dict[str, int]:
        """Return what the vertices of a job run at."""
        asked = (target["spec"].get("flinkConfiguration") or {}).get(OVERRIDES, "")
        overrides = dict(pair.split(":") for pair in asked.split(",") if pair)
        common = target["spec"]["job"]["parallelism"]
        return {v: min(int(overrides.get(v, own or common)), self.slots) for v, own in self.vertices.items()}

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer JobManager REST at ``/NAMESPACE/NAME/jobs/ID`` and ``/NAMESPACE/NAME/jobs/ID/checkpoints``."""
        _, namespace, name, _, job, *rest = request.url.path.split("/")
        target = self.server.find(FLINK_DEPLOYMENTS, namespace, name)
        if target is None or name in self.unreachable:
            raise httpx.ConnectError("no route to host", request=request)
        if request.url.path.endswith(("/metrics", "/config", "/exceptions")):
            return job_manager(self.load)(request) if self.load else httpx.Response(200, json=[])
        if rest:
            return httpx.Response(200, json=self._checkpoints(target))
        vertices = [
            {"id": v, "name": v, "parallelism": n, "maxParallelism": 128, "status": "RUNNING"}
            for v, n in self.parallelism(target).items()
        ]
        return httpx.Response(200, json={"jid": job, "state": "RUNNING", "vertices": vertices})

    def _checkpoints(self, target: Resource) -> Resource:
        now, latest = int(self.clock().timestamp() * 1000), 7 + target["metadata"]["generation"]
        completed = {"id": latest, "latest_ack_timestamp": now, "external_path": f"file:/checkpoints/chk-{latest}"}
        restored = {"id": latest - 1, "restore_timestamp": now, "external_path": f"file:/checkpoints/chk-{latest - 1}"}
        return {"latest": {"completed": completed, "restored": restored}}


@dataclass
class Load:
    """What a job does, by the metrics of its JobManager."""

    vertices: dict[str, dict[str, tuple[float, float]]]
    """By id: busy, idle and pressed (ms/s), in and out (records/s), each of the laziest and of the busiest subtask."""
    cpu_load: float = 0.2
    garbage: float | None = 20.0
    """Milliseconds of each second; None before Flink 1.19."""
    heap: tuple[float, float] = (500, 1000)
    interval: float = 10.0
    """Seconds between checkpoints."""
    start_delay: float = 0.01
    """Seconds that a barrier needs."""
    failures: tuple[str, ...] = ()
    """Stack traces, the latest first."""


def job_manager(load: Load) -> Callable[[httpx.Request], httpx.Response]:
    """Answer the metrics of JobManager REST in the forms of Flink 1.19: a list of aggregates, which is empty where one
    of the metrics asked for is not there, and no number as a text."""
    names = {"busy": "busyTime", "idle": "idleTime", "pressed": "backPressuredTime"}

    def metrics(path: list[str]) -> dict[str, tuple[float, float]]:
        if path[-2] == "taskmanagers":
            cpu, (used, most) = load.cpu_load, load.heap
            found = {"Status.JVM.CPU.Load": (cpu, cpu), "Status.JVM.Memory.Heap.Used": (used, used)}
            found["Status.JVM.Memory.Heap.Max"] = (most, most)
            if load.garbage is not None:
                found["Status.JVM.GarbageCollector.All.TimeMsPerSecond"] = (0, load.garbage)
            return found
        vertex = load.vertices[path[-3]]
        found = {f"{long}MsPerSecond": vertex[short] for short, long in names.items()}
        found |= {"numRecordsInPerSecond": vertex["in"], "numRecordsOutPerSecond": vertex["out"]}
        delay = load.start_delay * 1e9
        # 02:59:56, and a subtask that has none yet would show -2^63.
        found |= {"currentInputWatermark": (1772333996000, 1772333999000)}
        return found | {"checkpointStartDelayNanos": (0, delay), "checkpointAlignmentTime": (0, 1e6)}

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.split("/")
        if path[-1] == "exceptions":
            entries = [{"exceptionName": "x", "stacktrace": trace, "timestamp": 0} for trace in load.failures]
            return httpx.Response(200, json={"exceptionHistory": {"entries": entries, "truncated": False}})
        if path[-1] == "config":
            return httpx.Response(200, json={"mode": "exactly_once", "interval": int(load.interval * 1000)})
        known, asked = metrics(path), request.url.params["get"].split(",")
        if not set(asked) <= known.keys():
            return httpx.Response(200, json=[])
        aggregates = [
            {"id": name, "min": low, "max": high, "avg": (low + high) / 2}
            for name in asked
            for low, high in [known[name]]
        ]
        return httpx.Response(200, content=json.dumps(aggregates).replace("NaN", '"NaN"'))

    return answer


class Prometheus(BaseAdapter):
    """A transport for requests: every query has the result that ``answers`` gives for it, a vector of one series by
    default; None is an outage."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: Callable[[str], Any] = lambda query: [{"metric": {}, "value": [0, "5"]}]

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Answer a query."""
        response = requests.Response()
        response.request, response.url = request, request.url or ""
        result = self.answers(httpx.URL(response.url).params["query"])
        response.status_code = 503 if result is None else 200
        response._content = json.dumps({"status": "success", "data": {"result": result}}).encode()
        return response

    def close(self) -> None:
        """There is nothing to close."""


@dataclass
class Replica:
    """One Alertmanager: what it was told last of each alert, by fingerprint."""

    name: str
    started: datetime
    alerts: dict[str, Resource] = field(default_factory=dict)
    reachable: bool = True


class Alertmanagers:
    """The replicas of an Alertmanager, each at ``http://10.0.0.N:9093``, as their API tells of them. Alerts are routed
    by ``route``, to the names that it returns for their labels."""

    def __init__(self, clock: Clock, replicas: int = 1) -> None:
        self._clock = clock
        self.replicas = [Replica(f"am-{n}", clock() - timedelta(days=1)) for n in range(replicas)]
        self.urls = [f"http://10.0.0.{n}:9093" for n in range(replicas)]
        """Those of the replicas that are known."""
        self.route: Callable[[Resource], list[str]] = lambda labels: ["remediator"]
        self.status: dict[str, Resource] = {}
        """By fingerprint, fields that differ from those of an alert that is notified."""
        self.authorization: str | None = None
        """The header that requests must have; None: nobody is asked for it."""

    def tell(self, alert: Resource, *replicas: int) -> None:
        """Tell some of the replicas of an alert, or all."""
        for n in replicas or range(len(self.replicas)):
            known = self.replicas[n].alerts.get(alert["fingerprint"], alert)
            earliest = min(known["startsAt"], alert["startsAt"])
            heard = {**alert, "startsAt": earliest, "updatedAt": self._clock().isoformat()}
            self.replicas[n].alerts[alert["fingerprint"]] = heard

    def forget(self, fingerprint: str, *replicas: int) -> None:
        """Let some of the replicas know an alert no more, or all."""
        for n in replicas or range(len(self.replicas)):
            self.replicas[n].alerts.pop(fingerprint, None)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer API version 2."""
        replica = self.replicas[int(str(request.url.host).rsplit(".", 1)[1])]
        if not replica.reachable:
            raise httpx.ConnectError("connection refused", request=request)
        if self.authorization not in (None, request.headers.get("Authorization")):
            return httpx.Response(401)
        if request.url.path == "/api/v2/status":
            peers = [{"name": r.name, "address": "10.0.0.1:9094"} for r in self.replicas]
            cluster = {"name": replica.name, "status": "ready", "peers": peers}
            return httpx.Response(200, json={"uptime": replica.started.isoformat(), "cluster": cluster})
        alerts = [{**a, "status": self._status(a)} for a in replica.alerts.values()]
        if request.url.path == "/api/v2/alerts":
            return httpx.Response(200, json=alerts)
        assert request.url.path == "/api/v2/alerts/groups"
        groups = [
            {"receiver": {"name": name}, "labels": {}, "alerts": [a]}
            for a in alerts
            for name in self.route(a["labels"])
        ]
        return httpx.Response(200, json=groups)

    def _status(self, alert: Resource) -> Resource:
        silent: Resource = {"state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": []}
        return {**silent, **self.status.get(alert["fingerprint"], {})}
