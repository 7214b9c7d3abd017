"""What was done is verified until there is a verdict; what did not help is taken back, and that is seen, too."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from remediator.adapters.kube import FLINK_DEPLOYMENTS, REMEDIATIONS, Resource
from remediator.api.policy import RevertAfter
from remediator.core.template import quiet_query

from services.api_server import Request
from services.world import JOB, NAMESPACE, World, alert, notify


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


async def incident(world: World, **policy: Any) -> None:
    world.change_policy(**policy)
    await notify(world.ingest(), alert())


def scale(timeout: str = "1m") -> list[Resource]:
    return [{"type": "Scale", "scale": {"factor": 2, "max": 4}, "timeout": timeout}]


def series(*values: str) -> list[Resource]:
    return [{"metric": {"n": str(n)}, "value": [1, value]} for n, value in enumerate(values)]


ANSWERS: dict[str, tuple[Any, str, float | None, str]] = {
    "a number": (series("5"), "Succeeded", 5.0, ""),
    "+Inf": (series("+Inf"), "Succeeded", None, ""),
    "-Inf": (series("-Inf"), "Succeeded", None, ""),
    "infinity and a number": (series("+Inf", "7"), "Succeeded", 7.0, ""),
    "NaN": (series("NaN"), "Ineffective", None, "the query does not hold"),
    "NaN and a number": (series("NaN", "3"), "Succeeded", 3.0, ""),
    "an empty vector": ([], "Ineffective", None, "the query does not hold"),
    "a scalar": ([1, "5"], "Ineffective", None, "no instant vector"),
    "a string": ([1, "text"], "Ineffective", None, "no instant vector"),
    "a matrix": ([{"metric": {}, "values": [[1, "5"]]}], "Ineffective", None, "no instant vector"),
    "no number": (series("five"), "Ineffective", None, "Prometheus does not answer"),
    "something else": ("text", "Ineffective", None, "no instant vector"),
    "an outage": (None, "Ineffective", None, "Prometheus does not answer"),
}


@pytest.mark.parametrize("answer", ANSWERS)
async def test_whatever_prometheus_answers_there_is_a_verdict_in_time(answer: str) -> None:
    world = World()
    result, end, value, told = ANSWERS[answer]
    world.prometheus.answers = lambda query: result
    await incident(world, actions=scale(), verify={"query": "lag < 1000", "for": "0s", "timeout": "30s"})
    await world.controller().run(seconds(120))
    status = world.status()
    assert status["phase"] == end
    assert status["after"].get("queryValue") == value
    assert told in status["message"]
    json.dumps(status, allow_nan=False)


async def test_a_revert_is_finished_when_the_job_runs_as_before() -> None:
    world = World()
    world.prometheus.answers = lambda query: []
    await incident(world, actions=scale(), verify={"query": "lag < 1000", "for": "0s", "timeout": "0s"})
    controller = world.controller()
    while "reverting" not in world.record().get("status", {}).get("times", {}):
        await controller.run(seconds(1))
    world.flink.slots = 1  # the cluster has lost its TaskManagers
    await controller.run(seconds(30))
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Verifying", "Reverting")
    assert "The job runs at 1, not yet at 2" in status["message"]
    world.flink.slots = 100
    await controller.run(seconds(10))
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Ineffective", "Reverted")
    assert "Taken back to parallelism 2; the job runs so." in status["message"]
    assert status["times"]["reverting"] <= status["times"]["reverted"] < status["times"]["finished"]


async def test_a_revert_that_is_not_seen_in_time_ends_and_says_so() -> None:
    world = World()
    world.flink.slots = 3
    await incident(world, actions=scale("30s"))
    controller = world.controller()
    await controller.run(seconds(10))
    world.flink.slots = 1
    await controller.run(seconds(90))
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Ineffective", "Reverted")
    assert "which was not seen within 30s: The job runs at 1, not yet at 2" in status["message"]


@pytest.mark.parametrize("action", ["Restart", "Restore"])
@pytest.mark.parametrize("nonce", [None, 4])
async def test_a_new_start_that_nobody_takes_up_is_taken_back(action: str, nonce: int | None) -> None:
    """Flink's operator is down, or rejects the spec: it must not happen at some later time."""
    world = World()

    def set_up(target: Resource) -> None:
        target["spec"]["job"]["upgradeMode"] = "savepoint"
        if nonce is not None:
            target["spec"]["restartNonce"] = nonce

    world.change(FLINK_DEPLOYMENTS, JOB, set_up)
    world.flink.reconcile()
    before = world.target()["spec"]
    world.flink.idle.add(JOB)
    await incident(world, actions=[{"type": action, "timeout": "1m"}])
    controller = world.controller()
    await controller.run(seconds(30))
    assert world.target()["spec"]["restartNonce"] == (nonce or 0) + 1
    await controller.run(seconds(60))
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Ineffective", "Reverted")
    assert "before Flink's operator took it up" in status["message"]
    assert world.target()["spec"] == before


