"""``kubectl frem backtest`` on the policies and FlinkDeployments of a cluster."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from remediator.adapters.flink_rest import FlinkRest
from remediator.adapters.kube import POLICIES
from remediator.plugin import actions, app
from remediator.services.documents import BadInput

from services.world import JOB, NAMESPACE, NOW, World, alert, at, notify, phase, reason, resolved


@pytest.fixture
def backtest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run it on an alert of the world's job; returns what it prints as JSON."""
    (tmp_path / "alerts.json").write_text(json.dumps({"alerts": [resolved(ends=600)]}))

    async def run(world: World, *options: str) -> Any:
        kube = world.server.client(actions.MANAGER)
        words = ["backtest", "-o=json", f"--alerts={tmp_path / 'alerts.json'}", *options]
        flink = FlinkRest(httpx.AsyncClient(), "http://nobody")
        assert await app.run(kube, NAMESPACE, app.parser().parse_args(words), flink) == 0
        return json.loads(capsys.readouterr().out)

    return run


async def test_it_foretells_what_the_controller_does(backtest: Any) -> None:
    world = World()
    foretold = await backtest(world)
    await notify(world.ingest(), alert())
    await world.controller().run(timedelta(minutes=5))
    (incident,) = foretold["incidents"]
    assert [step["what"] for step in incident["steps"]] == [world.status()["action"]] == ["Scale 2 to 4"]
    assert incident["phase"] == phase(world.record()) == "Succeeded"
    assert incident["target"] == f"{NAMESPACE}/{JOB}"
    assert foretold["sources"] == {
        "policies": f"1 of the namespace {NAMESPACE} of the cluster, as they are now",
        "targets": "1 of the cluster, as they are now",
        "alerts": foretold["sources"]["alerts"],
    }


async def test_it_foretells_a_cooldown_and_a_budget(backtest: Any, tmp_path: Path) -> None:
    world = World()
    world.change_policy(
        actions=[{"type": "Scale", "scale": {"max": 32}}],
        guards={"cooldown": "2m", "budget": [{"max": 2, "per": "1h"}]},
    )
    history = [(0, 60), (90, 300), (400, 500)]
    past = [resolved(startsAt=at(begin), ends=end) for begin, end in history]
    (tmp_path / "alerts.json").write_text(json.dumps({"alerts": past}))
    foretold = await backtest(world, "--takes=10s", "--recovers=1s")
    receiver, controller = world.ingest(), world.controller()
    for begin, end in history:
        await controller.run(NOW + timedelta(seconds=begin) - world.clock())
        await notify(receiver, alert(startsAt=at(begin)))
        await controller.run(timedelta(seconds=end - begin))
        await notify(receiver, resolved(startsAt=at(begin), ends=end))
    await controller.run(timedelta(seconds=10))
    seen = sorted(world.records(), key=lambda record: record["spec"]["alert"]["startsAt"])
    done = [[attempt["action"] for attempt in record["status"].get("attempts", [])] for record in seen]
    told = [[step["what"] for step in one["steps"] if step["kind"] == "act"] for one in foretold["incidents"]]
    assert told == done == [["Scale 2 to 4"], ["Scale 4 to 8"], []]
    ends = [(one["phase"], one["reason"]) for one in foretold["incidents"]]
    assert ends == [(phase(record), reason(record)) for record in seen]
    assert ends[2] == ("Refused", "BudgetExhausted")


async def test_what_cannot_be_read_is_left_out_and_named(backtest: Any) -> None:
    world = World()
    world.server.put(POLICIES, {"metadata": {"name": "broken", "namespace": NAMESPACE}, "spec": {"match": []}})
    world.add_job("odd", job={"parallelism": "many"})
    document = await backtest(world)
    assert document["totals"]["incidents"] == 1
    policy, target = document["notes"]
    assert policy.startswith("policy broken left out: ")
    assert target.startswith(f"FlinkDeployment {NAMESPACE}/odd left out: spec.job.parallelism is not a whole number")


async def test_a_cluster_without_policies(backtest: Any) -> None:
    world = World()
    world.server.delete(POLICIES, NAMESPACE, JOB, "")
    with pytest.raises(BadInput, match=f"there is no policy that can be read in the namespace {NAMESPACE}"):
        await backtest(world)


async def test_nothing_is_written(backtest: Any) -> None:
    world = World()
    await backtest(world)
    assert world.server.requests
    assert not [request for request in world.server.requests if request.writes]
