"""One record for each incident, whatever the notices that tell of it."""

import asyncio
import random
from datetime import timedelta

import pytest
from remediator.adapters.kube import REMEDIATIONS, AlreadyExists, Conflict, Unavailable

from services.api_server import Request
from services.world import (
    JOB,
    NAMESPACE,
    World,
    alert,
    annotations,
    at,
    at_the_same_time,
    notify,
    phase,
    resolved,
)


async def test_a_start_that_moves_is_the_same_incident() -> None:
    world = World()
    first, second = world.ingest("receiver-0"), world.ingest("receiver-1")
    created = await notify(first, alert(startsAt=at(0)))
    assert len(created.created) == 1
    for starts in (15, -15, 0):
        again = await notify(second, alert(startsAt=at(starts)))
        assert (again.created, again.existing) == ([], created.created)
    assert len(world.records()) == 1


async def test_two_receivers_that_hear_of_it_at_once_make_one_record() -> None:
    for seed in range(50):
        world = World()
        world.server.before = shuffled(random.Random(seed))
        receipts = await at_the_same_time(
            *(notify(world.ingest(f"receiver-{n}"), alert(startsAt=at(15 * n))) for n in range(3))
        )
        assert sum(len(r.created) for r in receipts) == 1, f"seed {seed}"
        assert len(world.records()) == 1, f"seed {seed}"


async def test_the_next_incident_gets_a_record_of_its_own() -> None:
    world = World()
    receiver, controller = world.ingest(), world.controller()
    await notify(receiver, alert(startsAt=at(0)))
    await controller.run(timedelta(seconds=60))
    await notify(receiver, resolved(ends=60, startsAt=at(0)))
    await notify(receiver, alert(startsAt=at(300)))
    await notify(world.ingest("receiver-1"), alert(startsAt=at(315)))
    first, second = (record["metadata"]["name"] for record in world.records())
    assert second == f"{first}-2"


async def test_two_receivers_that_hear_of_the_next_incident_at_once_make_one_record() -> None:
    for seed in range(50):
        world = World()
        await notify(world.ingest(), alert(startsAt=at(0)))
        await world.controller().run(timedelta(seconds=60))
        await notify(world.ingest(), resolved(ends=60, startsAt=at(0)))
        world.server.before = shuffled(random.Random(seed))
        await at_the_same_time(*(notify(world.ingest(f"receiver-{n}"), alert(startsAt=at(300))) for n in range(3)))
        assert len(world.records()) == 2, f"seed {seed}"


async def test_a_resolution_is_taken_back_while_the_record_waits() -> None:
    world = World()
    world.flink.unreachable.add(JOB)  # nothing can be planned yet
    receiver, controller = world.ingest(), world.controller()
    await notify(receiver, alert(startsAt=at(0)))
    await controller.work()
    assert phase(world.record()) == "Pending"
    # Alertmanager gave it up after a while without news; then Prometheus sends the same alert again.
    await notify(receiver, resolved(startsAt=at(0), ends=240))
    await notify(receiver, alert(startsAt=at(0)))
    world.flink.unreachable.clear()
    await controller.run(timedelta(seconds=60))
    assert phase(world.record()) == "Succeeded"


async def test_what_was_cancelled_for_a_resolution_that_came_too_early_goes_on() -> None:
    world = World()
    world.flink.unreachable.add(JOB)
    receiver, controller = world.ingest(), world.controller()
    await notify(receiver, alert(startsAt=at(0)))
    await controller.work()
    await notify(receiver, resolved(startsAt=at(0), ends=100))
    await controller.run(timedelta(seconds=30))
    assert phase(world.record()) == "Cancelled"
    world.flink.unreachable.clear()
    await notify(receiver, alert(startsAt=at(0)))
    await controller.run(timedelta(seconds=60))
    assert phase(world.record()) == "Succeeded"
    assert "AlertFiringAgain" in [entry["reason"] for entry in world.record()["status"]["timeline"]]


async def test_a_twins_late_word_changes_nothing() -> None:
    world = World()
    one, other = world.ingest("receiver-0"), world.ingest("receiver-1")
    await notify(one, alert(startsAt=at(0)))
    await world.controller().run(timedelta(seconds=60))
    await notify(one, resolved(startsAt=at(0), ends=100))
    # The other Alertmanager was slow: its repeats say what is over.
    await notify(other, alert(startsAt=at(15)))
    await notify(other, resolved(startsAt=at(15), ends=100))
    assert "resolved-at" in annotations(world.record())
    # A new incident has begun meanwhile: the late word is not about it.
    await notify(one, alert(startsAt=at(200)))
    assert (await notify(other, resolved(startsAt=at(15), ends=100))).resolved == []
    assert ["resolved-at" in annotations(r) for r in world.records()] == [True, False]


