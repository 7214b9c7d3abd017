"""The switch that stops everything: an annotation of the controllers' Lease, whatever the policies say."""

import asyncio
from datetime import timedelta

import pytest
from remediator.adapters import leader
from remediator.adapters.kube import LEASES, Conflict, Resource, Unavailable
from remediator.adapters.leader import LeaderLease
from remediator.api.names import CONTROLLER_LEASE, STOP_ANNOTATION
from remediator.services.stop import StopSwitch

from services.api_server import Request
from services.world import JOB, NAMESPACE, World, alert, as_the_plan_is_written, notify, phase, reason


async def incident(world: World, seconds: float = 30) -> None:
    """Let an alert fire, and time pass."""
    await notify(world.ingest(), alert())
    await world.controller().run(timedelta(seconds=seconds))


async def test_nothing_begins_until_it_is_taken_back() -> None:
    world = World()
    world.stop("ada: broker upgrade\nbob: audit")
    world.change_policy(guards={"pauseRequests": []})  # as Helm would
    await incident(world)
    assert (phase(world.record()), reason(world.record())) == ("Pending", "Paused")
    assert world.status()["message"] == (
        "Everything is stopped: ada: broker upgrade, bob: audit. To go on: kubectl frem -n streaming start."
    )
    assert not world.patches()
    world.stop(None)
    await world.controller().run(timedelta(seconds=60))
    assert phase(world.record()) == "Succeeded"


async def test_it_ends_by_itself_and_so_does_the_metric() -> None:
    world = World()
    world.stop("ada until 2026-03-01T03:10:00Z")
    controller = world.controller()
    await notify(world.ingest(), alert())
    await controller.run(timedelta(minutes=9))
    assert (reason(world.record()), controller.switch.on()) == ("Paused", True)
    await controller.run(timedelta(minutes=2))
    assert (phase(world.record()), controller.switch.on()) == ("Succeeded", False)


@pytest.mark.parametrize("text", ["", "  \n"])
async def test_a_stop_without_a_word_stops_too(text: str) -> None:
    world = World()
    world.stop(text)
    await incident(world)
    assert "Everything is stopped: nobody says why." in world.status()["message"]


async def test_what_is_in_flight_is_finished() -> None:
    world = World()
    controller = world.controller()
    await notify(world.ingest(), alert())
    await controller.run(timedelta(seconds=5))
    assert phase(world.record()) == "Verifying"
    world.stop("ada")
    await controller.run(timedelta(seconds=60))
    assert phase(world.record()) == "Succeeded"


async def plan(world: World) -> str:
    """Let a controller, which does not see its Lease otherwise, make a plan; returns the record's name."""
    controller = world.controller()
    controller.renews = False
    await notify(world.ingest(), alert())
    name = str(world.record()["metadata"]["name"])
    await controller.step(name)
    world.now += timedelta(seconds=5)
    await controller.step(name)
    return name


async def test_it_is_read_right_before_the_patch() -> None:
    world = World()
    world.server.before = as_the_plan_is_written(world, lambda w: w.stop("ada"))
    await plan(world)
    assert (phase(world.record()), reason(world.record())) == ("Pending", "Paused")
    assert [entry["reason"] for entry in world.status()["timeline"]][-2:] == ["Planned", "Paused"]
    assert not world.patches()


async def test_nothing_is_patched_while_nobody_knows_whether_it_is_stopped() -> None:
    world = World()

    async def silent(request: Request) -> None:
        if request.kind == LEASES:
            raise Unavailable("no answer")

    world.server.before = silent
    with pytest.raises(Unavailable):
        await plan(world)
    assert phase(world.record()) == "Executing"
    with pytest.raises(Unavailable):
        await world.controller().step(world.record()["metadata"]["name"])
    assert not world.patches()


async def test_a_scale_that_helped_is_not_taken_back_meanwhile() -> None:
    world = World()
    after = {"query": f'lag{{group="{JOB}"}} < 100', "quietFor": "1m"}
    world.change_policy(revert={"after": after})
    controller = world.controller()
    await notify(world.ingest(), alert())
    await controller.run(timedelta(seconds=30))
    assert phase(world.record()) == "Succeeded"
    world.stop("ada")
    world.now += timedelta(minutes=2)
    assert not (await controller.sweep()).scaled_back
    assert len(world.patches()) == 1
    world.stop(None)
    await controller.sweep()
    assert len(world.patches()) == 2


def lease_of(world: World) -> Resource:
    lease = world.server.find(LEASES, NAMESPACE, CONTROLLER_LEASE)
    assert lease is not None
    return lease


async def test_whoever_holds_the_lease_or_waits_for_it_sees_the_stop_and_leaves_it_there() -> None:
    world = World()
    world.stop("ada")
    switches, leases = [], []
    for name in ("one", "other"):
        kube = world.server.client(name)
        switches.append(StopSwitch(kube, NAMESPACE, world.clock))
        leases.append(LeaderLease(kube, NAMESPACE, CONTROLLER_LEASE, name, switches[-1].take))
    assert [await lease._try() for lease in leases] == [True, False]
    assert [switch.on() for switch in switches] == [True, True]
    await leases[0].release()
    assert lease_of(world)["metadata"]["annotations"] == {STOP_ANNOTATION: "ada"}
    world.stop(None)
    await leases[1]._try()
    assert not switches[1].on()


async def test_who_annotates_the_lease_takes_it_from_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "RETRY", 0)
    world = World()
    kube = world.server.client("controller")
    switch, stop = StopSwitch(kube, NAMESPACE, world.clock), asyncio.Event()
    lease = LeaderLease(kube, NAMESPACE, CONTROLLER_LEASE, "controller", switch.take)
    assert await lease.acquire(stop)
    renewals = 0

    async def annotated_in_between(request: Request) -> None:
        nonlocal renewals
        if request.writes and request.kind == LEASES:
            renewals += 1
            if renewals == 1:
                world.stop("ada")
            elif renewals == 3:
                stop.set()

    world.server.before = annotated_in_between
    await lease.keep(stop)
    assert lease.held
    assert switch.on()


async def test_a_lease_that_always_changes_is_given_up() -> None:
    world = World()
    lease = LeaderLease(world.server.client("c"), NAMESPACE, CONTROLLER_LEASE, "c", lambda _: None)
    assert await lease._try()

    async def never(request: Request) -> None:
        if request.writes:
            raise Conflict("409")

    world.server.before = never
    assert not await lease._try()
    assert not lease.held