async def test_a_new_start_that_was_taken_up_is_not_taken_back() -> None:
    world = World()
    world.prometheus.answers = lambda query: []
    verify = {"query": "lag < 1000", "for": "0s", "timeout": "0s"}
    await incident(world, actions=[{"type": "Restart", "timeout": "1m"}], verify=verify)
    await world.controller().run(seconds(60))
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Ineffective", "VerificationTimeout")
    assert world.target()["spec"]["restartNonce"] == 1


async def test_a_new_start_that_is_taken_up_at_the_last_moment_is_left_alone() -> None:
    world = World()
    world.flink.idle.add(JOB)
    await incident(world, actions=[{"type": "Restart", "timeout": "1m"}])

    async def take_it_up_before_the_inverse(request: Request) -> None:
        if request.verb == "json_patch" and len(world.patches()) == 2:
            world.flink.idle.clear()
            world.flink.reconcile()

    world.server.before = take_it_up_before_the_inverse
    await world.controller().run(seconds(90))
    status = world.status()
    assert status["phase"] == "Ineffective"
    assert "took it up at the last moment" in status["message"]
    assert world.target()["spec"]["restartNonce"] == 1


@pytest.mark.parametrize("quiet_for", ["61s", "119s", "2m", "30m", "1h1s"])
async def test_a_quiet_period_is_asked_for_to_the_second(quiet_for: str) -> None:
    after = RevertAfter(quiet_for=quiet_for, query="lag < 50")
    asked = re.fullmatch(r"count_over_time\(\(lag < 50\)\[(\d+)s:(\d+)s\]\) >= (\d+)", quiet_query(after))
    assert asked is not None
    period, step, times = map(int, asked.groups())
    assert period == after.quiet_for.total_seconds() == step * times
    assert step <= 15


async def test_a_query_of_a_record_without_its_policy_that_cannot_be_asked_any_more_ends_in_time() -> None:
    """An older version has begun it, and somebody edits the query."""
    world = World()
    controller = world.controller()
    await incident(world, actions=scale(), verify={"query": "lag < 1", "for": "0s", "timeout": "1m"})
    world.prometheus.answers = lambda query: []
    await controller.run(seconds(10))
    world.server.update(
        REMEDIATIONS,
        NAMESPACE,
        world.record()["metadata"]["name"],
        lambda record: {**record, "status": {k: v for k, v in record["status"].items() if k != "policy"}},
        "somebody",
        "status",
    )
    world.change_policy(verify={"query": "lag{a='{{ labels.absent }}'} < 1", "for": "0s", "timeout": "1m"})
    await controller.run(seconds(90))
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Ineffective", "Reverted")
    assert "labels.absent is not known here" in status["message"]


@pytest.mark.parametrize("back", [True, False])
async def test_a_target_that_cannot_be_read_is_waited_for(back: bool) -> None:
    world = World()
    controller = world.controller()
    world.prometheus.answers = lambda query: []
    await incident(world, actions=scale(), verify={"query": "lag < 1", "for": "0s", "timeout": "1m"})
    await controller.run(seconds(10))
    world.change(FLINK_DEPLOYMENTS, JOB, lambda target: target["spec"]["job"].update(parallelism="two"))
    await controller.run(seconds(10))
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Verifying", "TargetUnreadable")
    world.prometheus.answers = lambda query: series("5")
    if back:
        world.change(FLINK_DEPLOYMENTS, JOB, lambda target: target["spec"]["job"].update(parallelism=2))
    await controller.run(seconds(120))
    assert world.status()["phase"] == ("Succeeded" if back else "Ineffective")


async def test_what_the_owner_no_longer_allows_is_not_taken_back() -> None:
    world = World()
    controller = world.controller()
    world.prometheus.answers = lambda query: []
    await incident(world, actions=scale(), verify={"query": "lag < 1", "for": "0s", "timeout": "30s"})
    await controller.run(seconds(10))
    world.change(FLINK_DEPLOYMENTS, JOB, lambda target: target["metadata"]["labels"].clear())
    await controller.run(seconds(60))
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Ineffective", "NotOptedIn")
    assert "Not taken back: its owner does not allow remediation any more." in status["message"]
