"""What the receiver makes of what Alertmanager's replicas know."""

from base64 import b64encode
from datetime import timedelta

import pytest
from remediator.api.names import SILENCED_ANNOTATION

from services.api_server import Request
from services.world import JOB, World, alert, annotations, at, notify, phase, resolved


def is_resolved(world: World) -> bool:
    return "resolved-at" in annotations(world.record())


async def test_what_no_notification_brought_is_recorded_once() -> None:
    world = World(alertmanagers=3)
    world.alertmanagers.tell(alert())
    for receiver in ("receiver-0", "receiver-1"):
        await world.resync(receiver).run()
    assert (await notify(world.ingest(), alert(startsAt=at(-345)))).existing
    assert len(world.records()) == 1


async def test_what_one_replica_alone_has_heard_of_is_recorded() -> None:
    world = World(alertmanagers=3)
    world.alertmanagers.tell(alert(), 2)
    await world.resync().run()
    assert len(world.records()) == 1


@pytest.mark.parametrize(
    "status",
    [
        {"state": "suppressed", "silencedBy": ["silence-1"]},
        {"state": "suppressed", "inhibitedBy": ["f-other"]},
        {"state": "suppressed", "mutedBy": ["nights"]},
        {"state": "active", "mutedBy": ["nights"]},
        {"state": "unprocessed"},
    ],
)
async def test_what_alertmanager_does_not_notify_is_not_recorded(status: dict) -> None:
    world = World()
    world.alertmanagers.tell(alert())
    world.alertmanagers.status["f-ml-recommender"] = status
    await world.resync().run()
    assert world.records() == []


async def test_what_is_routed_to_people_only_is_not_recorded() -> None:
    world = World()
    world.alertmanagers.tell(alert())
    world.alertmanagers.route = lambda labels: ["people", "remediator-of-somebody-else"]
    await world.resync(names="remediator").run()
    assert world.records() == []
    world.alertmanagers.route = lambda labels: ["people", "remediator"]
    await world.resync(names="remediator").run()
    assert len(world.records()) == 1


async def test_an_alertmanager_before_time_intervals_were_told_is_understood() -> None:
    world = World()
    world.alertmanagers.tell(alert())
    world.alertmanagers.status["f-ml-recommender"] = {"mutedBy": None}
    await world.resync().run()
    assert len(world.records()) == 1


async def test_a_password_in_the_address_is_used_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.alertmanagers.tell(alert())
    world.alertmanagers.authorization = f"Basic {b64encode(b'us er:hunter2').decode()}"
    world.alertmanagers.urls = ["http://us%20er:hunter3@10.0.0.0:9093"]
    await world.resync().run()
    (said,) = caplog.records
    assert "401" in vars(said)["error"]
    assert "hunter3" not in str(vars(said))
    world.alertmanagers.urls = ["http://us%20er:hunter2@10.0.0.0:9093"]
    await world.resync().run()
    assert len(world.records()) == 1


async def test_what_is_silenced_before_anything_was_done_waits() -> None:
    world = World()
    world.flink.unreachable.add(JOB)
    world.alertmanagers.tell(alert())
    resync = world.resync()
    await resync.run()
    world.alertmanagers.status["f-ml-recommender"] = {"state": "suppressed", "silencedBy": ["silence-1"]}
    await resync.run()
    assert world.record()["metadata"]["annotations"][SILENCED_ANNOTATION] == "silence silence-1"
    world.alertmanagers.status.clear()
    await resync.run()
    assert annotations(world.record()) == set()


async def test_it_is_over_when_no_replica_knows_it_twice_in_a_row() -> None:
    world = World(alertmanagers=2)
    world.alertmanagers.tell(alert())
    resync = world.resync()
    await resync.run()
    world.alertmanagers.forget("f-ml-recommender", 0)
    for _ in range(3):
        await resync.run()
        assert not is_resolved(world), "one replica knows it"
    world.alertmanagers.forget("f-ml-recommender")
    await resync.run()
    assert not is_resolved(world), "missing once"
    await resync.run()
    assert is_resolved(world)


async def test_what_is_missing_now_and_then_is_not_over() -> None:
    world = World()
    world.alertmanagers.tell(alert())
    resync = world.resync()
    await resync.run()
    for _ in range(3):
        world.alertmanagers.forget("f-ml-recommender")
        await resync.run()
        world.alertmanagers.tell(alert())
        await resync.run()
    assert not is_resolved(world)


@pytest.mark.parametrize("trouble", ["unreachable", "restarted", "unknown address"])
async def test_nothing_is_over_unless_every_replica_could_know(trouble: str) -> None:
    world = World(alertmanagers=3)
    await notify(world.ingest(), alert())
    match trouble:
        case "unreachable":
            world.alertmanagers.replicas[1].reachable = False
        case "restarted":
            world.alertmanagers.replicas[1].started = world.now - timedelta(minutes=1)
        case _:
            world.alertmanagers.urls.pop()
    resync = world.resync()
    for _ in range(3):
        await resync.run()
    assert not is_resolved(world)


async def test_a_record_made_after_alertmanager_was_asked_is_not_over() -> None:
    """The records are read, then the notification comes; Alertmanager is asked and knows no such alert."""
    world = World()
    resync = world.resync()

    async def notified(request: Request) -> None:
        world.server.after = done
        await notify(world.ingest("receiver-1"), alert())

    async def done(_: Request) -> None:
        return None

    await resync.run()
    world.server.after = notified
    await resync.run()
    assert len(world.records()) == 1
    assert not is_resolved(world)


async def test_a_list_that_is_older_than_a_resolution_reopens_nothing() -> None:
    world = World()
    world.alertmanagers.tell(alert())
    await world.resync().run()
    await world.controller().run(timedelta(seconds=30))
    await notify(world.ingest(), resolved(ends=40))
    # A replica that Prometheus does not reach has kept the alert of before.
    await world.resync().run()
    assert is_resolved(world)
    assert phase(world.record()) == "Succeeded"


async def test_the_moment_it_was_first_missing_is_when_it_ended() -> None:
    world = World()
    world.alertmanagers.tell(alert())
    resync = world.resync()
    await resync.run()
    await world.controller().run(timedelta(seconds=60))
    world.alertmanagers.forget("f-ml-recommender")
    await resync.run()
    world.now += timedelta(seconds=60)
    await resync.run()
    assert is_resolved(world)
    # The next one began between the two looks, and was heard of after them.
    world.now += timedelta(seconds=10)
    await notify(world.ingest(), alert(startsAt=at(100)))
    assert len(world.records()) == 2


async def test_an_alertmanager_that_does_not_answer_changes_nothing() -> None:
    world = World(alertmanagers=2)
    await notify(world.ingest(), alert())
    for replica in world.alertmanagers.replicas:
        replica.reachable = False
    for _ in range(3):
        await world.resync().run()
    assert not is_resolved(world)
