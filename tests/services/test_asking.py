"""People are asked, heeded and recorded; what holds a remediation back lets it go again."""

from datetime import timedelta
from typing import Any

import pytest
from remediator.adapters.kube import FLINK_DEPLOYMENTS, REMEDIATIONS, Resource
from remediator.api.names import (
    APPROVAL_ANNOTATION,
    CANCEL_ANNOTATION,
    RESOLVED_ANNOTATION,
    RETRY_ANNOTATION,
    SILENCED_ANNOTATION,
)

from services.world import JOB, NAMESPACE, World, alert, at, notify, phase, reason, resolved

ASK = {"approval": {"required": True, "timeout": "15m"}}
SCALE: Resource = {"type": "Scale", "scale": {"factor": 2, "max": 8}}


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


async def incident(world: World, **policy: Any) -> None:
    world.change_policy(**policy)
    await notify(world.ingest(), alert())


def interventions(world: World) -> list[tuple[str, str, str]]:
    return [(i["kind"], i["value"], i["manager"]) for i in world.status().get("interventions", [])]


async def test_an_approval_is_for_the_plan_that_was_shown_and_says_who_gave_it() -> None:
    world = World()
    controller = world.controller()
    await incident(world, guards=ASK, actions=[SCALE])
    await controller.run(seconds(10))
    first = world.status()
    assert (first["phase"], first["reason"]) == ("AwaitingApproval", "ApprovalRequired")
    assert f"approval=approved:{first['proposal']} " in first["message"]

    # The owner scales it meanwhile: what was shown is not what would be done.
    world.change(FLINK_DEPLOYMENTS, JOB, lambda target: target["spec"]["job"].update(parallelism=3))
    await controller.run(seconds(12))
    world.annotate(APPROVAL_ANNOTATION, f"approved:{first['proposal']}")
    await controller.run(seconds(12))
    second = world.status()
    assert second["phase"] == "AwaitingApproval"
    assert second["proposal"] != first["proposal"]
    assert "Scale 3 to 6" in second["message"]
    assert f"What was approved is plan {first['proposal']}, and this is another" in second["message"]
    assert not world.patches()

    world.annotate(APPROVAL_ANNOTATION, f"approved:{second['proposal']}")
    await controller.run(seconds(40))
    done = world.status()
    assert (done["phase"], done["action"]) == ("Succeeded", "Scale 3 to 6")
    assert done["plan"]["id"] == second["proposal"]
    assert interventions(world) == [("Approval", f"approved:{second['proposal']}", "kubectl-annotate")]


@pytest.mark.parametrize(
    ("answer", "by", "told"),
    [
        ("approved", "kubectl-annotate", "'approved' alone names no plan"),
        ("approved:{plan}", "streaming-monitoring-remediator", "not a person"),
        ("denied", "streaming-monitoring-remediator", "not a person"),
        ("yes", "kubectl-annotate", "'yes' is neither"),
    ],
)
async def test_what_is_no_answer_is_answered_with_what_to_write(answer: str, by: str, told: str) -> None:
    world = World()
    controller = world.controller()
    await incident(world, guards=ASK)
    await controller.run(seconds(10))
    plan = world.status()["proposal"]
    world.annotate(APPROVAL_ANNOTATION, answer.format(plan=plan), by)
    await controller.run(seconds(12))
    assert phase(world.record()) == "AwaitingApproval"
    assert told in world.status()["message"]
    assert f"approval=approved:{plan} " in world.status()["message"]
    assert not world.patches()


@pytest.mark.parametrize("denial", ["denied", "denied:some-plan"])
async def test_a_denial_ends_it_and_a_retry_asks_again(denial: str) -> None:
    world = World()
    controller = world.controller()
    await incident(world, guards=ASK)
    await controller.run(seconds(10))
    world.annotate(APPROVAL_ANNOTATION, denial)
    await controller.run(seconds(12))
    assert (phase(world.record()), reason(world.record())) == ("Cancelled", "ApprovalDenied")
    world.annotate(RETRY_ANNOTATION, "talked to ada")
    await controller.run(seconds(12))
    assert phase(world.record()) == "AwaitingApproval"
    assert interventions(world) == [
        ("Approval", denial, "kubectl-annotate"),
        ("Retry", "talked to ada", "kubectl-annotate"),
    ]


async def test_each_action_of_a_ladder_is_asked_about() -> None:
    world = World()
    controller = world.controller()
    world.flink.slots = 3
    await incident(world, guards=ASK, actions=[{**SCALE, "timeout": "30s"}, {"type": "Restart"}])
    await controller.run(seconds(10))
    world.annotate(APPROVAL_ANNOTATION, f"approved:{world.status()['proposal']}")
    await controller.run(seconds(90))
    status = world.status()
    assert status["phase"] == "AwaitingApproval"
    assert status["message"].startswith("Restart, plan ")
    assert "restartNonce" not in world.target()["spec"]


