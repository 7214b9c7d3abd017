"""The definitions as the API server takes them: what it stores, what it refuses and with which words, what kubectl
shows."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from apiserver.conftest import Install
from apiserver.control_plane import ControlPlane
from apiserver.world import REMEDIATION, World

TABLE = yaml.safe_load((Path(__file__).parent / "crd_examples.yaml").read_text())
PLURALS = {"FlinkRemediationPolicy": "flinkremediationpolicies", "FlinkRemediation": "flinkremediations"}


@pytest.fixture(scope="module")
def world(install: Install) -> World:
    """A namespace for all of these tests."""
    return install().world


def examples(part: str) -> list[Any]:
    return [
        pytest.param(kind, example, id=example["name"])
        for kind, parts in TABLE.items()
        for example in parts.get(part, ())
    ]


def resource(kind: str, spec: Any, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": REMEDIATION, "kind": kind, "metadata": {"name": "example", **metadata}, "spec": spec}


@pytest.mark.parametrize(("kind", "example"), examples("good"))
def test_it_takes(world: World, kind: str, example: dict[str, Any]) -> None:
    path = world.path(REMEDIATION, PLURALS[kind])
    answer = world.client.post(f"{path}?dryRun=All&fieldValidation=Strict", json=resource(kind, example["spec"]))
    assert answer.is_success, answer.text


@pytest.mark.parametrize(("kind", "example"), examples("bad"))
def test_it_refuses(world: World, kind: str, example: dict[str, Any]) -> None:
    path = world.path(REMEDIATION, PLURALS[kind])
    answer = world.client.post(f"{path}?dryRun=All", json=resource(kind, example["spec"]))
    assert answer.status_code == 422, answer.text
    assert example["message"] in answer.json()["message"]


@pytest.mark.parametrize(("kind", "example"), examples("updates"))
def test_it_refuses_the_update(world: World, kind: str, example: dict[str, Any]) -> None:
    path = world.path(REMEDIATION, PLURALS[kind])
    made = world.client.post(path, json=resource(kind, example["before"])).raise_for_status().json()
    try:
        answer = world.client.put(f"{path}/example", json={**made, "spec": example["after"]})
        assert answer.status_code == 422, answer.text
        assert example["message"] in answer.json()["message"]
    finally:
        world.client.delete(f"{path}/example").raise_for_status()


def kubectl(plane: ControlPlane, world: World, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    from cluster import tools

    command = [str(tools.ensure(["kubectl"])["kubectl"]), f"--kubeconfig={plane.kubeconfig}", "-n", world.namespace]
    return subprocess.run([*command, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=60)


def test_a_misspelt_field_is_named(plane: ControlPlane, world: World) -> None:
    spec = {**TABLE["FlinkRemediationPolicy"]["good"][0]["spec"], "guards": {"coolDown": "1m"}}
    document = yaml.safe_dump(resource("FlinkRemediationPolicy", spec))
    done = kubectl(plane, world, "apply", "-f", "-", stdin=document)
    assert done.returncode == 1
    assert 'unknown field "spec.guards.coolDown"' in done.stderr


def test_kubectl_shows_an_incident_log(plane: ControlPlane, world: World) -> None:
    path = world.path(REMEDIATION, "flinkremediations")
    made = world.client.post(path, json=resource("FlinkRemediation", TABLE["FlinkRemediation"]["good"][0]["spec"]))
    status = {"phase": "Refused", "reason": "Cooldown", "action": "Scale 2 to 4", "message": "Look again at noon."}
    stored = {**made.raise_for_status().json(), "status": status}
    world.client.put(f"{path}/example/status", json=stored).raise_for_status()

    head, line = kubectl(plane, world, "get", "frem").stdout.splitlines()
    assert head.split() == ["NAME", "ALERT", "TARGET", "ACTION", "PHASE", "REASON", "AGE"]
    words = ["example", "HighKafkaLag", "ml-recommender", "Scale 2 to 4", "Refused", "Cooldown"]
    assert [word in line for word in words] == [True] * len(words)
    assert "Look again at noon." in kubectl(plane, world, "get", "frem", "-o", "wide").stdout
    policies = kubectl(plane, world, "get", "frp").stdout.splitlines()
    assert policies[0].split() == ["NAME", "MODE", "ALERT", "ACTION", "READY", "OPEN", "LAST", "TRIGGERED", "AGE"]
    assert "Scale" in policies[1]
    everything = kubectl(plane, world, "get", "streaming").stdout
    assert "flinkremediation." in everything
    assert "flinkremediationpolicy." in everything
    explained = kubectl(plane, world, "explain", "flinkremediationpolicy.spec.guards.cooldown").stdout
    assert "last finished remediation" in explained
