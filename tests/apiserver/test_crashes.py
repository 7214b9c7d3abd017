"""A crash at any write leaves a state from which the next start finishes; nothing is done twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from remediator.adapters.api_server import ApiServer, connect
from remediator.adapters.flink_rest import FlinkRest
from remediator.adapters.kube import EVENTS, Kube
from remediator.adapters.prometheus import Prometheus
from remediator.api.alertmanager import Webhook
from remediator.api.names import ENDED_LABEL, PLAN_ANNOTATION
from remediator.core.configuration import OVERRIDES_KEY
from remediator.services.act import Actor
from remediator.services.events import Events
from remediator.services.gather import Gatherer
from remediator.services.index import PolicyIndex, TargetIndex
from remediator.services.ingest import Ingest
from remediator.services.reconcile import Reconciler
from remediator.services.recorder import Recorder
from remediator.services.records import Records
from remediator.services.stop import StopSwitch
from remediator.services.watched import Watched

from apiserver.conftest import Install
from apiserver.installation import Installation
from apiserver.world import SCALE, Job, Resource

WRITES = ("create", "replace", "delete", "replace_status", "json_patch", "merge_patch")


class Crash(BaseException):
    """The process is gone."""


class CrashingKube:
    """A client whose process dies right after the API server took its n-th write. To the API server that is the same as
    dying right before the next one."""

    def __init__(self, kube: Kube, crash_at: int | None = None) -> None:
        self._kube, self._crash_at = kube, crash_at
        self.writes: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._kube, name)
        if name not in WRITES:
            return method

        async def write(kind: Any, *arguments: Any) -> Any:
            if kind == EVENTS:
                return await method(kind, *arguments)  # beside the others, at any time
            self.writes.append((name, kind.plural))
            result = await method(kind, *arguments)
            if len(self.writes) == self._crash_at:
                raise Crash
            return result

        return write


class Driver:
    """What the processes do, step by step."""

    def __init__(self, installation: Installation, receiver: ApiServer, controller: ApiServer, http: Any) -> None:
        self.installation, self.controller = installation, controller
        self._receiver, self._http = receiver, http

    async def receive(self, alert: Resource) -> str:
        """Ingest an alert; returns the name of the FlinkRemediation."""
        namespace = self.installation.world.namespace
        webhook = Webhook.model_validate(self.installation.world.webhook(alert))
        # Its watches do not run: it asks the API server.
        watched = Watched(self._receiver, namespace, [namespace])
        (name,) = (await Ingest(self._receiver, watched, namespace, [namespace]).ingest(webhook)).created
        return name

    async def reconciler(self, kube: Any) -> Reconciler:
        """Return a freshly started reconciler, which knows the records that there are."""

        def clock() -> datetime:
            return datetime.now(UTC)

        outside, namespace = self.installation.outside, self.installation.world.namespace
        flink = FlinkRest(self._http, outside.flink_rest_url_template)
        prometheus, records = Prometheus(outside.prometheus_url), Records()
        await records.load(self.controller, namespace)
        switch = StopSwitch(kube, namespace, clock)
        gatherer = Gatherer(kube, flink, prometheus, records, PolicyIndex(), TargetIndex(), switch, clock)
        recorder = Recorder(kube, records, Events(kube, "test"))
        return Reconciler(kube, records, gatherer, Actor(kube, gatherer, recorder, clock), recorder, clock)

    async def settle(self, service: Reconciler, name: str) -> None:
        """Step until it has looked whether others are in trouble, too, and the plan comes next."""
        delay = await service.step(self.installation.world.namespace, name)
        assert delay is not None
        await asyncio.sleep(delay.total_seconds())

    async def drive(self, kube: Any, name: str) -> None:
        """Step until nothing is left to do."""
        service = await self.reconciler(kube)
        for _ in range(60):
            delay = await service.step(self.installation.world.namespace, name)
            if delay is None:
                return
            await asyncio.sleep(min(delay.total_seconds(), 0.5))
        raise AssertionError(f"{name} does not come to an end")


@asynccontextmanager
async def driving(installation: Installation) -> AsyncIterator[Driver]:
    accounts = (installation.account(role).kubeconfig for role in ("receiver", "controller"))
    receiver, controller = (connect(kubeconfig) for kubeconfig in accounts)
    async with receiver as one, controller as other, httpx.AsyncClient(timeout=10) as http:
        yield Driver(installation, one, other, http)


@dataclass(frozen=True)
class Story:
    """What is done, and how it ends."""

    policy: Resource
    helps: bool
    phase: str
    patches: int
    action: str


RESTORE = {"type": "Restore"}
AT_ONCE = {"query": 'lag{job="{{ target.namespace }}/{{ target.name }}"} < 1000', "for": "0s", "timeout": "0s"}
STORIES = {
    "scale": Story({}, True, "Succeeded", 1, "Scale 2 to 4"),
    "restore": Story({"actions": [RESTORE]}, True, "Succeeded", 1, "Restore checkpoint 8"),
    # The scale does not help and is taken back; neither does the restore.
    "ladder": Story({"actions": [SCALE, RESTORE], "verify": AT_ONCE}, False, "Ineffective", 3, "Restore checkpoint 10"),
}


def start(installation: Installation, story: Story, name: str) -> Job:
    job = installation.world.add(name, **story.policy)
    if not story.helps:
        installation.outside.unmet.add(job.id)
    return job


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
async def test_a_crash_at_any_write_is_recovered_from(install: Install, story: Story) -> None:
    async with driving(install()) as driver:
        undisturbed = CrashingKube(driver.controller)
        job = await asyncio.to_thread(start, driver.installation, story, "undisturbed")
        await driver.drive(undisturbed, await driver.receive(job.alert()))
        check(job, story)

        # A ladder begins like a scale.
        known = undisturbed.writes.index(("json_patch", "flinkdeployments")) if len(story.policy) > 1 else 0
        places = range(known + 1, len(undisturbed.writes) + 1)
        assert len(places) >= 5
        at_once = asyncio.Semaphore(6)

        crashed = []

        async def crash(at: int) -> None:
            async with at_once:
                job = await asyncio.to_thread(start, driver.installation, story, f"crash-{at}")
                name = await driver.receive(job.alert())
                try:
                    await driver.drive(CrashingKube(driver.controller, at), name)
                except Crash:
                    crashed.append(at)
                await driver.drive(driver.controller, name)
                await asyncio.to_thread(check, job, story)

        results = await asyncio.gather(*map(crash, places), return_exceptions=True)
        failed = [(undisturbed.writes[at - 1], r) for at, r in zip(places, results, strict=True) if r is not None]
        assert not failed
        # That it waits for Flink's operator is written only where it does.
        assert len(crashed) >= len(places) - 2


def check(job: Job, story: Story) -> None:
    status, target = job.status(), job.target()
    assert (status["phase"], status["action"]) == (story.phase, story.action), status
    assert target["metadata"]["generation"] == 1 + story.patches, "each patch once, and only once"
    assert target["metadata"]["annotations"][PLAN_ANNOTATION] == status["plan"]["id"]
    assert ENDED_LABEL in job.remediation()["metadata"]["labels"]


async def test_somebody_elses_change_between_plan_and_patch_is_respected(installation: Installation) -> None:
    job = installation.world.job
    async with driving(installation) as driver:
        name = await driver.receive(job.alert())
        service = await driver.reconciler(CrashingKube(driver.controller, crash_at=2))
        await driver.settle(service, name)
        with pytest.raises(Crash):
            await service.step(job.world.namespace, name)
        assert job.phase() == "Executing"
        service = await driver.reconciler(driver.controller)
        job.world.merge(job.path, {"spec": {"job": {"parallelism": 3}, "flinkConfiguration": {"user.key": "new"}}})
        await service.step(job.world.namespace, name)
    assert job.status()["reason"] == "ChangedByOthers"
    assert OVERRIDES_KEY not in job.target()["spec"]["flinkConfiguration"]


async def test_two_remediations_of_one_target_do_not_act_together(installation: Installation) -> None:
    job = installation.world.job
    async with driving(installation) as driver:
        names = [await driver.receive(job.alert(fingerprint=f)) for f in ("f1", "f2")]
        service = await driver.reconciler(driver.controller)
        await asyncio.gather(*(driver.settle(service, name) for name in names))
        await asyncio.gather(*(service.step(job.world.namespace, name) for name in names))
    phases = sorted((r.get("status") or {}).get("phase", "Pending") for r in job.remediations())
    assert phases == ["Pending", "Verifying"]
