"""A plan is carried out once, whatever the API server answers and whatever is edited meanwhile."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from remediator.adapters.kube import (
    FLINK_DEPLOYMENTS,
    POLICIES,
    REMEDIATIONS,
    KubeError,
    Rejected,
    Resource,
    Unavailable,
)
from remediator.api.names import ENABLED_LABEL, PLAN_ANNOTATION

from services.api_server import Request, at_once
from services.world import JOB, NAMESPACE, World, alert, as_the_plan_is_written, notify, phase, reason

SCALE: Resource = {"type": "Scale", "scale": {"factor": 2, "max": 8}}
RESTART: Resource = {"type": "Restart"}


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def refuse(error: KubeError) -> Callable[[Request], Awaitable[None]]:
    """Answer every write to a FlinkDeployment with an error."""

    async def hook(request: Request) -> None:
        if request.kind == FLINK_DEPLOYMENTS and request.writes:
            raise error

    return hook


async def let_through(_: Request) -> None:
    """Let a request through."""


async def incident(world: World, **policy: Any) -> None:
    if policy:
        world.change_policy(**policy)
    await notify(world.ingest(), alert())


def reasons(status: Resource) -> list[str]:
    return [entry["reason"] for entry in status["timeline"]]


def generation(world: World) -> int:
    return int(world.target()["metadata"]["generation"])


async def test_what_the_api_server_cannot_take_now_is_tried_again() -> None:
    world = World()
    controller = world.controller()
    await incident(world)
    world.server.before = refuse(Unavailable("403 Forbidden: no rights"))
    await controller.run(seconds(20))
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Executing", "ApiUnavailable")
    assert "403 Forbidden: no rights" in status["message"]
    assert 3 <= len(world.patches()) <= 8, "with growing pauses"
    world.server.before = let_through
    await controller.run(seconds(40))
    assert phase(world.record()) == "Succeeded"
    assert generation(world) == 3 + 1


async def test_a_plan_whose_time_is_over_is_made_anew_and_nothing_is_lost() -> None:
    world = World()
    controller = world.controller()
    await incident(world)
    world.server.before = refuse(Unavailable("503 Service Unavailable"))
    await controller.run(seconds(150))
    ids = {patch[-1]["value"] for patch in world.patches()}
    assert len(ids) == 1, "the same plan each time"
    told = [e["message"] for e in world.status()["timeline"] if e["phase"] == "Pending"]
    assert any("503 Service Unavailable" in message and "planned anew" in message for message in told)
    world.server.before = let_through
    await controller.run(seconds(60))
    assert phase(world.record()) == "Succeeded"
    assert len(world.status()["attempts"]) == 1, "what was not begun is not counted"
    assert generation(world) == 3 + 1


async def test_a_patch_whose_answer_is_lost_is_not_made_again() -> None:
    world = World()
    controller = world.controller()
    await incident(world, actions=[SCALE])
    world.server.after = refuse(Unavailable("no answer"))
    await controller.run(seconds(60))
    assert phase(world.record()) == "Succeeded"
    assert len(world.patches()) == 1
    assert generation(world) == 3 + 1


async def test_a_patch_that_is_carried_out_after_it_was_given_up_is_found() -> None:
    """The API server may still take a request that the client has stopped waiting for."""
    world = World()
    controller = world.controller()
    await incident(world, actions=[SCALE])
    world.server.before = refuse(Unavailable("no answer in time"))
    await controller.run(seconds(10))
    world.change_policy(guards={"pauseRequests": ["so that it waits"]})
    await controller.run(seconds(30))
    assert reason(world.record()) == "Paused"
    world.server.before = let_through
    late = world.server.client("streaming-monitoring-remediator")
    await late.json_patch(FLINK_DEPLOYMENTS, NAMESPACE, JOB, world.patches()[0])
    world.change_policy(guards={})
    await controller.run(seconds(60))
    status = world.status()
    assert (status["phase"], status["action"]) == ("Succeeded", "Scale 2 to 4")
    assert len(status["attempts"]) == 1
    assert generation(world) == 3 + 1


async def test_a_refusal_of_the_content_ends_it() -> None:
    world = World()
    await incident(world)
    world.server.before = refuse(Rejected("admission webhook denied the request: quota"))
    await world.controller().run(seconds(20))
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Failed", "PatchRejected")
    assert "admission webhook denied the request: quota" in status["message"]
    assert len(world.patches()) == 1


async def test_what_cannot_be_taken_back_ends_and_says_what_is_left() -> None:
    world = World()
    controller = world.controller()
    world.prometheus.answers = lambda query: []
    action = {**SCALE, "timeout": "2m"}
    await incident(world, actions=[action], verify={"query": "lag < 1", "for": "0s", "timeout": "30s"})
    await controller.run(seconds(20))
    assert phase(world.record()) == "Verifying"
    world.server.before = refuse(Unavailable("403 Forbidden"))
    await controller.run(seconds(300))
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Failed", "ApiUnavailable")
    assert "403 Forbidden" in status["message"]
    assert "left as it is: Scale 2 to 4" in status["message"]


def without_label(target: Resource) -> None:
    target["metadata"]["labels"] = {ENABLED_LABEL: "false"}


STOPS: dict[str, tuple[Callable[[World], None], str, str]] = {
    "paused": (lambda w: w.change_policy(guards={"pauseRequests": ["ada"]}), "Pending", "Paused"),
    "stopped": (lambda w: w.stop("ada: broker upgrade"), "Pending", "Paused"),
    "observed": (lambda w: w.change_policy(mode="Observe"), "Observed", "ObserveMode"),
    "label": (lambda w: w.change(FLINK_DEPLOYMENTS, JOB, without_label), "Refused", "NotOptedIn"),
    "silenced": (
        lambda w: w.annotate("remediation.streaming-monitoring.dev/silenced", "silence 1", "receiver"),
        "Pending",
        "AlertSilenced",
    ),
    "deleted": (lambda w: w.server.delete(POLICIES, NAMESPACE, JOB, "") and None, "Refused", "PolicyNotFound"),
}


@pytest.mark.parametrize("stop", STOPS)
async def test_what_stops_it_is_asked_again_right_before_the_patch(stop: str) -> None:
    world = World()
    controller = world.controller()
    act, expected, why = STOPS[stop]
    world.server.before = as_the_plan_is_written(world, act)
    await incident(world)
    await controller.run(seconds(8))
    assert world.server.before is at_once, "no plan was written"
    assert (phase(world.record()), reason(world.record())) == (expected, why)
    assert generation(world) == 3
    assert PLAN_ANNOTATION not in world.target()["metadata"]["annotations"]
    assert not world.status().get("attempts"), "what was not done does not count"


EDITS: dict[str, dict[str, Any]] = {
    "a shorter ladder": {"actions": [RESTART]},
    "another first rung": {"actions": [{"type": "Scale", "scale": {"parallelism": 7}}, RESTART]},
    "a query that cannot be asked": {"verify": {"query": 'lag{group="{{ labels.absent }}"} < 1'}},
    "a query that never holds": {"verify": {"query": "never < 1", "for": "0s"}},
    "other guards": {"guards": {"budget": [{"max": 1, "per": "1h"}]}},
    "another match": {"match": [{"label": "alertname", "value": "Another"}]},
}


@pytest.mark.parametrize("edit", EDITS)
async def test_an_edited_policy_does_not_move_what_has_begun(edit: str) -> None:
    world = World()
    controller = world.controller()
    world.flink.slots = 3  # the scale does not come to what it asks for
    ladder = [{**SCALE, "timeout": "30s"}, RESTART]
    await incident(world, actions=ladder, verify={"query": "lag < 1000", "for": "0s", "timeout": "1m"})
    await controller.run(seconds(15))
    assert phase(world.record()) == "Verifying"
    world.change_policy(**EDITS[edit])
    world.prometheus.answers = lambda query: [] if "never" in query else [{"metric": {}, "value": [0, "5"]}]
    await controller.run(seconds(120))
    status = world.status()
    assert [a["action"] for a in status["attempts"]] == ["Scale 2 to 4", "Restart"]
    assert status["phase"] == "Succeeded"


@pytest.mark.parametrize(
    ("edit", "end", "why"),
    [
        ({"guards": {"pauseRequests": ["ada"]}}, "Pending", "Paused"),
        ({"mode": "Observe"}, "Ineffective", "ObserveMode"),
        ({}, "Ineffective", "PolicyNotFound"),
    ],
)
async def test_a_pause_the_mode_and_a_deletion_stop_it_before_the_next_action(
    edit: dict[str, Any], end: str, why: str
) -> None:
    world = World()
    controller = world.controller()
    world.flink.slots = 3
    await incident(world, actions=[{**SCALE, "timeout": "30s"}, RESTART])
    await controller.run(seconds(15))
    if edit:
        world.change_policy(**edit)
    else:
        world.server.delete(POLICIES, NAMESPACE, JOB, "")
    await controller.run(seconds(120))
    status = world.status()
    assert (status["phase"], status["reason"]) == (end, why)
    assert [a["action"] for a in status["attempts"]] == ["Scale 2 to 4"]
    assert "restartNonce" not in world.target()["spec"]
    assert "Reverting" in reasons(status), "what is in flight is finished, and taken back where it did not help"


async def test_a_policy_in_the_record_that_cannot_be_read_stops_it() -> None:
    world = World()
    controller = world.controller()
    await incident(world, verify={"query": "never < 1", "for": "0s"})
    world.prometheus.answers = lambda query: []
    await controller.run(seconds(15))

    def spoil(record: Resource) -> Resource:
        return {**record, "status": {**record["status"], "policy": '{"actions": "none"}'}}

    name = world.record()["metadata"]["name"]
    world.server.update(REMEDIATIONS, NAMESPACE, name, spoil, "somebody", "status")
    await controller.run(seconds(10))
    assert (phase(world.record()), reason(world.record())) == ("Failed", "PolicyInvalid")


async def test_no_record_ends_by_a_target_that_has_changed_since_the_watch_brought_it() -> None:
    world = World()
    world.change_policy(guards={"storm": None})
    world.change(FLINK_DEPLOYMENTS, JOB, lambda target: target["metadata"]["labels"].update({ENABLED_LABEL: "false"}))
    controller = world.controller()
    await controller.sweep()  # its watches have begun
    world.server.late = True
    world.change(FLINK_DEPLOYMENTS, JOB, lambda target: target["metadata"]["labels"].update({ENABLED_LABEL: "true"}))
    await incident(world)
    await controller.run(seconds(30))
    assert [phase(record) for record in world.records()] == ["Succeeded"]


async def test_a_plan_made_of_what_the_watch_brought_before_is_not_carried_out() -> None:
    world = World()
    world.change_policy(guards={"storm": None})
    controller = world.controller()
    await controller.sweep()
    world.server.late = True
    world.change(FLINK_DEPLOYMENTS, JOB, lambda target: target["spec"].update(serviceAccount="other"))
    for _ in range(2):
        await controller.run(seconds(30))  # Flink's operator takes it up
    await incident(world)
    await controller.run(seconds(30))
    assert reasons(world.status()) == ["Planned", "ChangedByOthers", "Planned", "Patched", "Verified"]
    assert len(world.patches()) == 1