async def test_what_ended_meanwhile_is_not_reopened_unseen() -> None:
    """Between a receiver's look and its write the controller cancels the record: the next look decides."""
    world = World()
    world.flink.unreachable.add(JOB)
    await notify(world.ingest(), alert(startsAt=at(0)))
    await world.controller().work()
    await notify(world.ingest(), resolved(startsAt=at(0), ends=100))

    async def cancelled_first(request: Request) -> None:
        if request.verb == "merge_patch":
            world.server.before = no_wait
            await world.controller().run(timedelta(seconds=30))

    world.server.before = cancelled_first
    await notify(world.ingest(), alert(startsAt=at(200)))
    assert [phase(r) for r in world.records()] == ["Cancelled", "Pending"]


@pytest.mark.parametrize("error", [Conflict("quota"), Unavailable("503"), Unavailable("no answer")])
async def test_what_is_not_stored_is_not_acknowledged(error: Exception) -> None:
    world = World()
    failing(world, error)
    with pytest.raises(type(error)):
        await notify(world.ingest(), alert())
    assert world.records() == []
    world.server.before = no_wait
    assert len((await notify(world.ingest(), alert())).created) == 1


async def test_an_answer_that_is_lost_makes_no_second_record() -> None:
    world = World()

    async def lose(request: Request) -> None:
        if request.verb == "create":
            raise Unavailable("no answer")

    world.server.after = lose
    with pytest.raises(Unavailable):
        await notify(world.ingest(), alert())
    world.server.after = no_wait
    assert len((await notify(world.ingest(), alert())).existing) == 1
    assert len(world.records()) == 1


async def test_a_record_that_was_there_before_the_look_is_a_repeat() -> None:
    world = World()
    await notify(world.ingest(), alert())
    failing(world, AlreadyExists("there is one"))
    assert len((await notify(world.ingest("receiver-1"), alert())).existing) == 1


IMPOSSIBLE = [
    {"startsAt": "0001-01-01T00:00:00+08:00"},
    {"startsAt": "9999-12-31T23:59:59-08:00"},
    {"startsAt": "yesterday"},
    {"startsAt": None},
    {"labels": {}},
    {"labels": {"alertname": 5}},
    {"fingerprint": ""},
    {"status": "unknown"},
]


@pytest.mark.parametrize("wrong", IMPOSSIBLE)
async def test_an_alert_that_cannot_be_drops_no_other(wrong: dict) -> None:
    world = World()
    world.add_job("other")
    world.add_policy("other")
    receipt = await notify(world.ingest(), alert(), {**alert("other"), **wrong}, alert("other"))
    assert len(receipt.created) == 2
    assert len(receipt.invalid) == 1
    assert receipt.invalid[0].startswith("alerts[1]")


async def test_an_end_that_cannot_be_is_told_and_one_that_is_not_there_is_now() -> None:
    world = World()
    await notify(world.ingest(), alert())
    receipt = await notify(world.ingest(), {**resolved(), "endsAt": "0001-01-01T00:00:00+08:00"})
    assert receipt.invalid
    assert (await notify(world.ingest(), {**resolved(), "endsAt": None})).resolved


async def test_a_record_that_is_deleted_while_its_alert_fires_comes_back() -> None:
    world = World()
    await notify(world.ingest(), alert())
    await world.server.client("kubectl").delete(REMEDIATIONS, NAMESPACE, world.record()["metadata"]["name"])
    await notify(world.ingest(), alert())
    assert len(world.records()) == 1


async def test_records_of_other_policies_targets_and_alerts_are_other_incidents() -> None:
    world = World()
    world.add_job("other")
    world.add_policy("other")
    world.add_policy("second", match=[{"label": "alertname", "value": "HighKafkaLag"}])
    await notify(world.ingest(), alert(), alert("other"), alert(fingerprint="f-2"))
    assert len(world.records()) == 6


async def test_a_phase_of_a_newer_version_is_a_record_too() -> None:
    world = World()
    await notify(world.ingest(), alert(startsAt=at(0)))
    record = world.record()
    world.server.put(REMEDIATIONS, {**record, "status": {"phase": "Postponed"}})
    assert (await notify(world.ingest(), alert(startsAt=at(15)))).existing
    await notify(world.ingest(), resolved(startsAt=at(0), ends=60))
    await notify(world.ingest(), alert(startsAt=at(300)))
    assert len(world.records()) == 2


def failing(world: World, error: Exception) -> None:
    """Let every create of a record fail before it has an effect."""

    async def fail(request: Request) -> None:
        if request.verb == "create" and request.kind == REMEDIATIONS:
            raise error

    world.server.before = fail


def shuffled(order: random.Random):
    """Return a hook that lets requests of several tasks come in any order."""

    async def wait(_: Request) -> None:
        for _ in range(order.randrange(5)):
            await asyncio.sleep(0)

    return wait


async def no_wait(_: Request) -> None:
    """Let every request through."""