def jobs(world: World, count: int) -> list[str]:
    names = [f"job-{number}" for number in range(count)]
    for name in names:
        world.add_job(name)
        world.add_policy(name)
    return names


def by_target(world: World) -> dict[str, Resource]:
    return {r["spec"]["target"]["name"]: r for r in world.records()}


async def test_in_a_storm_nobody_acts_until_it_is_over() -> None:
    world = World()
    controller, receiver = world.controller(), world.ingest()
    names = jobs(world, 5)
    # The first one has some seconds before the others are heard of.
    await notify(receiver, alert(names[0]))
    await controller.run(seconds(2))
    await notify(receiver, *(alert(name) for name in names[1:]))
    await controller.run(seconds(60))
    assert not world.patches()
    assert {(phase(r), reason(r)) for r in world.records()} == {("Pending", "Storm")}
    assert "5 FlinkDeployments in trouble" in by_target(world)[names[0]]["status"]["message"]
    await notify(receiver, resolved(names[0], 60), resolved(names[1], 60))
    await controller.run(seconds(60))
    ends = {name: phase(record) for name, record in by_target(world).items()}
    assert ends == {**dict.fromkeys(names[:2], "Cancelled"), **dict.fromkeys(names[2:], "Succeeded")}


async def test_one_is_let_through_a_storm_by_approval() -> None:
    world = World()
    controller = world.controller()
    names = jobs(world, 4)
    await notify(world.ingest(), *(alert(name) for name in names))
    await controller.run(seconds(10))
    record = by_target(world)[names[2]]
    world.annotate(APPROVAL_ANNOTATION, f"approved:{record['status']['proposal']}", name=record["metadata"]["name"])
    await controller.run(seconds(60))
    assert {name: phase(r) for name, r in by_target(world).items()} == {
        **dict.fromkeys(names, "Pending"),
        names[2]: "Succeeded",
    }


async def test_what_a_resync_creates_at_once_is_no_storm_if_it_did_not_begin_at_once() -> None:
    world = World()
    names = jobs(world, 5)
    alerts = [alert(name, startsAt=at(-3600 * (1 + number))) for number, name in enumerate(names)]
    await notify(world.ingest(), *alerts)
    await world.controller().run(seconds(60))
    assert {phase(r) for r in world.records()} == {"Succeeded"}


async def test_a_single_alert_is_acted_on_within_seconds() -> None:
    world = World()
    await incident(world)
    await world.controller().run(seconds(4))
    assert len(world.patches()) == 1


async def test_a_silenced_alert_waits_and_goes_on() -> None:
    world = World()
    controller = world.controller()
    await incident(world)
    world.annotate(SILENCED_ANNOTATION, "silence 8f1c by ada (rescale)", "receiver-0")
    await controller.run(seconds(20))
    assert (phase(world.record()), reason(world.record())) == ("Pending", "AlertSilenced")
    assert "silence 8f1c by ada (rescale)" in world.status()["message"]
    world.change(REMEDIATIONS, world.record()["metadata"]["name"], drop(SILENCED_ANNOTATION))
    await controller.run(seconds(60))
    assert phase(world.record()) == "Succeeded"


def drop(annotation: str) -> Any:
    return lambda record: record["metadata"]["annotations"].pop(annotation)


async def test_of_two_records_of_one_incident_the_older_one_acts() -> None:
    world = World()
    controller = world.controller()
    await incident(world)
    first = world.record()
    twin = {"metadata": {"name": "a-twin", "namespace": NAMESPACE}, "spec": first["spec"]}
    twin["metadata"]["labels"] = first["metadata"]["labels"]
    world.now += seconds(1)
    world.server.put(REMEDIATIONS, twin)
    await controller.run(seconds(60))
    ends = {r["metadata"]["name"]: (phase(r), reason(r)) for r in world.records()}
    assert ends == {first["metadata"]["name"]: ("Succeeded", "Verified"), "a-twin": ("Cancelled", "Duplicate")}
    assert len(world.patches()) == 1


async def test_a_retry_begins_anew_once_for_each_value_and_counts_against_the_budget() -> None:
    world = World()
    controller = world.controller()
    world.prometheus.answers = lambda query: []
    unmet = {"query": "lag < 1", "for": "0s", "timeout": "0s"}
    guards = {"budget": [{"max": 2, "per": "1h"}]}
    await incident(world, guards=guards, verify=unmet, actions=[{"type": "Restart"}])
    await controller.run(seconds(30))
    assert phase(world.record()) == "Ineffective"
    world.annotate(RETRY_ANNOTATION, "more slots")
    await controller.run(seconds(60))
    status = world.status()
    assert status["phase"] == "Ineffective"
    assert [a["action"] for a in status["attempts"]] == ["Restart", "Restart"]
    assert "RetryRequested" in [entry["reason"] for entry in status["timeline"]]
    await controller.run(seconds(60))
    assert len(world.status()["attempts"]) == 2, "once for each value"
    world.annotate(RETRY_ANNOTATION, "and again")
    await controller.run(seconds(30))
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Ineffective", "BudgetExhausted")
    assert len(world.patches()) == 2
    assert [(c["type"], c["status"]) for c in status["conditions"]] == [("Complete", "True"), ("Succeeded", "False")]


