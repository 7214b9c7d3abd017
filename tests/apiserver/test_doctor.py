"""``remediator doctor`` on a real API server: what it says to add and to create makes it content."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apiserver.conftest import define
from apiserver.control_plane import ControlPlane
from apiserver.installation import Installation
from apiserver.world import FLINK, MERGE_PATCH, World, eventually

MONITORING = "monitoring.coreos.com/v1"
# Prometheus Operator's own definition is part of the tests of the chart.
POD_MONITOR_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "podmonitors.monitoring.coreos.com"},
    "spec": {
        "group": "monitoring.coreos.com",
        "scope": "Namespaced",
        "names": {"kind": "PodMonitor", "plural": "podmonitors", "singular": "podmonitor"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


@pytest.fixture
def with_pod_monitors(plane: ControlPlane) -> Iterator[None]:
    """A cluster with Prometheus Operator's kind."""
    with plane.client() as client:
        define(client, POD_MONITOR_CRD)
        yield
        name = POD_MONITOR_CRD["metadata"]["name"]  # type: ignore[index]
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        client.delete(path).raise_for_status()
        eventually(lambda: client.get(path).status_code == 404)


def doctor(kubeconfig: Path, *arguments: str) -> tuple[int, Any]:
    """Run it; returns the exit code and what it prints."""
    command = [sys.executable, "-m", "remediator", "doctor", f"--kubeconfig={kubeconfig}", "--output=json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def states(diagnosis: Any, state: str) -> set[str]:
    return {check["check"] for check in diagnosis["checks"] if check["state"] == state}


def test_what_it_says_is_all_that_is_missing(plane: ControlPlane, world: World, with_pod_monitors: None) -> None:
    code, (before,) = doctor(plane.kubeconfig, "--namespace", world.namespace, "ml-recommender")
    assert (code, before["name"]) == (1, "ml-recommender")
    assert states(before, "missing") == {
        "reporter",
        "port",
        "podmonitor",
        "upgrade-mode",
        "checkpointing",
        "high-availability",
    }
    path = world.path(FLINK, "flinkdeployments", "ml-recommender")
    world.client.patch(path, json=before["add"], headers=MERGE_PATCH).raise_for_status()
    for created in before["create"]:
        world.client.post(world.path(MONITORING, "podmonitors"), json=created).raise_for_status()
    code, (after,) = doctor(plane.kubeconfig, "--namespace", world.namespace)
    assert (code, states(after, "ok")) == (0, {check["check"] for check in before["checks"]})


def test_what_may_not_be_seen_is_unknown(installation: Installation) -> None:
    namespace = installation.world.namespace
    code, told = doctor(installation.account("receiver").kubeconfig, "--namespace", namespace, "--skip=port")
    assert not isinstance(told, str), told
    (diagnosis,) = told
    assert (code, states(diagnosis, "unknown")) == (1, {"podmonitor"})
    assert "policy" in states(diagnosis, "ok")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--namespace", "default"], "no FlinkDeployment in the namespace default"),
        ([], "no FlinkDeployment in the namespace default"),
        (["--namespace", "{namespace}", "orders"], "no FlinkDeployment orders; there are ml-recommender"),
    ],
)
def test_what_is_not_there(plane: ControlPlane, world: World, arguments: list[str], told: str) -> None:
    given = [argument.format(namespace=world.namespace) for argument in arguments]
    assert doctor(plane.kubeconfig, *given) == (2, f"{told}\n")


def test_a_cluster_that_does_not_answer(plane: ControlPlane) -> None:
    code, told = doctor(plane.write_kubeconfig("dead", "https://127.0.0.1:1"), "--namespace", "default")
    assert code == 2
    assert "no answer from the API server" in told
