"""The hook that keeps helm uninstall from leaving a FlinkDeployment behind that nobody can delete."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType

import pytest
import render
from chart.conftest import Render

PATH = "/apis/flink.apache.org/v1beta1/namespaces/streaming/flinkdeployments/ml-recommender"


class FlinkServer:
    """An API server with one FlinkDeployment, whose operator lets it go after some reads."""

    def __init__(self, exists: bool = True, reads: int = 0) -> None:
        self.exists = exists
        self.reads = reads
        self.deleting = False
        self.calls: list[str] = []

    def answer(self, method: str, body: dict) -> bool:
        """Handle a request; says whether the object exists for it."""
        self.calls.append(method)
        if not self.exists:
            return False
        if method == "DELETE":
            self.deleting = True
        elif method == "PATCH":
            assert body == {"metadata": {"finalizers": None}}
            self.exists = not self.deleting
        elif self.deleting:
            self.reads -= 1
            self.exists = self.reads > 0
        return self.exists or method == "PATCH"


@pytest.fixture
def uninstall() -> ModuleType:
    spec = importlib.util.spec_from_file_location("uninstall", render.CHART / "files/uninstall.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def flink() -> Iterator[tuple[FlinkServer, str]]:
    state = FlinkServer()

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            assert self.path == PATH
            assert self.headers["Authorization"] == "Bearer secret"
            length = int(self.headers.get("Content-Length") or 0)
            found = state.answer(self.command, json.loads(self.rfile.read(length) or "{}"))
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_DELETE = do_PATCH = _any

        def log_message(self, format: str, *args: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield state, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_waits_for_flinks_operator(uninstall: ModuleType, flink: tuple[FlinkServer, str]) -> None:
    state, address = flink
    state.reads = 3
    assert uninstall.remove(uninstall.Api(address, "secret", None), PATH, 10, pause=0.01) == "deleted"
    assert state.calls == ["DELETE", "GET", "GET", "GET"]


def test_nothing_to_delete_is_no_error(uninstall: ModuleType, flink: tuple[FlinkServer, str]) -> None:
    state, address = flink
    state.exists = False
    assert uninstall.remove(uninstall.Api(address, "secret", None), PATH, 10) == "there was none"


def test_gives_up_on_an_operator_that_does_not_answer(uninstall: ModuleType, flink: tuple[FlinkServer, str]) -> None:
    state, address = flink
    state.reads = 10**6
    assert "did not answer" in uninstall.remove(uninstall.Api(address, "secret", None), PATH, 0.1, pause=0.01)
    assert state.calls[-1] == "PATCH"
    assert not state.exists


def test_hook(rendered: Render) -> None:
    result = rendered("pipeline-values.yaml")
    job = result.one("Job", "streaming-monitoring-uninstall")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    script, *arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert script.rstrip() == (render.CHART / "files/uninstall.py").read_text().rstrip()
    assert arguments == ["streaming", "ml-recommender", "120"]
    (rule,) = result.one("Role", "streaming-monitoring-uninstall")["rules"]
    assert rule["resourceNames"] == ["ml-recommender"]
    assert "delete" in rule["verbs"]
    assert not rendered().of("Job")
