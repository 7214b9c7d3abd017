"""helm uninstall leaves nothing stuck: the hook's script, with the hook's rights."""

import importlib.util
from types import ModuleType

import pytest
import render

from apiserver.gateway import Gateway
from apiserver.installation import Installation, Receiver
from apiserver.outside import Outside
from apiserver.world import REMEDIATION, World, eventually


@pytest.fixture
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", render.CHART / "files/hooks.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("how", "patience", "ended"),
    [
        ("terminate", 60, "the controller has ended"),
        ("kill", 60, "the controller's Lease has expired"),
        ("kill", 0.1, "a controller still runs after 0 s"),
    ],
)
def test_what_was_in_flight_can_be_deleted_afterwards(
    hooks: ModuleType,
    installation: Installation,
    receiver: Receiver,
    gateway: Gateway,
    outside: Outside,
    world: World,
    how: str,
    patience: float,
    ended: str,
) -> None:
    controller = installation.controller()
    outside.unmet.add(world.job.id)
    receiver.send(world.job.alert())
    world.job.reached("Verifying", "WaitingForQuery")
    remediation = world.job.remediation()
    assert remediation["metadata"]["finalizers"]
    getattr(controller, how)()

    api = hooks.Api(gateway.url, installation.account("uninstall").token, None)
    assert hooks.let_go(api, world.namespace, patience, pause=0.1) == f"{ended}; 1 were in flight"
    assert not world.leases()
    world.client.delete(world.path(REMEDIATION, "flinkremediations", remediation["metadata"]["name"]))
    eventually(lambda: not world.remediations())
    assert hooks.let_go(api, world.namespace, patience) == "the controller has ended; 0 were in flight"
