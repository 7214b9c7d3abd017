"""The real receiver and a real Alertmanager: notifications, and what no notification brought."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from remediator.adapters.alertmanager import Alertmanager as Adapter
from remediator.adapters.api_server import connect
from remediator.api.names import RESOLVED_ANNOTATION
from remediator.services.incidents import Incidents
from remediator.services.ingest import Ingest
from remediator.services.resync import SETTLED, Resync
from remediator.services.watched import Watched

from apiserver.alertmanager import Alertmanager, running
from apiserver.installation import Installation, Receiver
from apiserver.world import Job, Resource, World, eventually


@pytest.fixture
def deaf(tmp_path: Path) -> Iterator[Alertmanager]:
    """An Alertmanager that tells nobody: every notification is lost."""
    with running(tmp_path / "alertmanager") as alertmanager:
        yield alertmanager


def watchdog() -> Resource:
    return {"labels": {"alertname": "Watchdog", "severity": "none"}, "startsAt": datetime.now(UTC).isoformat()}


def over(job: Job) -> Resource:
    return {**job.alert(), "endsAt": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()}


def resolved(job: Job) -> bool:
    return RESOLVED_ANNOTATION in (job.remediation()["metadata"].get("annotations") or {})


def test_what_alertmanager_sends_is_recorded_and_resolved(receiver: Receiver, world: World, tmp_path: Path) -> None:
    with running(tmp_path / "alertmanager", receiver) as alertmanager:
        alertmanager.put(world.job.alert(), watchdog())
        eventually(world.job.remediations)
        assert eventually(lambda: receiver.metric("remediator_watchdog_timestamp_seconds"))
        alertmanager.put(over(world.job))
        eventually(lambda: resolved(world.job))
    assert len(world.job.remediations()) == 1


def test_what_no_notification_brought_is_found(installation: Installation, deaf: Alertmanager, world: World) -> None:
    deaf.put(world.job.alert(), watchdog())
    receiver = installation.receiver(alertmanager_url=deaf.url, resync_period="1s")
    eventually(world.job.remediations)
    (name,) = [r["metadata"]["name"] for r in world.job.remediations()]
    assert eventually(lambda: receiver.metric("remediator_resync_findings_total")) == 1
    assert receiver.metric("remediator_watchdog_timestamp_seconds") > 0
    # Alertmanager's API and its webhook write moments with different precision: it is the same occurrence.
    assert receiver.send(world.job.alert(fingerprint=fingerprint(deaf)))["existing"] == [name]
    looked = receiver.metric("remediator_resync_timestamp_seconds")
    eventually(lambda: receiver.metric("remediator_resync_timestamp_seconds") > looked)
    assert receiver.metric("remediator_resync_findings_total") == 1, "found once"

    deaf.stop()
    eventually(lambda: "resync failed" in receiver.log())
    assert receiver.ready(), "notifications are still taken"


def fingerprint(alertmanager: Alertmanager) -> str:
    (alert,) = httpx.get(f"{alertmanager.url}/api/v2/alerts", params={"filter": 'severity="critical"'}).json()
    return str(alert["fingerprint"])


async def test_a_restarted_alertmanager_knows_nothing_and_resolves_nothing(
    installation: Installation, deaf: Alertmanager, world: World
) -> None:
    later = timedelta(0)
    async with (
        connect(installation.account("receiver").kubeconfig) as kube,
        httpx.AsyncClient() as http,
    ):
        watched = Watched(kube, world.namespace, [world.namespace])
        ingest = Ingest(kube, watched, world.namespace, [world.namespace])
        incidents = Incidents(kube, world.namespace, watched.incidents, watched.incidents_fresh)
        resync = Resync(Adapter(http, [deaf.url]), ingest, incidents, lambda: datetime.now(UTC) + later)
        deaf.put(world.job.alert())
        await resync.run()
        assert not resolved(world.job)
        deaf.stop()
        deaf.start()
        await resync.run()
        assert not resolved(world.job), "it has not heard of all alerts again"
        # Of this one it has not heard again though it had the time: it is over.
        later = SETTLED
        await resync.run()
        assert not resolved(world.job), "missing once"
        await resync.run()
        assert resolved(world.job)
