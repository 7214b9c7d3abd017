"""Just enough of an API server for "helm template --dry-run=server" to look objects up."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KINDS = {
    "v1": ["ServiceAccount", "Secret", "ConfigMap", "Service", "PersistentVolumeClaim"],
    "apps/v1": ["Deployment", "StatefulSet"],
    "policy/v1": ["PodDisruptionBudget"],
    "networking.k8s.io/v1": ["NetworkPolicy"],
    "rbac.authorization.k8s.io/v1": ["Role", "RoleBinding"],
    "flink.apache.org/v1beta1": ["FlinkDeployment"],
    "kafka.strimzi.io/v1": ["Kafka", "KafkaNodePool", "KafkaTopic"],
    "monitoring.coreos.com/v1": ["PodMonitor", "PrometheusRule"],
    "monitoring.coreos.com/v1alpha1": ["AlertmanagerConfig"],
    "remediation.streaming-monitoring.dev/v1alpha1": ["FlinkRemediationPolicy"],
}


def plural(kind: str) -> str:
    """The resource's name in paths."""
    lower = kind.lower()
    return lower[:-1] + "ies" if lower.endswith("y") else lower + "s"


def _path(version: str) -> str:
    return f"/api/{version}" if "/" not in version else f"/apis/{version}"


def _discovery() -> dict[str, Any]:
    """Answers by path."""
    names = {group: version for version in KINDS if "/" in version for group in [version.split("/")[0]]}
    groups = [
        {
            "name": group,
            "versions": [{"groupVersion": v, "version": v.split("/")[1]} for v in KINDS if v.startswith(group + "/")],
            "preferredVersion": {"groupVersion": preferred, "version": preferred.split("/")[1]},
        }
        for group, preferred in names.items()
    ]
    answers: dict[str, Any] = {
        "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
        # Where Helm looks for earlier releases.
        "/api/v1/namespaces/streaming/secrets": {"kind": "SecretList", "apiVersion": "v1", "items": []},
    }
    for version, kinds in KINDS.items():
        answers[_path(version)] = {
            "kind": "APIResourceList",
            "groupVersion": version,
            "resources": [
                {"name": plural(k), "singularName": k.lower(), "namespaced": True, "kind": k, "verbs": ["get"]}
                for k in kinds
            ],
        }
    return answers


@contextmanager
def serve(objects: list[Mapping[str, Any]]) -> Iterator[str]:
    """Serve these objects on a loopback port; yields a kubeconfig's text."""
    answers = _discovery()
    for o in objects:
        metadata = o["metadata"]
        path = f"{_path(o['apiVersion'])}/namespaces/{metadata['namespace']}/{plural(o['kind'])}/{metadata['name']}"
        answers[path] = o

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            body = json.dumps(answers.get(path, missing)).encode()
            self.send_response(200 if path in answers else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        yield json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [{"name": "test", "cluster": {"server": address}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": ""}}],
            }
        )
    finally:
        server.shutdown()
        server.server_close()
