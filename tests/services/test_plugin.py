"""``kubectl frem`` against the API server in memory, with the real controller beside it."""

import json
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from remediator.adapters.flink_rest import FlinkRest
from remediator.adapters.kube import FLINK_DEPLOYMENTS, LEASES, POLICIES, Conflict, Forbidden
from remediator.plugin import actions, app
from remediator.services.documents import BadInput

from services.api_server import Request
from services.test_diagnosing import overloaded
from services.world import JOB, NAMESPACE, World, alert, notify, phase, reason, resolved

APPROVAL: dict[str, Any] = {"approval": {"required": True, "timeout": "1h"}}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose time the plugin goes by."""
    made = World()
    monkeypatch.setattr(app, "_now", made.clock)
    return made


@pytest.fixture
def frem(world: World, capsys: pytest.CaptureFixture[str]) -> Callable[..., Awaitable[str]]:
    """Run a command line; returns what it prints."""

    async def run(*words: str) -> str:
        kube = world.server.client(actions.MANAGER)
        assert await app.run(kube, NAMESPACE, app.parser().parse_args(words), job_managers(world)) == 0
        return capsys.readouterr().out

    return run


def job_managers(world: World) -> FlinkRest:
    """Return the way to the JobManagers."""
    return FlinkRest(
        httpx.AsyncClient(transport=httpx.MockTransport(world.flink.answer)), "http://flink/{namespace}/{name}"
    )


async def incident(world: World, seconds: float = 30, **policy: Any) -> str:
    """Let an alert fire; returns the name of its record after some time."""
    world.change_policy(**policy)
    await notify(world.ingest(), alert())
    await world.controller().run(timedelta(seconds=seconds))
    return str(world.record()["metadata"]["name"])


async def test_list_reads_like_an_incident_log(world: World, frem: Any) -> None:
    assert await frem("list") == ""
    overloaded(world)
    name = await incident(world, 90)
    head, row = (await frem("list")).splitlines()
    assert head.split() == ["NAME", "ALERT", "TARGET", "ACTION", "PHASE", "REASON", "AGE"]
    assert row.split() == [name, "HighKafkaLag", JOB, *["Scale", "2", "to", "4", "Succeeded", "Verified", "90s"]]
    assert "WaitsOutside" in await frem("list", "-o", "wide")
    assert await frem("list", "--open") == ""
    assert await frem("list", "--target", "another") == ""
    (item,) = json.loads(await frem("list", "-o", "json"))["items"]
    assert item["metadata"]["name"] == name
    assert "managedFields" not in item["metadata"]
    assert yaml.safe_load(await frem("list", "-o", "yaml"))["kind"] == "List"


async def test_show_tells_what_was_seen_planned_and_done_and_what_came_of_it(world: World, frem: Any) -> None:
    overloaded(world)
    name = await incident(world, 90, actions=[{"type": "Scale", "scale": {"toDrainWithin": "5m", "max": 8}}])
    text = await frem("show", name)
    assert text.startswith(f"HighKafkaLag on {NAMESPACE}/{JOB}: Succeeded (Verified)\n  Runs at parallelism 4")
    for part in (
        "Plan",
        "Scale 2 to 4 (InPlace)",
        "which takes 4.",
        "BEFORE",
        "WaitsOutside",
        "features *",
        "Timeline",
    ):
        assert part in text, part
    assert "\x1b" not in text
    assert json.loads(await frem("show", name, "-o", "json"))["status"]["phase"] == "Succeeded"


async def test_an_approval_is_a_persons_and_names_the_plan(world: World, frem: Any) -> None:
    name = await incident(world, guards=APPROVAL)
    plan = world.status()["proposal"]
    assert f"approve {name}" in await frem("show", name)
    with pytest.raises(BadInput, match=f"asks about the plan {plan} now, not 0815"):
        await frem("approve", name, "--plan", "0815")
    assert await frem("approve", name, "--plan", plan) == f"{name}: plan {plan} approved. Scale 2 to 4, plan {plan}\n"
    await world.controller().run(timedelta(seconds=60))
    assert phase(world.record()) == "Succeeded"
    assert world.status()["interventions"][0]["manager"] == "kubectl-frem"
    with pytest.raises(BadInput, match="asks for no approval: it is Succeeded"):
        await frem("approve", name)


async def test_a_denial_ends_it_and_a_retry_begins_anew_each_time(world: World, frem: Any) -> None:
    name = await incident(world, guards=APPROVAL)
    await frem("deny", name)
    await world.controller().run(timedelta(seconds=20))
    assert reason(world.record()) == "ApprovalDenied"
    for _ in range(2):
        await frem("retry", name, "looked", "at", "it")
        await world.controller().run(timedelta(seconds=20))
        assert phase(world.record()) == "AwaitingApproval"
        await frem("deny", name)
        await world.controller().run(timedelta(seconds=20))
    assert [i["kind"] for i in world.status()["interventions"]].count("Retry") == 2
    await notify(world.ingest(), resolved())
    with pytest.raises(BadInput, match="its alert is resolved"):
        await frem("retry", name)


async def test_a_cancel_stops_it_and_gives_the_reason(world: World, frem: Any) -> None:
    name = await incident(world, guards=APPROVAL)
    assert await frem("cancel", name, "I take over") == f"{name}: to be cancelled\n"
    await world.controller().run(timedelta(seconds=20))
    assert (phase(world.record()), reason(world.record())) == ("Cancelled", "CancelRequested")
    assert "I take over" in world.status()["message"]
    with pytest.raises(BadInput, match="has ended already"):
        await frem("cancel", name)
    with pytest.raises(BadInput, match="nothing to deny"):
        await frem("deny", name)


async def test_a_pause_holds_until_it_is_taken_back_or_its_time_is_over(world: World, frem: Any) -> None:
    assert await frem("pause", JOB, "--reason", "migration, ada") == f"{JOB}: paused: migration, ada\n"
    await frem("pause", "--reason", "store, bob", "--for", "10m")
    name = await incident(world)
    assert reason(world.record()) == "Paused"
    message = world.status()["message"]
    assert "migration, ada, store, bob until 2026-03-01T03:10:00Z" in message
    assert await frem("resume", JOB, "--reason", "migration") == (
        f"{JOB}: paused: store, bob until 2026-03-01T03:10:00Z\n"
    )
    await world.controller().run(timedelta(minutes=5))
    assert reason(world.record()) == "Paused"
    await world.controller().run(timedelta(minutes=10))
    assert phase(world.record()) == "Succeeded"
    assert await frem("resume") == f"{JOB}: not paused\n"
    policy = world.server.find(POLICIES, NAMESPACE, JOB)
    assert policy is not None
    assert policy["spec"]["guards"]["pauseRequests"] == []
    assert name in await frem("list")


async def test_a_stop_holds_whatever_the_policies_say_and_is_told_of(
    world: World, frem: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    world.stop(None)
    assert await frem("stop", "--reason", "ada:\nupgrade") == "stopped: ada: upgrade\n"
    both = "ada: upgrade, bob until 2026-03-01T05:00:00Z"
    assert await frem("stop", "--reason", "bob", "--for", "2h") == f"stopped: {both}\n"
    name = await incident(world)
    assert reason(world.record()) == "Paused"
    assert f"Everything is stopped: {both}." in world.status()["message"]
    for words in (["list"], ["show", name], ["pause", "--reason", "x"], ["resume"], ["doctor"]):
        kube = world.server.client(actions.MANAGER)
        await app.run(kube, NAMESPACE, app.parser().parse_args(words), job_managers(world))
        told = capsys.readouterr().err
        assert told == f"Everything is stopped: {both}. To go on: kubectl frem -n {NAMESPACE} start\n", words
    assert await frem("start", "--reason", "ada") == "stopped: bob until 2026-03-01T05:00:00Z\n"
    assert await frem("start") == "not stopped\n"
    assert await frem("list")
    assert capsys.readouterr().err == ""
    await world.controller().run(timedelta(minutes=1))
    assert phase(world.record()) == "Succeeded"


async def test_who_may_not_read_the_lease_still_sees_the_records(
    world: World, frem: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    name = await incident(world)

    async def forbidden(request: Request) -> None:
        if request.kind == LEASES:
            raise Forbidden("403")

    world.server.before = forbidden
    assert name in await frem("list")
    with pytest.raises(Forbidden):
        await frem("stop", "--reason", "ada")


async def test_a_stop_where_no_controller_has_run_is_told(world: World) -> None:
    arguments = app.parser().parse_args(["stop", "--reason", "ada"])
    with pytest.raises(BadInput, match=r"no Lease .* in the namespace elsewhere: no controller has run there"):
        await app.run(world.server.client(actions.MANAGER), "elsewhere", arguments, job_managers(world))


async def test_who_writes_meanwhile_is_looked_at_again(world: World, frem: Any) -> None:
    name = await incident(world, guards=APPROVAL)
    tries = 0

    async def once(request: Request) -> None:
        nonlocal tries
        if request.writes and request.body.get("metadata", {}).get("annotations"):
            tries += 1
            if tries == 1:
                raise Conflict("409")

    world.server.before = once
    await frem("approve", name)
    assert tries == 2


async def test_what_is_not_there_is_told_with_what_is(world: World, frem: Any) -> None:
    with pytest.raises(BadInput, match="no FlinkRemediation x in the namespace streaming; there are none"):
        await frem("show", "x")
    with pytest.raises(BadInput, match=f"no FlinkRemediationPolicy x in the namespace streaming; there are {JOB}"):
        await frem("pause", "x", "--reason", "r")


async def test_watch_prints_a_line_for_each_change(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await notify(world.ingest(), alert())
    controller = world.controller()

    class Over(Exception):
        pass

    async def passes(length: timedelta) -> None:
        if phase(world.record()) == "Succeeded":
            raise Over
        await controller.run(length)

    monkeypatch.setattr(app, "_rest", passes)
    arguments = app.parser().parse_args(["watch", "--every", "1s"])
    with pytest.raises(Over):
        await app.run(world.server.client(actions.MANAGER), NAMESPACE, arguments, job_managers(world))
    lines = capsys.readouterr().out.splitlines()
    assert "Pending" in lines[0]
    assert f"HighKafkaLag on {JOB}: Succeeded Verified." in lines[-1]
    assert len(lines) == len(set(lines)) >= 4


async def test_the_page_about_it_shows_what_it_prints(world: World, frem: Any) -> None:
    overloaded(world)
    name = await incident(world, 90, actions=[{"type": "Scale", "scale": {"toDrainWithin": "5m", "max": 8}}])
    page = (Path(__file__).parents[2] / "docs/kubectl-frem.md").read_text()
    assert f"kubectl frem -n streaming list\n{await frem('list')}" in page
    assert f"kubectl frem -n streaming show {name}\n{await frem('show', name)}" in page
    told = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    assert {word for cell in told for word in re.findall(r"`(\w+)", cell)} == set(app.commands())


LABELS = ("alertname=HighKafkaLag", f"namespace={NAMESPACE}", f"consumergroup={JOB}")


def told(text: str) -> dict[str, str]:
    """Read a block that explain prints."""
    return dict(re.split(r" {2,}", line, maxsplit=1) for line in text.splitlines())  # type: ignore[misc]


async def test_explain_says_what_an_alert_would_lead_to_as_the_controller_then_does(world: World, frem: Any) -> None:
    before = len([r for r in world.server.requests if r.writes])
    text = await frem("explain", *LABELS)
    page = (Path(__file__).parents[2] / "docs/kubectl-frem.md").read_text()
    assert f"kubectl frem -n streaming explain {' '.join(LABELS)}\n{text}" in page
    said = told(text)
    assert said == {
        "Policy": JOB,
        "Target": f"{NAMESPACE}/{JOB}",
        "Record": "none yet",
        "Decision": "Act (Planned)",
        "Why": "Scale 2 to 4 (InPlace). What the job does was not looked at: a finding may forbid it or change its "
        "size.",
    }
    assert len([r for r in world.server.requests if r.writes]) == before, "it only reads"
    await incident(world, 60)
    assert world.status()["action"] == "Scale 2 to 4"


@pytest.mark.parametrize(
    ("change", "decision", "why"),
    [
        (lambda w: w.stop("ada"), "Wait (Paused)", "Everything is stopped: ada."),
        (lambda w: w.change_policy(guards={"pauseRequests": ["bob"]}), "Wait (Paused)", "The policy is paused: bob."),
        (
            lambda w: w.change_policy(mode="Observe"),
            "Act (ObserveMode)",
            "Would Scale 2 to 4; the policy only observes",
        ),
        (lambda w: w.flink.unreachable.add(JOB), "Wait (JobManagerUnreachable)", ""),
        (lambda w: w.server.delete(FLINK_DEPLOYMENTS, NAMESPACE, JOB, ""), "Refuse (TargetNotFound)", ""),
    ],
)
async def test_explain_says_why_nothing_would_be_done(
    world: World, frem: Any, change: Callable[[World], object], decision: str, why: str
) -> None:
    change(world)
    said = told(await frem("explain", *LABELS))
    assert said["Decision"] == decision
    assert said["Why"].startswith(why)


async def test_explain_of_a_record_decides_about_it_or_says_that_nothing_is_to_be_decided(
    world: World, frem: Any
) -> None:
    name = await incident(world, guards=APPROVAL, actions=[{"type": "Scale", "scale": {"factor": 2, "max": 8}}])
    said = told(await frem("explain", name))
    assert (said["Record"], said["Decision"]) == (name, "Wait (ApprovalRequired)")
    assert told(await frem("explain", *LABELS)) == said, "the labels find the record"
    await frem("approve", name)
    assert told(await frem("explain", name))["Decision"] == "Act (Planned)"
    await world.controller().run(timedelta(seconds=60))
    said = told(await frem("explain", name))
    assert said["Decision"] == "none (Verified)"
    assert said["Why"].startswith("Nothing is to be decided: it has ended (Succeeded).")
    said = told(await frem("explain", *LABELS))
    assert (said["Record"], said["Decision"]) == ("none yet", "Wait (Cooldown)"), "what was done counts"


async def test_explain_of_a_record_whose_policy_is_gone(world: World, frem: Any) -> None:
    name = await incident(world, guards=APPROVAL)
    world.server.delete(POLICIES, NAMESPACE, JOB, "")
    assert told(await frem("explain", name))["Decision"] == "Refuse (PolicyNotFound)"


async def test_explain_tells_which_label_each_policy_lacks(world: World, frem: Any) -> None:
    with pytest.raises(BadInput, match=f"no policy answers this alert; there are {JOB} .consumergroup='{JOB}'."):
        await frem("explain", "alertname=HighKafkaLag")
    with pytest.raises(BadInput, match="'x' is no label"):
        await frem("explain", "alertname=HighKafkaLag", "x")
    with pytest.raises(BadInput, match="no FlinkRemediation x "):
        await frem("explain", "x")
