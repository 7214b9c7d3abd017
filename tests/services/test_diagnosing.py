"""What is seen of a job before an action is in its record, and what a person agreed to stays what was seen then."""

from datetime import timedelta
from typing import Any

from prometheus_client import REGISTRY
from remediator.adapters.kube import EVENTS
from remediator.api.names import APPROVAL_ANNOTATION

from services.outside import Load
from services.world import World, alert, notify, phase

LAZY, BUSY = {"busy": (10, 20), "idle": (980, 990)}, {"busy": (985, 990), "idle": (10, 15)}
FLOW = {"pressed": (0, 0), "in": (330, 336), "out": (330, 336)}


def overloaded(world: World) -> dict[str, float]:
    """Let the job's feature extractor be busy all the time, on idle CPUs; returns the numbers that Prometheus has."""
    world.flink.load = Load(
        {v: {**(BUSY if v == "features" else LAZY), **FLOW} for v in ("source", "features", "sink")}
    )
    numbers = {"jvm_cpu": 0.1, "task_managers": 2.0, "input_rate": 800.0, "consumed_rate": 660.0}

    def answer(query: str) -> Any:
        if query.startswith("label_replace"):
            return [{"metric": {"stat": stat}, "value": [0, str(number)]} for stat, number in numbers.items()]
        if query.startswith("max by (topic, partition)"):
            return [{"metric": {"topic": "e", "partition": str(p)}, "value": [0, "1000"]} for p in range(8)]
        return [{"metric": {}, "value": [0, "5"]}]

    world.prometheus.answers = answer
    return numbers


def waits_outside() -> float:
    """About how many FlinkRemediations it was found that the job waits for something outside."""
    found = REGISTRY.get_sample_value("remediator_findings_total", {"type": "WaitsOutside"})
    assert found is not None
    return found


async def test_the_finding_is_in_the_record_the_message_and_the_event() -> None:
    world = World()
    overloaded(world)
    await notify(world.ingest(), alert())
    await world.controller().run(timedelta(minutes=2))
    status = world.status()
    assert phase(world.record()) == "Succeeded"
    seen = status["diagnosis"]
    assert (seen["main"], seen["bottleneck"], seen["backlog"]) == ("WaitsOutside", "features", 8000)
    (planned,) = (entry["message"] for entry in status["timeline"] if entry["reason"] == "Planned")
    assert "Seen: WaitsOutside. features is busy 990 ms of each second" in planned
    notes = [event["note"] for event in world.server.stored(EVENTS) if event["reason"] == "Planned"]
    assert notes
    assert all("Seen: WaitsOutside." in note for note in notes)


async def test_a_job_that_nobody_can_look_at_is_remediated_all_the_same() -> None:
    world = World()
    await notify(world.ingest(), alert())
    await world.controller().run(timedelta(minutes=2))
    assert phase(world.record()) == "Succeeded"
    assert "load of 3 vertices, such as source" in world.status()["diagnosis"]["missing"]


async def test_an_approved_plan_is_carried_out_though_the_numbers_have_changed_since() -> None:
    world = World()
    numbers = overloaded(world)
    sized = [{"type": "Scale", "scale": {"toDrainWithin": "5m", "max": 8}}]
    world.change_policy(actions=sized, guards={"approval": {"required": True}})
    controller = world.controller()
    await notify(world.ingest(), alert())
    await controller.run(timedelta(seconds=30))
    asked = world.status()
    assert phase(world.record()) == "AwaitingApproval"
    assert "Seen: WaitsOutside." in asked["message"]
    assert "which takes 4." in asked["message"]
    numbers["input_rate"] = 1600
    await controller.run(timedelta(minutes=2))
    assert world.status()["proposal"] == asked["proposal"]
    world.annotate(APPROVAL_ANNOTATION, f"approved:{asked['proposal']}")
    await controller.run(timedelta(minutes=2))
    assert phase(world.record()) == "Succeeded"
    assert world.status()["plan"]["parallelismAfter"] == 4


async def test_after_a_while_it_is_looked_at_anew_and_asked_about_again() -> None:
    world = World()
    numbers = overloaded(world)
    before = waits_outside()
    sized = [{"type": "Scale", "scale": {"toDrainWithin": "5m", "max": 8}}]
    world.change_policy(actions=sized, guards={"approval": {"required": True, "timeout": "1h"}})
    controller = world.controller()
    await notify(world.ingest(), alert())
    await controller.run(timedelta(seconds=30))
    asked = world.status()["proposal"]
    numbers["input_rate"] = 1600
    await controller.run(timedelta(minutes=16))
    assert world.status()["proposal"] != asked
    assert "takes 8." in world.status()["message"]
    assert waits_outside() == before + 1, "what is found again is counted once"
