"""The demo's view of a cluster, on a server that fails now and then: single failures are survived, others are told."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from demo import kube, pipeline
from demo.kube import Cluster, CommandError, WaitError, wait_for
from demo.pipeline import Pipeline

DROPPED = 0
"""Instead of a status: the connection is closed without an answer."""


class Server:
    """Answers with the statuses it is given, then with 200 and what stands under a path's last part."""

    def __init__(self) -> None:
        self.failures: list[int] = []
        self.seen: list[tuple[str, str]] = []
        self.answers: dict[str, Any] = {}

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        request.rfile.read(length)
        self.seen.append((request.command, request.path))
        status = self.failures.pop(0) if self.failures else 200
        if status == DROPPED:
            request.close_connection = True
            return
        body = json.dumps(self.answers.get(request.path.split("?")[0].rpartition("/")[2], {})).encode()
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def cluster(server: Server, tmp_path: Path) -> Iterator[Cluster]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        do_POST = do_PATCH = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{listening.server_address[1]}"
    kubeconfig = tmp_path / "kubeconfig"
    named = {"name": "c", "cluster": {"server": address}}, {"name": "u", "user": {}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    config = {"clusters": [named[0]], "users": [named[1]], "contexts": [context], "current-context": "x"}
    kubeconfig.write_text(yaml.safe_dump(config))
    yield Cluster(kubeconfig, "streaming")
    listening.shutdown()
    listening.server_close()


REQUESTS: dict[str, Callable[[Cluster], object]] = {
    "get": lambda c: c.get("/api/v1/namespaces"),
    "service": lambda c: c.service("ml-recommender-rest", 8081, "/jobs/1"),
    "patch": lambda c: c.patch_config_map("loadgen", {"rate": "1"}),
    "alert": lambda c: c.send_alert({"alertname": "A"}),
}


@pytest.mark.parametrize("ask", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("failure", [500, 503, 429, DROPPED])
def test_a_single_failure_is_survived(server: Server, cluster: Cluster, ask: Any, failure: int) -> None:
    server.failures = [failure]
    ask(cluster)
    assert len(server.seen) == 2
    assert server.seen[0] == server.seen[1]


def test_what_will_not_pass_is_told_at_once(server: Server, cluster: Cluster) -> None:
    server.failures = [404, 404]
    with pytest.raises(httpx.HTTPStatusError):
        cluster.get("/api/v1/namespaces")
    assert len(server.seen) == 1


def test_patience_ends(server: Server, cluster: Cluster) -> None:
    server.failures = [500] * 100
    impatient = Cluster(cluster.kubeconfig, "streaming", patience=1.5)
    with pytest.raises(httpx.HTTPStatusError):
        impatient.get("/api/v1/namespaces")
    assert 2 <= len(server.seen) < 10
    server.seen.clear()
    with pytest.raises(httpx.HTTPStatusError):
        cluster.at_once().get("/api/v1/namespaces")
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("words", "calls"),
    [
        ("error dialing backend: EOF", 2),
        ("Error from server (InternalError): an error on the server", 2),
        ("Unable to connect to the server: net/http: TLS handshake timeout", 2),
        ('Error from server (NotFound): pods "a" not found', 1),
    ],
)
def test_kubectl_is_asked_again(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, calls: int
) -> None:
    count = tmp_path / "calls"
    (tmp_path / "said").write_text(words)
    program = tmp_path / "kubectl"
    first = f'[ "$(wc -l < {count})" -gt 1 ] && echo fine && exit 0; cat {tmp_path / "said"} >&2; exit 1'
    program.write_text(f"#!/bin/sh\necho >> {count}\n{first}\n")
    program.chmod(0o755)
    monkeypatch.setattr(kube, "BIN", tmp_path)
    if calls > 1:
        assert cluster.kubectl("get", "pods") == "fine\n"
    else:
        with pytest.raises(CommandError, match="not found"):
            cluster.kubectl("get", "pods")
    assert len(count.read_text().splitlines()) == calls


def test_a_condition_has_to_hold() -> None:
    answers = iter([True, True, False, True, True, True, True, True])
    seen = []

    def condition() -> bool:
        seen.append(next(answers))
        return seen[-1]

    wait_for("it holds", condition, seconds=30, every=0.2, hold=0.3)
    assert seen[:3] == [True, True, False]
    assert len(seen) > 4


def alert(name: str, state: str = "firing", **labels: str) -> dict[str, Any]:
    return {"labels": {"alertname": name, **labels}, "state": state}


CRITICAL = {"severity": "critical", "category": "flink"}
CALM = [
    alert("Watchdog", severity="none"),
    alert("KubeSchedulerDown", severity="critical"),
    alert("LateDataRateHigh", severity="info", category="data-quality"),
    alert("HighDLQRate", "pending", severity="warning", category="data-quality"),
]


@pytest.mark.parametrize(
    ("active", "phase", "words"),
    [
        (alert("FlinkJobRestartLoop", **CRITICAL), "Succeeded", "FlinkJobRestartLoop is firing"),
        (alert("HighKafkaLag", "pending", **CRITICAL), "Succeeded", "HighKafkaLag is pending"),
        (alert("HighDLQRate", severity="warning", category="data-quality"), "Succeeded", "HighDLQRate is firing"),
        (None, "Verifying", "high-kafka-lag-1 is open"),
        (None, "", "high-kafka-lag-1 is open"),
        (None, "Succeeded", ""),
    ],
)
def test_what_is_not_calm_is_named(
    server: Server, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, active: Any, phase: str, words: str
) -> None:
    monkeypatch.setattr(pipeline, "CALM_SECONDS", 0)
    monkeypatch.setattr(pipeline, "CALM_DEADLINE", 1)
    server.answers["alerts"] = {"data": {"alerts": [*CALM, *([active] if active else [])]}}
    metadata = {"name": "high-kafka-lag-1", "creationTimestamp": "2026-03-01T03:00:00Z"}
    server.answers["flinkremediations"] = {"items": [{"metadata": metadata, "status": {"phase": phase}}]}
    told: list[str] = []
    if words:
        with pytest.raises(WaitError, match=words):
            Pipeline(cluster, "HighKafkaLag").wait_calm(told.append)
    else:
        Pipeline(cluster, "HighKafkaLag").wait_calm(told.append)
    assert bool(told) is not bool(words)
