"""Tests of the remediator against a real API server, both roles with the chart's rights. Flink's operator, the
JobManager and Prometheus are stand-ins here."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from remediator.api import crds

from apiserver import gateway as gateways
from apiserver import outside as outsides
from apiserver.accounts import Chart
from apiserver.control_plane import ControlPlane, control_plane
from apiserver.gateway import Gateway
from apiserver.installation import Installation, Receiver, installed
from apiserver.outside import Outside
from apiserver.world import FLINK_DEPLOYMENT_CRD, Resource, World, eventually

Install = Callable[[], Installation]


def define(client: httpx.Client, definition: Resource) -> None:
    """Create a CustomResourceDefinition and wait until it is served."""
    client.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=definition).raise_for_status()
    spec = definition["spec"]
    path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
    eventually(lambda: client.get(path).is_success)


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane for all tests, with the custom resources defined."""
    from cluster import tools

    found = tools.ensure(["etcd", "kube-apiserver"])
    folder: Path = tmp_path_factory.mktemp("control-plane")
    with control_plane(found["etcd"], found["kube-apiserver"], folder) as running:
        with running.client() as client:
            for definition in (*crds.definitions(), FLINK_DEPLOYMENT_CRD):
                define(client, definition)
        yield running


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Chart:
    """The chart, rendered once."""
    return Chart(tmp_path_factory.mktemp("chart"))


@pytest.fixture(scope="session")
def outside(plane: ControlPlane) -> Iterator[Outside]:
    """What the controller asks beside the API server; jobs are told apart by their names."""
    with outsides.outside(plane) as stand_ins:
        yield stand_ins


@pytest.fixture(scope="module")
def install(
    plane: ControlPlane, chart: Chart, outside: Outside, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Install]:
    """Make namespaces with everything in them, which last as long as the module's tests."""
    with ExitStack() as stack:

        def make() -> Installation:
            name = f"test-{secrets.token_hex(4)}"
            folder = tmp_path_factory.mktemp(name)
            return stack.enter_context(installed(plane, chart, outside, name, folder))

        yield make


@pytest.fixture
def installation(plane: ControlPlane, chart: Chart, outside: Outside, tmp_path: Path) -> Iterator[Installation]:
    """A namespace of the test's own, with the chart's accounts and no process yet."""
    with installed(plane, chart, outside, f"test-{secrets.token_hex(4)}", tmp_path) as made:
        yield made


@pytest.fixture
def world(installation: Installation) -> World:
    """The namespace of the test's own."""
    return installation.world


@pytest.fixture
def gateway(plane: ControlPlane) -> Iterator[Gateway]:
    """A proxy in front of the API server."""
    with gateways.gateway(plane) as proxy:
        yield proxy


@pytest.fixture
def receiver(installation: Installation) -> Receiver:
    """A running receiver."""
    return installation.receiver()
