"""The chart's rights: what each role must not do is refused. What it must do, all other tests here do with them."""

import httpx
import pytest

from apiserver.conftest import Install
from apiserver.control_plane import ControlPlane
from apiserver.installation import Installation
from apiserver.world import FLINK, MERGE_PATCH, REMEDIATION

NEITHER = [
    ("create", FLINK, "flinkdeployments"),
    ("delete", FLINK, "flinkdeployments"),
    ("patch", FLINK, "flinkdeployments/status"),
    ("create", REMEDIATION, "flinkremediationpolicies"),
    ("patch", REMEDIATION, "flinkremediationpolicies"),
    ("delete", REMEDIATION, "flinkremediationpolicies"),
    ("list", "v1", "secrets"),
    ("get", "v1", "secrets"),
    ("list", "v1", "pods"),
    ("list", "v1", "configmaps"),
    ("create", "v1", "serviceaccounts/token"),
    ("list", "apps/v1", "deployments"),
    ("create", "rbac.authorization.k8s.io/v1", "rolebindings"),
    ("list", "apiextensions.k8s.io/v1", "customresourcedefinitions"),
]
FORBIDDEN = {
    "receiver": [
        *NEITHER,
        ("patch", FLINK, "flinkdeployments"),
        ("patch", REMEDIATION, "flinkremediations/status"),
        ("replace", REMEDIATION, "flinkremediations/status"),
        ("delete", REMEDIATION, "flinkremediations"),
        ("create", "events.k8s.io/v1", "events"),
        ("get", "coordination.k8s.io/v1", "leases"),
        ("create", "coordination.k8s.io/v1", "leases"),
    ],
    "controller": [
        *NEITHER,
        ("create", REMEDIATION, "flinkremediations"),
        ("delete", "events.k8s.io/v1", "events"),
        ("delete", "coordination.k8s.io/v1", "leases"),
    ],
}
METHODS = {"create": "POST", "delete": "DELETE", "patch": "PATCH", "replace": "PUT", "get": "GET", "list": "GET"}


@pytest.fixture(scope="module")
def house(install: Install) -> Installation:
    """A namespace for all of these tests."""
    return install()


@pytest.fixture(scope="module")
def clients(plane: ControlPlane, house: Installation) -> dict[str, httpx.Client]:
    """A client of each role."""
    return {role: plane.client(house.account(role).token) for role in FORBIDDEN}


@pytest.mark.parametrize(
    ("role", "verb", "api", "resource"),
    [(role, *what) for role, all_of_it in FORBIDDEN.items() for what in all_of_it],
)
def test_it_must_not(
    clients: dict[str, httpx.Client], house: Installation, role: str, verb: str, api: str, resource: str
) -> None:
    kind, _, subresource = resource.partition("/")
    path = f"/{'api' if api == 'v1' else 'apis'}/{api}"
    if not api.startswith("apiextensions"):
        path += f"/namespaces/{house.world.namespace}"
    path += f"/{kind}"
    if verb not in ("create", "list") or subresource:
        path += "/ml-recommender" + (f"/{subresource}" if subresource else "")
    body = None if verb in ("get", "list", "delete") else {"metadata": {"name": "ml-recommender"}}
    answer = clients[role].request(METHODS[verb], path, json=body, headers=MERGE_PATCH if verb == "patch" else None)
    assert answer.status_code == 403, answer.text
    assert "forbidden" in answer.json()["message"]


@pytest.mark.parametrize("role", FORBIDDEN)
def test_its_rights_end_at_the_namespace(clients: dict[str, httpx.Client], house: Installation, role: str) -> None:
    for namespace, status in ((house.world.namespace, 200), ("default", 403)):
        path = f"/apis/{FLINK}/namespaces/{namespace}/flinkdeployments/ml-recommender"
        assert clients[role].get(path).status_code == status


def test_whoever_reaches_the_receiver_cannot_rewrite_what_happened(
    clients: dict[str, httpx.Client], house: Installation
) -> None:
    """Not even a receiver that was taken over: a spec is immutable, and the status is the controller's alone."""
    job, receiver = house.world.job, house.receiver()
    receiver.send(job.alert())
    path = house.world.path(REMEDIATION, "flinkremediations", job.remediation()["metadata"]["name"])
    spec = {"spec": {"target": {"name": "another"}}}
    answer = clients["receiver"].patch(path, json=spec, headers=MERGE_PATCH)
    assert answer.status_code == 422
    assert "spec is immutable" in answer.json()["message"]
    status = {"status": {"phase": "Succeeded"}}
    assert clients["receiver"].patch(path, json=status, headers=MERGE_PATCH).is_success
    assert "status" not in job.remediation(), "the main resource has no way to the status"
