"""The cluster as the demo and the end-to-end tests see it: kubectl, Helm, and services through the API server."""

import copy
import json
import os
import re
import ssl
import subprocess
import tempfile
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".tools/bin"
T = TypeVar("T")
PATIENCE = 30.0
"""How long a request is asked again (seconds) after failures that may pass."""
# What kubectl says of a request that the API server or a node did not answer.
_PASSING = re.compile(
    r"connection re(fused|set)|EOF|i/o timeout|TLS handshake timeout|error dialing backend|Unable to connect"
    r"|InternalError|Internal error|ServiceUnavailable|currently unable|Too Many Requests|TooManyRequests|etcdserver"
)


class CommandError(Exception):
    """A command failed; the message is what it printed."""


class WaitError(Exception):
    """A condition did not come true in time."""


def run(*command: str | Path, env: Mapping[str, str] | None = None, accept: tuple[int, ...] = (0,)) -> str:
    """Run a command and return its standard output. Raises CommandError for exit codes that are not accepted."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )
    if done.returncode not in accept:
        raise CommandError(f"{Path(command[0]).name} {command[1]}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def patiently(ask: Callable[[], T], seconds: float, every: float = 1) -> T:
    """Ask, and again after a failure that may pass, until the time is over; then the last failure is raised."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (httpx.HTTPError, CommandError) as error:
            if not _may_pass(error) or time.monotonic() >= deadline:
                raise
        time.sleep(every)


def _may_pass(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == httpx.codes.TOO_MANY_REQUESTS or error.response.is_server_error
    return isinstance(error, httpx.TransportError) or _PASSING.search(str(error)) is not None


def wait_for(what: str, condition: Callable[[], T | None], seconds: float, every: float = 2, hold: float = 0) -> T:
    """Wait until a condition returns something true, and has done so for ``hold`` seconds without a break.

    Raises WaitError with the last error seen.
    """
    deadline = time.monotonic() + seconds
    since: float | None = None
    trouble = ""
    while time.monotonic() < deadline:
        try:
            result = condition()
            trouble = ""
        except (CommandError, httpx.HTTPError, KeyError, ValueError) as error:
            result, trouble = None, f": {error}"
        if result:
            since = since or time.monotonic()
            if time.monotonic() - since >= hold:
                return result
        else:
            since = None
        time.sleep(every)
    raise WaitError(f"{what}: not within {seconds:.0f} s{trouble}")


class Cluster:
    """A cluster by its kubeconfig, with a default namespace. A single request that fails is made again for ``patience``
    seconds: none of those made here does harm when it is made twice."""

    def __init__(self, kubeconfig: Path, namespace: str, patience: float = PATIENCE) -> None:
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        self._http = _client(kubeconfig)
        self._patience = patience

    def at_once(self) -> "Cluster":
        """Return the same, which asks once: for who notes that nobody answers, and goes on."""
        other = copy.copy(self)
        other._patience = 0
        return other

    def kubectl(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> str:
        """Run kubectl in the namespace."""
        command = (BIN / "kubectl", "-n", self.namespace, *arguments)
        return patiently(lambda: run(*command, env=self._env(), accept=accept), self._patience)

    def helm(self, *arguments: str | Path) -> str:
        """Run Helm in the namespace."""
        return run(BIN / "helm", *arguments, "-n", self.namespace, env=self._env())

    def get(self, path: str) -> dict[str, Any]:
        """Read an object or a list by its path under the API server."""
        answer: dict[str, Any] = self._request("GET", path).json()
        return answer

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"apiVersion": "v1", "kind": "List", "items": objects}, file)
            file.flush()
            self.kubectl("apply", f"--filename={file.name}")

    def custom(self, group_version: str, plural: str) -> list[dict[str, Any]]:
        """List custom resources of the namespace."""
        items: list[dict[str, Any]] = self.get(f"/apis/{group_version}/namespaces/{self.namespace}/{plural}")["items"]
        return items

    def flink_deployment(self, name: str) -> dict[str, Any]:
        """Read a FlinkDeployment."""
        return self.get(f"/apis/flink.apache.org/v1beta1/namespaces/{self.namespace}/flinkdeployments/{name}")

    def remediations(self) -> list[dict[str, Any]]:
        """List the FlinkRemediations, oldest first."""
        found = self.custom("remediation.streaming-monitoring.dev/v1alpha1", "flinkremediations")
        return sorted(found, key=lambda item: str(item["metadata"]["creationTimestamp"]))

    def service(self, service: str, port: int, path: str, **query: str) -> Any:
        """GET from a Service through the API server's proxy; returns the JSON it answers."""
        return self.page(service, port, path, **query).json()

    def page(self, service: str, port: int, path: str, **query: str) -> httpx.Response:
        """GET from a Service through the API server's proxy, also where it answers with a redirection."""
        url = f"/api/v1/namespaces/{self.namespace}/services/{service}:{port}/proxy{path}"
        return self._request("GET", url, params=query, follow_redirects=True)

    def alerts(self, name: str = "") -> list[dict[str, Any]]:
        """What is active of an alert, or of all, according to the chart's Prometheus."""
        active = self.service("kps-prometheus", 9090, "/api/v1/alerts")["data"]["alerts"]
        return [alert for alert in active if not name or alert["labels"]["alertname"] == name]

    def promql(self, query: str) -> list[dict[str, Any]]:
        """Run an instant query on the chart's Prometheus."""
        answer = self.service("kps-prometheus", 9090, "/api/v1/query", query=query)
        series: list[dict[str, Any]] = answer["data"]["result"]
        return series

    def send_alert(self, labels: dict[str, str], service: str = "kps-alertmanager") -> None:
        """Send an alert to Alertmanager as Prometheus would; it stays active for some minutes."""
        url = f"/api/v1/namespaces/{self.namespace}/services/{service}:9093/proxy/api/v2/alerts"
        self._request("POST", url, json=[{"labels": labels}])

    def patch_config_map(self, name: str, data: dict[str, str]) -> None:
        """Change keys of a ConfigMap."""
        url = f"/api/v1/namespaces/{self.namespace}/configmaps/{name}"
        headers = {"Content-Type": "application/merge-patch+json"}
        self._request("PATCH", url, content=json.dumps({"data": data}), headers=headers)

    def _request(self, method: str, url: str, **how: Any) -> httpx.Response:
        return patiently(lambda: self._http.request(method, url, **how).raise_for_status(), self._patience)

    def _env(self) -> dict[str, str]:
        return {"KUBECONFIG": str(self.kubeconfig)}


def _client(kubeconfig: Path) -> httpx.Client:
    """Connect to the current context's API server by its client certificate or token."""
    document = yaml.safe_load(kubeconfig.read_text())
    named = {kind: {entry["name"]: entry[kind[:-1]] for entry in document[kind]} for kind in ("clusters", "users")}
    context = next(c["context"] for c in document["contexts"] if c["name"] == document["current-context"])
    cluster, user = named["clusters"][context["cluster"]], named["users"][context["user"]]
    authority = _content(cluster, "certificate-authority", kubeconfig.parent)
    tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
    certificate, key = (_content(user, f"client-{part}", kubeconfig.parent) for part in ("certificate", "key"))
    if certificate and key:
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate + b"\n" + key)
            file.flush()
            tls.load_cert_chain(file.name)
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    return httpx.Client(base_url=cluster["server"], verify=tls, headers=headers, timeout=10)


def _content(entry: dict[str, str], key: str, folder: Path) -> bytes | None:
    if f"{key}-data" in entry:
        return b64decode(entry[f"{key}-data"])
    return (folder / entry[key]).read_bytes() if key in entry else None
