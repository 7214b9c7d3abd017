"""The few calls to the Kubernetes API that the stand-in makes, with the pod's own account."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

Resource = dict[str, Any]

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MANAGER = "strimzi-standin"
PLURALS = {
    "Kafka": "kafkas",
    "KafkaNodePool": "kafkanodepools",
    "KafkaTopic": "kafkatopics",
    "Service": "services",
    "ConfigMap": "configmaps",
    "StatefulSet": "statefulsets",
    "Deployment": "deployments",
}


class ApiError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


def path(api_version: str, kind: str, namespace: str | None = None, name: str | None = None, part: str = "") -> str:
    prefix = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return "/".join(text for text in (f"{prefix}{scope}/{PLURALS[kind]}", name, part) if text)


class Kube:
    def __init__(self, server: str = "https://kubernetes.default.svc", account: Path = ACCOUNT) -> None:
        self.server = server
        self.account = account
        self.tls = ssl.create_default_context(cafile=str(account / "ca.crt"))

    def list(self, api_version: str, kind: str, namespace: str | None) -> list[Resource]:
        """All resources of a kind, in one namespace or (None) in all."""
        found = self._call("GET", path(api_version, kind, namespace))
        return [{"apiVersion": api_version, "kind": kind, **item} for item in found["items"]]

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Resource | None:
        try:
            return self._call("GET", path(api_version, kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def apply(self, manifest: Resource) -> Resource:
        metadata = manifest["metadata"]
        where = path(manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"])
        query = urllib.parse.urlencode({"fieldManager": MANAGER, "force": "true"})
        return self._call("PATCH", f"{where}?{query}", manifest, "application/apply-patch+yaml")

    def set_status(self, resource: Resource, status: Resource) -> None:
        """Write a status, unless it says so already: an unchanged write would still wake every watcher."""
        if resource.get("status") == status:
            return
        metadata = resource["metadata"]
        where = path(resource["apiVersion"], resource["kind"], metadata["namespace"], metadata["name"], "status")
        self._call("PATCH", where, {"status": status}, "application/merge-patch+json")

    def _call(self, method: str, where: str, body: Resource | None = None, kind: str = "application/json") -> Resource:
        request = urllib.request.Request(
            self.server + where,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                # Read each time: the kubelet renews it.
                "Authorization": f"Bearer {(self.account / 'token').read_text().strip()}",
                "Accept": "application/json",
                "Content-Type": kind,
            },
        )
        try:
            with urllib.request.urlopen(request, context=self.tls, timeout=15) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, error.read().decode(errors="replace")[:500]) from None
