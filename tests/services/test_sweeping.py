"""What is done about remediations that have ended, and what is said about policies."""

from datetime import timedelta
from typing import Any

import pytest
from remediator.adapters.kube import FLINK_DEPLOYMENTS, POLICIES, REMEDIATIONS, Resource, Unavailable

from services.api_server import Request
from services.world import JOB, NAMESPACE, Controller, World, alert, notify, phase, reason

OVERRIDES = "pipeline.jobvertex-parallelism-overrides"
BACK = {"after": {"quietFor": "1m", "query": "lag < 50"}}


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


async def helped(world: World, **policy: Any) -> Controller:
    """A scale that has helped, and may be taken back."""
    world.change_policy(revert=BACK, **policy)
    controller = world.controller()
    await notify(world.ingest(), alert())
    await controller.run(seconds(30))
    assert phase(world.record()) == "Succeeded"
    world.now += seconds(61)
    return controller


async def sweep(world: World, controller: Controller, times: int = 1) -> None:
    for _ in range(times):
        await controller.sweep()
        world.flink.reconcile()
        world.now += seconds(10)


def overrides(world: World) -> str:
    return str(world.target()["spec"]["flinkConfiguration"].get(OVERRIDES))


async def test_a_scale_back_is_done_when_the_job_runs_as_before() -> None:
    world = World()
    controller = await helped(world)
    world.flink.slots = 1
    await sweep(world, controller, 3)
    assert overrides(world) == "features:2,source:2"
    assert reason(world.record()) == "ScalingBack"
    world.flink.slots = 100
    await sweep(world, controller, 2)
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Succeeded", "ScaledBack")
    assert "Taken back to parallelism 2; the job runs so." in status["message"]
    assert len(world.patches()) == 2


@pytest.mark.parametrize("crash", ["before the patch", "after the patch"])
async def test_a_scale_back_goes_on_after_a_crash(crash: str) -> None:
    world = World()
    controller = await helped(world)

    async def die(request: Request) -> None:
        if request.verb == "json_patch":
            raise Unavailable("gone")

    if crash == "before the patch":
        world.server.before = die
    else:
        world.server.after = die
    await sweep(world, controller)
    assert reason(world.record()) == "ScalingBack"
    world.server.before = world.server.after = nothing
    await sweep(world, world.controller(), 3)
    assert reason(world.record()) == "ScaledBack"
    assert world.target()["metadata"]["generation"] == 5


async def nothing(_: Request) -> None:
    """Let a request through."""


async def test_a_scale_back_that_somebody_gets_in_the_way_of_ends() -> None:
    world = World()
    controller = await helped(world)

    async def edit_first(request: Request) -> None:
        if request.verb == "json_patch":
            world.server.before = nothing
            world.change(FLINK_DEPLOYMENTS, JOB, by_hand)

    world.server.before = edit_first
    await sweep(world, controller)
    assert reason(world.record()) == "Verified"
    assert "somebody else has changed the FlinkDeployment" in world.status()["message"]
    await sweep(world, controller, 3)
    assert reason(world.record()) == "Verified"
    assert overrides(world) == "features:3,source:3"


def by_hand(target: Resource) -> None:
    target["spec"]["flinkConfiguration"][OVERRIDES] = "features:3,source:3"


async def test_a_scale_back_whose_mark_somebody_removes_meanwhile_ends() -> None:
    world = World()
    controller = await helped(world)
    world.flink.slots = 1
    await sweep(world, controller)
    world.change(FLINK_DEPLOYMENTS, JOB, lambda target: target["metadata"]["annotations"].clear())
    await sweep(world, controller)
    assert reason(world.record()) == "ChangedByOthers"
    requests = len(world.patches())
    await sweep(world, controller, 3)
    assert len(world.patches()) == requests


async def test_a_target_that_cannot_be_read_stops_no_sweep() -> None:
    world = World()
    controller = await helped(world)
    world.flink.slots = 1
    await sweep(world, controller)
    world.change(FLINK_DEPLOYMENTS, JOB, lambda target: target["spec"]["job"].update(parallelism="two"))
    await sweep(world, controller, 2)
    assert reason(world.record()) == "ScalingBack"
    world.change(FLINK_DEPLOYMENTS, JOB, lambda target: target["spec"]["job"].update(parallelism=2))
    world.flink.slots = 100
    await sweep(world, controller, 2)
    assert reason(world.record()) == "ScaledBack"


async def test_what_is_not_quiet_stays_scaled() -> None:
    world = World()
    controller = await helped(world)
    world.prometheus.answers = lambda query: [] if "count_over_time" in query else [{"metric": {}, "value": [0, "5"]}]
    await sweep(world, controller, 3)
    assert reason(world.record()) == "Verified"
    assert overrides(world) == "features:4,source:4"


async def test_a_record_that_another_finalizer_holds_is_nobodys_work() -> None:
    """Nobody is missing, so the process is not restarted; and it keeps no other remediation of the target waiting."""
    world = World()
    controller = world.controller()
    world.prometheus.answers = lambda query: []
    await notify(world.ingest(), alert())
    await controller.run(seconds(10))
    assert phase(world.record()) == "Verifying"
    held = world.record()["metadata"]["name"]
    world.change(REMEDIATIONS, held, lambda record: record["metadata"].update(finalizers=["example.org/audit"]))
    world.server.delete(REMEDIATIONS, NAMESPACE, held, "")
    assert (await controller.sweep()).in_work == {}
    assert await controller.step(held) is None
    world.prometheus.answers = lambda query: [{"metric": {}, "value": [0, "5"]}]
    world.change_policy(actions=[{"type": "Scale", "scale": {"parallelism": 6}}])
    await notify(world.ingest(), alert(fingerprint="another"))
    await controller.run(seconds(60))
    assert {r["metadata"]["name"] == held: phase(r) for r in world.records()} == {True: "Verifying", False: "Succeeded"}


def ready(policy: Resource) -> tuple[str, str, str]:
    (condition,) = policy["status"]["conditions"]
    return condition["status"], condition["reason"], condition["message"]


def policy(world: World, name: str = JOB) -> Resource:
    found = world.server.find(POLICIES, NAMESPACE, name)
    assert found is not None
    return found


async def test_a_policy_says_whether_it_is_valid_and_what_it_led_to() -> None:
    world = World()
    controller = world.controller()
    world.server.put(
        POLICIES,
        {
            "metadata": {"name": "broken", "namespace": NAMESPACE},
            "spec": {**policy(world)["spec"], "match": [{"label": "alertname", "operator": "=~", "value": "("}]},
        },
    )
    await controller.sweep()
    assert ready(policy(world)) == ("True", "Valid", "The policy answers alerts.")
    assert policy(world)["status"]["open"] == 0
    assert "lastTriggered" not in policy(world)["status"]
    status, why, message = ready(policy(world, "broken"))
    assert (status, why) == ("False", "Invalid")
    assert message.startswith("match.0: ")
    since = policy(world)["status"]["conditions"][0]["lastTransitionTime"]

    world.now += seconds(60)
    await notify(world.ingest(), alert())
    triggered = world.record()["metadata"]["creationTimestamp"]
    await controller.sweep()
    said = policy(world)["status"]
    assert (said["open"], said["lastTriggered"]) == (1, triggered)
    assert said["conditions"][0]["lastTransitionTime"] == since
    await controller.run(seconds(30))
    await controller.sweep()
    assert policy(world)["status"]["open"] == 0
    writes = [r for r in world.server.requests if r.kind == POLICIES and r.writes]
    await controller.sweep()
    assert [r for r in world.server.requests if r.kind == POLICIES and r.writes] == writes, "only what changes"
