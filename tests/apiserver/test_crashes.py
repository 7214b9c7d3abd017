"""A crash at any write leaves a state from which the next start finishes; nothing is done twice."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from remediator.adapters.kube import FLINK_DEPLOYMENTS, REMEDIATIONS, ApiServer, Kube
from remediator.adapters.target_leases import TargetLeases
from remediator.api.alertmanager import Webhook
from remediator.api.names import PLAN_ANNOTATION
from remediator.core.flinkdeployment import OVERRIDES_KEY
from remediator.services.gather import Gatherer
from remediator.services.ingest import Ingest
from remediator.services.reconcile import Reconciler
from remediator.services.recorder import Recorder

from apiserver.world import FlinkStandIn, PrometheusStandIn, World

WRITES = ("create", "replace", "delete", "replace_status", "json_patch", "merge_patch")


class Crash(BaseException):
    """The process is gone."""


class CrashingKube:
    """A client whose process dies at its n-th write, before or after the API server took it."""

    def __init__(self, kube: Kube, crash_at: int | None = None, after: bool = False) -> None:
        self._kube, self._crash_at, self._after = kube, crash_at, after
        self.writes: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._kube, name)
        if name not in WRITES:
            return method

        async def write(kind: Any, *arguments: Any) -> Any:
            self.writes.append((name, kind.plural))
            due = len(self.writes) == self._crash_at
            if due and not self._after:
                raise Crash
            result = await method(kind, *arguments)
            if due:
                raise Crash
            return result

        return write


def reconciler(kube: Any, world: World, holds: bool = True) -> Reconciler:
    def clock() -> datetime:
        return datetime.now(UTC)

    flink: Any = FlinkStandIn(world)
    prometheus: Any = PrometheusStandIn(holds)
    leases = TargetLeases(kube, world.namespace)
    return Reconciler(kube, Gatherer(kube, flink, prometheus, clock), leases, Recorder(kube, "test"), clock)


async def receive(kube: Kube, world: World, **changes: Any) -> str:
    webhook = Webhook.model_validate(world.webhook(world.alert(**changes)))
    receipt = await Ingest(kube, world.namespace, [world.namespace]).ingest(webhook)
    (name,) = receipt.created
    return name


async def drive(service: Reconciler, world: World, name: str) -> None:
    for _ in range(20):
        if await service.step(world.namespace, name) is None:
            return
    raise AssertionError("it does not come to an end")


async def undisturbed(kube: Kube, world: World, holds: bool = True) -> list[tuple[str, str]]:
    counting = CrashingKube(kube)
    name = await receive(kube, world)
    await drive(reconciler(counting, world, holds), world, name)
    return counting.writes


async def test_an_alert_scales_the_job_once_and_is_recorded(kube: ApiServer, world: World) -> None:
    writes = await undisturbed(kube, world)
    assert writes.count(("json_patch", "flinkdeployments")) == 1
    (remediation,) = world.remediations()
    status = remediation["status"]
    assert (status["phase"], status["action"]) == ("Succeeded", "Scale 2 to 4")
    assert status["before"]["parallelism"] == 2
    assert status["after"]["parallelism"] == 4
    assert [c["status"] for c in status["conditions"]] == ["True", "True"]
    assert status["timeline"][0]["phase"] == "Executing"
    assert world.target()["spec"]["flinkConfiguration"][OVERRIDES_KEY] == "features:4,source:4"
    regarding = {e["regarding"]["kind"] for e in world.events()}
    assert regarding == {"FlinkRemediation", "FlinkDeployment"}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("crash_at", range(1, 13))
async def test_a_crash_at_any_write_is_recovered_from(
    kube: ApiServer, world: World, crash_at: int, after: bool
) -> None:
    name = await receive(kube, world)
    crashing = CrashingKube(kube, crash_at, after)
    try:
        await drive(reconciler(crashing, world), world, name)
        assert len(crashing.writes) < crash_at, "the crash did not happen"
    except Crash:
        pass
    restarted = CrashingKube(kube)
    await drive(reconciler(restarted, world), world, name)
    (remediation,) = world.remediations()
    assert remediation["status"]["phase"] == "Succeeded"
    target = world.target()
    assert target["metadata"]["generation"] == 2, "patched once, and only once"
    assert target["metadata"]["annotations"][PLAN_ANNOTATION] == remediation["status"]["plan"]["id"]


async def test_what_does_not_help_is_taken_back(kube: ApiServer, world: World) -> None:
    name = await receive(kube, world)
    resource = await kube.get(REMEDIATIONS, world.namespace, name)
    assert resource is not None
    url = {"spec": {"verify": {"query": "lag < 1000", "for": "0s", "timeout": "0s"}}}
    from remediator.adapters.kube import POLICIES

    await kube.merge_patch(POLICIES, world.namespace, "high-kafka-lag", url)
    await drive(reconciler(kube, world, holds=False), world, name)
    (remediation,) = world.remediations()
    assert (remediation["status"]["phase"], remediation["status"]["reason"]) == ("Ineffective", "Reverted")
    assert world.target()["spec"]["flinkConfiguration"][OVERRIDES_KEY] == "features:2,source:2"


async def test_somebody_elses_change_between_plan_and_patch_is_respected(kube: ApiServer, world: World) -> None:
    name = await receive(kube, world)
    service = reconciler(kube, world)
    await service.step(world.namespace, name)
    change = {"spec": {"job": {"parallelism": 3}, "flinkConfiguration": {"user.key": "new"}}}
    await kube.merge_patch(FLINK_DEPLOYMENTS, world.namespace, "ml-recommender", change)
    await service.step(world.namespace, name)
    (remediation,) = world.remediations()
    assert remediation["status"]["reason"] == "ChangedByOthers"
    assert OVERRIDES_KEY not in world.target()["spec"]["flinkConfiguration"]


async def test_two_remediations_of_one_target_do_not_act_together(kube: ApiServer, world: World) -> None:
    names = [await receive(kube, world, fingerprint=f) for f in ("f1", "f2")]
    service = reconciler(kube, world)
    await asyncio.gather(*(service.step(world.namespace, name) for name in names))
    phases = sorted((r.get("status") or {}).get("phase", "Pending") for r in world.remediations())
    assert phases == ["Executing", "Pending"]
