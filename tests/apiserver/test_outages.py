"""What the remediator depends on goes away and comes back; nothing is lost, and what is wrong shows."""

import pytest

from apiserver.control_plane import ControlPlane
from apiserver.gateway import Gateway
from apiserver.installation import Installation, Process, Receiver
from apiserver.outside import Outside
from apiserver.world import REMEDIATION, World, eventually


@pytest.fixture
def controller(installation: Installation, gateway: Gateway) -> Process:
    """A controller that acts, behind the gateway."""
    process = installation.controller(gateway.url, sweep_period="1s")
    eventually(lambda: process.probe("/readyz") == 200 and process.metric("remediator_lease_held") == 1)
    return process


def test_killed_between_patch_and_record_it_patches_once(
    installation: Installation, gateway: Gateway, controller: Process, receiver: Receiver, world: World
) -> None:
    gateway.on_patch = controller.kill
    receiver.send(world.job.alert())
    eventually(lambda: controller.exit_code is not None)
    assert len(gateway.patches) == 1
    assert world.job.phase() == "Executing"
    gateway.on_patch = lambda: None
    installation.controller(gateway.url)
    world.job.reached("Succeeded")
    assert len(gateway.patches) == 1
    assert world.job.target()["metadata"]["generation"] == 2


def test_the_api_server_is_down_and_back(
    plane: ControlPlane,
    installation: Installation,
    controller: Process,
    receiver: Receiver,
    world: World,
    outside: Outside,
) -> None:
    outside.unmet.add(world.job.id)
    receiver.send(world.job.alert())
    world.job.reached("Verifying", "WaitingForQuery")
    plane.stop_api_server()
    try:
        eventually(lambda: "step not finished" in controller.log())
        assert controller.probe("/healthz") == 200, "it is not the controller that needs a restart"
    finally:
        plane.start_api_server()
    if controller.exit_code is not None:  # it took longer than the Lease's renewal may
        assert controller.exit_code == 1
        controller = installation.controller()
    outside.unmet.discard(world.job.id)
    world.job.reached("Succeeded")
    later = world.add("later")
    eventually(lambda: receiver.ready() and receiver.send(later.alert()))
    later.reached("Succeeded")
    eventually(lambda: controller.probe("/readyz") == 200)


def test_a_watch_that_goes_silent_is_noticed_and_a_restart_helps(
    installation: Installation, gateway: Gateway, controller: Process, receiver: Receiver, world: World
) -> None:
    """kopf itself reconnects after 70 s without any sign; this is about a watch that stays silent."""
    gateway.silent = True
    receiver.send(world.job.alert())
    eventually(lambda: controller.probe("/healthz") == 503)
    assert "the watch is silent" in controller.log()
    before = controller.metric("remediator_watch_event_timestamp_seconds")
    assert world.job.phase() == "Pending"
    assert controller.metric("remediator_watch_event_timestamp_seconds") == before
    # What the kubelet does about a failing liveness probe.
    gateway.silent = False
    controller.terminate()
    installation.controller(gateway.url)
    world.job.reached("Succeeded")


def test_a_record_that_cannot_be_worked_on_stops_no_other(
    controller: Process, receiver: Receiver, world: World
) -> None:
    """Such as one that a newer version wrote: here a status that no version ever writes."""
    broken = world.add("broken", guards={"pauseRequests": ["so that it waits"]})
    receiver.send(broken.alert())
    broken.reached("Pending", "Paused")
    path = world.path(REMEDIATION, "flinkremediations", broken.remediation()["metadata"]["name"])
    world.merge(f"{path}/status", {"status": {"phase": "Verifying"}})
    eventually(lambda: "step failed" in controller.log())
    receiver.send(world.job.alert())
    world.job.reached("Succeeded")
    swept = controller.metric("remediator_watch_event_timestamp_seconds")
    eventually(lambda: controller.metric("remediator_watch_event_timestamp_seconds") > swept)
    assert controller.probe("/healthz") == 200


def test_prometheus_is_down_and_back(controller: Process, receiver: Receiver, world: World, outside: Outside) -> None:
    outside.prometheus_down = True
    try:
        receiver.send(world.job.alert())
        assert "Prometheus does not answer" in world.job.reached("Verifying", "WaitingForQuery")["message"]
    finally:
        outside.prometheus_down = False
    world.job.reached("Succeeded")


def test_flinks_operator_is_down(controller: Process, receiver: Receiver, world: World, outside: Outside) -> None:
    """The change is asked for and nobody carries it out: it is taken back, so that it does not happen at some time."""
    action = {"type": "Scale", "scale": {"factor": 2, "max": 4}, "timeout": "1s"}
    job = world.add("nobody-home", actions=[action])
    outside.operator_gone.add(job.id)
    receiver.send(job.alert())
    status = job.reached("Ineffective", "Reverted")
    assert "Flink's operator has not taken up the change" in status["message"]


def test_a_role_that_lost_its_rights_says_so_and_goes_on_with_them(
    controller: Process, receiver: Receiver, world: World, installation: Installation
) -> None:
    binding = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{world.namespace}/rolebindings"
    name = "streaming-monitoring-remediator-controller-target"
    kept = world.client.get(f"{binding}/{name}").raise_for_status().json()
    world.client.delete(f"{binding}/{name}").raise_for_status()
    eventually(lambda: forbidden(installation, world))
    receiver.send(world.job.alert())
    eventually(lambda: "forbidden" in controller.log())
    del kept["metadata"]["resourceVersion"]
    world.client.post(binding, json=kept).raise_for_status()
    world.job.reached("Succeeded")


def forbidden(installation: Installation, world: World) -> bool:
    with installation.client("controller") as client:
        return client.get(world.job.path).status_code == 403
