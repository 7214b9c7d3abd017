"""The hooks: definitions that follow an upgrade, and an uninstall that leaves nothing stuck."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest
import render
import yaml
from chart.conftest import Render

TARGET = ("streaming", "ml-recommender")
PATH = "/apis/flink.apache.org/v1beta1/namespaces/streaming/flinkdeployments/ml-recommender"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"


class FlinkServer:
    """An API server with one FlinkDeployment, whose operator lets it go after some reads."""

    def __init__(self, exists: bool = True, reads: int = 0) -> None:
        self.exists = exists
        self.reads = reads
        self.deleting = False
        self.calls: list[str] = []
        self.applied: dict[str, tuple[str, dict]] = {}
        self.definitions_status = 200
        self.busy = 0

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
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", render.CHART / "files/hooks.py")
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
            assert self.headers["Authorization"] == "Bearer secret"
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or "{}")
            if state.busy:
                state.busy -= 1
                self.send_response(429)
                self.end_headers()
                return
            if self.path.startswith(DEFINITIONS):
                state.applied[self.path] = (self.headers["Content-Type"], body)
                status = state.definitions_status
            else:
                assert self.path == PATH
                status = 200 if state.answer(self.command, body) else 404
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b'{"metadata": {"resourceVersion": "7"}}')

        do_GET = do_DELETE = do_PATCH = _any

        def log_message(self, format: str, *args: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield state, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_waits_for_flinks_operator(hooks: ModuleType, flink: tuple[FlinkServer, str]) -> None:
    state, address = flink
    state.reads = 3
    assert hooks.uninstall(hooks.Api(address, "secret", None), *TARGET, 10, pause=0.01) == "deleted"
    assert state.calls == ["DELETE", "GET", "GET", "GET"]


def test_nothing_to_delete_is_no_error(hooks: ModuleType, flink: tuple[FlinkServer, str]) -> None:
    state, address = flink
    state.exists = False
    assert hooks.uninstall(hooks.Api(address, "secret", None), *TARGET, 10) == "there was none"


def test_gives_up_on_an_operator_that_does_not_answer(hooks: ModuleType, flink: tuple[FlinkServer, str]) -> None:
    state, address = flink
    state.reads = 10**6
    assert "did not answer" in hooks.uninstall(hooks.Api(address, "secret", None), *TARGET, 0.1, pause=0.01)
    assert state.calls[-1] == "PATCH"
    assert not state.exists


def test_definitions_are_applied_by_the_server(
    hooks: ModuleType, flink: tuple[FlinkServer, str], tmp_path: Path
) -> None:
    state, address = flink
    api = hooks.Api(address, "secret", None)
    path = tmp_path / "things.json"
    path.write_text(json.dumps({"metadata": {"name": "things.example.com"}}))
    assert list(hooks.apply_crds(api, [path])) == ["things.example.com: at resource version 7"]
    (where, (content_type, body)), *others = state.applied.items()
    assert where == f"{DEFINITIONS}things.example.com?fieldManager=helm&force=true"
    assert content_type == "application/apply-patch+yaml"
    assert body["metadata"]["name"] == "things.example.com"
    assert not others
    state.definitions_status = 403
    with pytest.raises(SystemExit, match="403"):
        list(hooks.apply_crds(api, [path]))


def test_a_busy_server_is_asked_again(hooks: ModuleType, flink: tuple[FlinkServer, str]) -> None:
    state, address = flink
    state.busy = 2
    assert hooks.uninstall(hooks.Api(address, "secret", None, pause=0.01), *TARGET, 10, pause=0.01) == "deleted"
    state.busy = hooks.ATTEMPTS
    with pytest.raises(SystemExit, match="429"):
        hooks.Api(address, "secret", None, pause=0.01).call("GET", PATH)
    assert state.busy == 0


def test_uninstall_hook(rendered: Render) -> None:
    result = rendered("pipeline-values.yaml")
    job = result.one("Job", "streaming-monitoring-uninstall")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    script, *arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert script.rstrip() == (render.CHART / "files/hooks.py").read_text().rstrip()
    assert arguments == ["uninstall", *TARGET, "120"]
    (rule,) = result.one("Role", "streaming-monitoring-uninstall")["rules"]
    assert rule["resourceNames"] == ["ml-recommender"]
    assert "delete" in rule["verbs"]
    assert "streaming-monitoring-uninstall" not in rendered().of("Job")


def test_upgrade_hook(rendered: Render) -> None:
    result = rendered()
    job = result.one("Job", "streaming-monitoring-crds")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-upgrade"
    carried = result.one("ConfigMap", "streaming-monitoring-crds")["data"]
    definitions = [d for d in yaml.safe_load_all((render.CHART / "crds/remediation.yaml").read_text()) if d]
    names = {d["metadata"]["name"]: d for d in definitions}
    assert {json.loads(text)["metadata"]["name"]: json.loads(text) for text in carried.values()} == names
    arguments = job["spec"]["template"]["spec"]["containers"][0]["args"][1:]
    assert arguments == ["apply-crds", *(f"/definitions/{key}" for key in carried)]
    (role,) = result.of("ClusterRole").values()
    assert role["rules"][0]["resourceNames"] == list(names)
    assert role["rules"][0]["verbs"] == ["get", "patch"]
    assert not rendered(values={"crds": {"upgrade": False}}).of("ClusterRole")