async def test_a_retry_goes_by_the_policy_as_it_is_now() -> None:
    world = World()
    controller = world.controller()
    await incident(world, match=[{"label": "alertname", "value": "HighKafkaLag"}], target={"name": "nobody"})
    await controller.run(seconds(10))
    assert reason(world.record()) == "TargetNotFound"
    await incident(world, actions=[{"type": "Scale", "scale": {"max": 2}}], target={"name": JOB})
    refused = next(r for r in world.records() if r["spec"]["target"]["name"] == JOB)["metadata"]["name"]
    await controller.run(seconds(10))
    world.change_policy(actions=[SCALE])
    world.annotate(RETRY_ANNOTATION, "the maximum is raised", name=refused)
    await controller.run(seconds(60))
    record = next(r for r in world.records() if r["metadata"]["name"] == refused)
    assert (phase(record), record["status"]["action"]) == ("Succeeded", "Scale 2 to 4")


@pytest.mark.parametrize("over", [True, False])
async def test_a_retry_of_what_is_over_or_has_helped_is_answered(over: bool) -> None:
    world = World()
    controller = world.controller()
    await incident(world)
    if over:
        await notify(world.ingest(), resolved())
    await controller.run(seconds(60))
    before = world.status()
    world.annotate(RETRY_ANNOTATION, "once more")
    await controller.run(seconds(20))
    after = world.status()
    assert after["phase"] == before["phase"] == ("Cancelled" if over else "Succeeded")
    why = "the alert is resolved" if over else "it is Succeeded"
    assert after["message"].startswith(f"Not tried again, as kubectl-annotate (once more) asked: {why}.")
    requests = len(world.server.requests)
    await controller.run(seconds(60))
    assert len(world.server.requests) == requests, "it is left alone"


async def test_a_cancel_before_an_action() -> None:
    world = World()
    controller = world.controller()
    await incident(world, guards={"pauseRequests": ["so that it waits"]})
    await controller.run(seconds(10))
    world.annotate(CANCEL_ANNOTATION, "I take over, ada")
    await controller.run(seconds(12))
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Cancelled", "CancelRequested")
    assert status["message"] == "Cancelled by kubectl-annotate (I take over, ada). Nothing was done."
    assert interventions(world) == [("Cancel", "I take over, ada", "kubectl-annotate")]


async def test_a_cancel_in_flight_leaves_what_is_there_and_goes_no_further() -> None:
    world = World()
    controller = world.controller()
    world.prometheus.answers = lambda query: []
    await incident(world, actions=[SCALE, {"type": "Restart"}])
    await controller.run(seconds(10))
    assert phase(world.record()) == "Verifying"
    world.annotate(CANCEL_ANNOTATION, "ada")
    await controller.run(seconds(120))
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Cancelled", "CancelRequested")
    assert "Scale 2 to 4 was begun and is left as it is" in status["message"]
    assert len(world.patches()) == 1


async def test_a_cancel_while_it_is_taken_back_lets_that_come_to_its_end() -> None:
    world = World()
    controller = world.controller()
    world.prometheus.answers = lambda query: []
    unmet = {"query": "lag < 1", "for": "0s", "timeout": "0s"}
    await incident(world, verify=unmet, actions=[SCALE, {"type": "Restart"}])
    while reason(world.record()) != "Reverting":
        await controller.run(seconds(1))
    world.annotate(CANCEL_ANNOTATION, "ada")
    await controller.run(seconds(60))
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Ineffective", "Reverted")
    assert "Nothing further is done: cancelled by kubectl-annotate (ada)." in status["message"]
    assert len(world.patches()) == 2


async def test_what_our_own_roles_write_neither_cancels_nor_retries() -> None:
    world = World()
    controller = world.controller()
    await incident(world, actions=[{"type": "Scale", "scale": {"max": 2}}])
    world.annotate(CANCEL_ANNOTATION, "x", "streaming-monitoring-remediator")
    world.annotate(RETRY_ANNOTATION, "x", "streaming-monitoring-remediator")
    await controller.run(seconds(20))
    assert reason(world.record()) == "AlreadyAtMaximum"
    assert interventions(world) == []
    assert RESOLVED_ANNOTATION not in world.record()["metadata"]["annotations"]
