"""The ServiceAccounts of both roles with exactly the rights that the chart gives them."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import render
import yaml

from apiserver.control_plane import ControlPlane
from apiserver.world import eventually

Resource = dict[str, Any]

RELEASE, NAMESPACE = "streaming-monitoring", "the-namespace"
_PATHS = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ValidatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
}


@dataclass(frozen=True)
class Account:
    """Who a process is for the API server."""

    token: str
    kubeconfig: Path


class Chart:
    """The chart as Helm renders it, of which the tests apply what concerns rights."""

    def __init__(self, folder: Path) -> None:
        text = render.helm(render.template_arguments(render.prepare(folder, empty=True), RELEASE, NAMESPACE))
        documents = [document for document in yaml.safe_load_all(text) if document]
        self.objects: list[Resource] = [o for o in documents if "remediator" in o["metadata"]["name"]]

    def grant(self, client: httpx.Client, namespace: str) -> None:
        """Make the accounts of a namespace, their roles and bindings, and what admission keeps them from."""
        for document in (o for o in self.objects if o["kind"] in _PATHS):
            # The namespace's name stands in metadata, in the subjects of bindings and in admission policies.
            moved = json.loads(json.dumps(document).replace(NAMESPACE, namespace))
            client.post(_PATHS[moved["kind"]].format(namespace), json=moved).raise_for_status()

    def account(self, plane: ControlPlane, namespace: str, role: str, server: str = "") -> Account:
        """Return the account of ``receiver`` or ``controller``, for a server's address."""
        name = f"{RELEASE}-remediator-{role}"
        with plane.client() as client:
            path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
            request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
            token = client.post(path, json=request).raise_for_status().json()["status"]["token"]
        with plane.client(token) as client:
            # The authorizer hears of new bindings a moment later.
            policies = f"/apis/remediation.streaming-monitoring.dev/v1alpha1/namespaces/{namespace}/flinkremediations"
            eventually(lambda: client.get(policies).is_success)
        # A file of its own: another process of the role may still be reading its one.
        name = f"{namespace}-{role}-{secrets.token_hex(4)}"
        return Account(token, plane.write_kubeconfig(name, server, token))
