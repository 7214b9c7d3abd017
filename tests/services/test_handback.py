"""What the owner asks for after a scale takes effect, or is told to have none; a FlinkDeployment nobody can read."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from remediator.adapters.kube import EVENTS, FLINK_DEPLOYMENTS, REMEDIATIONS, Resource

from services.world import JOB, Controller, World, alert, notify, phase, reason

OVERRIDES = "pipeline.jobvertex-parallelism-overrides"
QUIET = {"after": {"quietFor": "1m", "query": "lag < 50"}}


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


async def scaled(world: World, **policy: Any) -> Controller:
    """A job that was scaled in place, from 2 to 4."""
    world.change_policy(**policy)
    controller = world.controller()
    await notify(world.ingest(), alert())
    await controller.run(seconds(30))
    assert (phase(world.record()), overrides(world)) == ("Succeeded", "features:4,source:4")
    return controller


def overrides(world: World) -> str:
    return str(world.target()["spec"]["flinkConfiguration"].get(OVERRIDES))


def ask_for(world: World, parallelism: int) -> None:
    world.change(FLINK_DEPLOYMENTS, JOB, lambda target: target["spec"]["job"].update(parallelism=parallelism))


async def sweep(world: World, controller: Controller) -> None:
    await controller.sweep()
    world.flink.reconcile()
    world.now += seconds(30)


def told(world: World, about: str) -> list[Resource]:
    """The Events on the FlinkDeployment with a reason."""
    events = world.server.stored(EVENTS)
    return [e for e in events if e["reason"] == about and e["regarding"]["kind"] == "FlinkDeployment"]


@pytest.mark.parametrize("asked", [6, 3])
async def test_what_the_owner_asks_for_later_takes_effect_once(asked: int) -> None:
    world = World()
    controller = await scaled(world)
    for _ in range(2):
        await sweep(world, controller)
    assert len(world.patches()) == 1, "nobody has asked for anything"
    ask_for(world, asked)
    for _ in range(3):
        await sweep(world, controller)
    assert overrides(world) == f"features:{asked},source:{asked}"
    assert len(world.patches()) == 2
    assert (phase(world.record()), reason(world.record())) == ("Succeeded", "HandedBack")
    assert len(told(world, "HandedBack")) == 1
    ask_for(world, 5)
    await sweep(world, controller)
    assert overrides(world) == "features:5,source:5"


async def test_an_owner_who_asks_for_what_runs_already_changes_nothing() -> None:
    world = World()
    controller = await scaled(world)
    ask_for(world, 4)
    await sweep(world, controller)
    assert len(world.patches()) == 1


async def test_overrides_that_the_owner_has_set_are_left_alone() -> None:
    world = World()
    controller = await scaled(world)

    def own(target: Resource) -> None:
        target["spec"]["job"]["parallelism"] = 6
        target["spec"]["flinkConfiguration"][OVERRIDES] = "features:3,source:3"

    world.change(FLINK_DEPLOYMENTS, JOB, own)
    await sweep(world, controller)
    assert (overrides(world), len(world.patches())) == ("features:3,source:3", 1)


async def test_the_owner_counts_more_than_that_it_is_quiet() -> None:
    world = World()
    controller = await scaled(world, revert=QUIET)
    world.now += seconds(61)
    ask_for(world, 6)
    for _ in range(3):
        await sweep(world, controller)
    assert overrides(world) == "features:6,source:6"


async def test_after_a_scale_was_taken_back_the_owner_is_heard_too() -> None:
    world = World()
    controller = await scaled(world, revert=QUIET)
    world.now += seconds(61)
    for _ in range(3):
        await sweep(world, controller)
    assert (overrides(world), reason(world.record())) == ("features:2,source:2", "ScaledBack")
    ask_for(world, 6)
    await sweep(world, controller)
    assert overrides(world) == "features:6,source:6"


@pytest.mark.parametrize(
    ("stop", "go_on", "why"),
    [
        (
            lambda world: world.change_policy(guards={"pauseRequests": ["migration"]}),
            lambda world: world.change_policy(guards={"pauseRequests": []}),
            "The policy is paused: migration.",
        ),
        (lambda world: world.stop("migration"), lambda world: world.stop(None), "Everything is stopped: migration."),
    ],
)
async def test_where_it_may_not_patch_it_says_so_at_once_and_goes_on_when_it_may(
    stop: Callable[[World], None], go_on: Callable[[World], None], why: str
) -> None:
    world = World()
    controller = await scaled(world)
    stop(world)
    ask_for(world, 6)
    for _ in range(3):
        await sweep(world, controller)
    assert (overrides(world), len(world.patches())) == ("features:4,source:4", 1)
    assert reason(world.record()) == "OwnersChangeHidden"
    assert why in world.status()["message"]
    assert len(told(world, "OwnersChangeHidden")) == 1
    go_on(world)
    await sweep(world, controller)
    assert overrides(world) == "features:6,source:6"


def damage(target: Resource) -> None:
    target["spec"]["job"]["parallelism"] = "two"


async def test_a_flink_deployment_that_cannot_be_read_is_refused_by_name() -> None:
    world = World()
    world.change(FLINK_DEPLOYMENTS, JOB, damage)
    controller = world.controller()
    await notify(world.ingest(), alert())
    await controller.run(seconds(5))
    assert (phase(world.record()), reason(world.record())) == ("Refused", "TargetUnreadable")
    assert "spec.job.parallelism is not a whole number" in world.status()["message"]
    assert world.patches() == []


async def test_a_record_of_the_same_target_that_cannot_be_read_holds_others_back() -> None:
    world = World()
    await notify(world.ingest(), alert())
    record = world.record()
    other = {**record, "metadata": {**record["metadata"], "name": "other", "uid": "other"}}
    world.server.put(REMEDIATIONS, {**other, "status": {"phase": "Verifying", "attempts": "several"}})
    controller = world.controller()
    for _ in range(3):
        await controller.step(record["metadata"]["name"])
    (mine,) = [r for r in world.records() if r["metadata"]["name"] != "other"]
    assert (phase(mine), reason(mine)) == ("Pending", "RecordUnreadable")
    assert world.patches() == []
