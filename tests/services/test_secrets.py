"""A job's configuration may hold secrets: none of them is written anywhere."""

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import generate_latest

from services.world import World, alert, notify, phase, resolved

SECRET = "hunter2-do-not-tell"
CONFIGURATION = {
    "jobmanager.scheduler": "adaptive",
    "s3.secret-key": SECRET,
    "fs.azure.account.key": f"prefix-{SECRET}",
    "security.ssl.internal.key-password": SECRET,
}
SCALE = {"type": "Scale", "scale": {"factor": 2, "max": 8}}
IN_PLACE = {**SCALE, "scale": {**SCALE["scale"], "strategy": "InPlace"}}
REDEPLOY = {**SCALE, "scale": {**SCALE["scale"], "strategy": "Redeploy"}}
RESTORE = {"type": "Restore", "restore": {"maxCheckpointAge": "30m"}}


@pytest.mark.parametrize("overrides", ["", "source:2,features:2,sink:1"])
@pytest.mark.parametrize("ladder", [[IN_PLACE, RESTORE], [REDEPLOY, RESTORE], [RESTORE]])
@pytest.mark.parametrize("helps", [True, False])
async def test_no_secret_of_a_job_is_written(
    ladder: list[Any], overrides: str, helps: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world = World()
    key = {"pipeline.jobvertex-parallelism-overrides": overrides} if overrides else {}
    world.add_job("secretive", flinkConfiguration={**CONFIGURATION, **key})
    guards = {"cooldown": "0s", "storm": {"maxTargets": 1000, "per": "10m"}}
    verify = {"query": "lag < 1000", "for": "0s", "timeout": "1m"}
    world.add_policy("secretive", actions=ladder, guards=guards, verify=verify)
    world.prometheus.answers = lambda query: [{"metric": {}, "value": [0, "5"]}] if helps else []
    await notify(world.ingest(), alert("secretive"))
    controller = world.controller()
    await controller.run(timedelta(minutes=30))
    await notify(world.ingest(), resolved("secretive", ends=1800))
    await controller.sweep()
    assert phase(world.record()) == ("Succeeded" if helps else "Ineffective")
    assert any(
        r.writes and r.name == "secretive" and r.kind.plural == "flinkdeployments" for r in world.server.requests
    )
    written = [json.dumps(r.body) for r in world.server.requests if r.writes]
    logged = [str(vars(record)) for record in caplog.records]
    assert [text for text in [*written, *logged, generate_latest().decode()] if SECRET in text] == []
    assert world.target("secretive")["spec"]["flinkConfiguration"]["s3.secret-key"] == SECRET
