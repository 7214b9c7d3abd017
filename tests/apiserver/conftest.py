"""Tests of the remediator against a real API server. Flink, Prometheus and its operator are stand-ins here."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from remediator.adapters.kube import ApiServer, connect
from remediator.api import crds

from apiserver.control_plane import ControlPlane, control_plane
from apiserver.world import FLINK_DEPLOYMENT_CRD, World


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane for all tests, with the custom resources defined."""
    from cluster import tools

    found = tools.ensure(["etcd", "kube-apiserver"])
    folder: Path = tmp_path_factory.mktemp("control-plane")
    with control_plane(found["etcd"], found["kube-apiserver"], folder) as running:
        with running.client() as client:
            for definition in (*crds.definitions(), FLINK_DEPLOYMENT_CRD):
                url = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
                client.post(url, json=definition).raise_for_status()
        yield running


@pytest.fixture
async def kube(plane: ControlPlane) -> AsyncIterator[ApiServer]:
    """The remediator's own client."""
    async with connect(plane.kubeconfig) as api:
        yield api


@pytest.fixture
def world(plane: ControlPlane) -> Iterator[World]:
    """A namespace of the test's own, with a policy and a healthy FlinkDeployment."""
    with plane.client() as client:
        fresh = World(client, f"test-{secrets.token_hex(4)}")
        fresh.create()
        yield fresh
