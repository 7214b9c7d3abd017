"""Two Prometheus that see the same 15 s apart, two Alertmanagers in a cluster, two receivers, each of them
killed at random: there are as many FlinkRemediations as incidents. INCIDENTS says how many, SEED which (make chaos):
where the machine is busy, one that was killed at a bad moment is made up for minutes later."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from ports import free_port
from remediator.api.names import RESOLVED_ANNOTATION

from apiserver.alertmanager import Alertmanager, binary
from apiserver.installation import Installation, Receiver
from apiserver.world import Resource, World

INCIDENTS = int(os.environ.get("INCIDENTS", "0"))
SEED = int(os.environ.get("SEED", "1"))
SIDE_BY_SIDE = min(120, INCIDENTS // 2)
"""As many alerts fire at a time at most."""
GROUPS = list(map(str, range(max(INCIDENTS // 2, 2 * SIDE_BY_SIDE))))
APART = timedelta(seconds=15)
"""The second Prometheus evaluates so much later, and tells a later start."""
SURE = timedelta(seconds=20)
"""What the second Prometheus says after the first has seen the end takes the resolution back: so long is waited."""
LONGEST_SECONDS = 600 + 2 * INCIDENTS


@dataclass
class Incident:
    """An alert that fires for a while, and until it was heard, as both Prometheus tell it: what ends before that is
    lost to Alertmanager, too."""

    group: str
    begins: datetime
    lasts: timedelta
    heard: datetime | None = None
    """When its record was first seen."""
    resolved: datetime | None = None
    """Since when its record has said without a break that the alert is over."""

    def told_by(self, source: int, now: datetime) -> Resource | None:
        """Return what a Prometheus sends; nothing before it has seen it begin."""
        starts, apart = self.begins + source * APART, source * APART
        ends = max(self.begins + self.lasts, self.heard or now + APART) + apart
        if now < starts:
            return None
        labels = {"alertname": "HighKafkaLag", "namespace": "", "consumergroup": self.group, "severity": "critical"}
        return {"labels": labels, "startsAt": starts.isoformat()} | (
            {"endsAt": ends.isoformat()} if now >= ends else {}
        )

    def over(self, now: datetime) -> bool:
        """Whether both have seen it end."""
        return self.heard is not None and now > max(self.begins + self.lasts, self.heard) + APART


class Chaos:
    """Whatever may be killed, one at a time, and is started again before the next."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._next = time.monotonic()
        self.kills = 0
        self.restarts: list[Callable[[], None]] = []

    def strike(self) -> None:
        """Now and then, kill one and start it again."""
        if time.monotonic() >= self._next:
            self._dice.choice(self.restarts)()
            self.kills += 1
            self._next = time.monotonic() + self._dice.uniform(3, 8)


@pytest.mark.skipif(not INCIDENTS, reason="make chaos plays incidents with kills")
def test_records_are_incidents(installation: Installation, tmp_path: Path) -> None:
    dice = random.Random(SEED)
    print(f"seed {SEED}, {INCIDENTS} incidents")
    world = installation.world
    observe_everything(world)
    ports = [free_port() for _ in range(2)]
    managers = [Alertmanager(binary(), tmp_path / f"am-{n}", port, clustered=True) for n, port in enumerate(ports)]
    for manager in managers:
        manager.peers = [other for other in managers if other is not manager]
        manager.start()
    receivers: dict[int, Receiver] = {}

    def start_receiver(port: int) -> None:
        if port in receivers:
            receivers[port].kill()
        urls = ",".join(manager.url for manager in managers)
        receivers[port] = installation.receiver(port=port, alertmanager_url=urls, resync_period="2s")

    for port in ports:
        start_receiver(port)
    installation.controller()
    chaos = Chaos(dice)
    chaos.restarts = [lambda manager=manager: restart(manager) for manager in managers]
    chaos.restarts += [lambda port=port: start_receiver(port) for port in ports]
    try:
        play(world, managers, chaos, dice)
    finally:
        for manager in managers:
            manager.stop()


def play(world: World, managers: list[Alertmanager], chaos: Chaos, dice: random.Random) -> None:
    """Let alerts fire and end until there were enough incidents; then compare.

    The end of an alert that no Alertmanager knew any more is only marked when all have been up for five minutes.
    """
    open_incidents: dict[str, Incident] = {}
    expected: dict[str, int] = {}
    silent_until = [0.0, 0.0]  # a Prometheus that is restarted says nothing for a while
    deadline = time.monotonic() + LONGEST_SECONDS
    while (sum(expected.values()) < INCIDENTS or open_incidents) and time.monotonic() < deadline:
        now = datetime.now(UTC)
        recorded = newest(world)
        for group, incident in list(open_incidents.items()):
            resource = recorded.get(group)
            if resource is None or number_of(resource) < expected[group]:
                continue
            incident.heard = incident.heard or now
            incident.resolved = (incident.resolved or now) if incident.over(now) and is_over(resource) else None
            if incident.resolved is not None and now - incident.resolved > SURE:
                del open_incidents[group]
        firing = sum(not incident.over(now) for incident in open_incidents.values())
        for _ in range(min(SIDE_BY_SIDE - firing, INCIDENTS - sum(expected.values()))):
            group = dice.choice([g for g in GROUPS if g not in open_incidents])
            open_incidents[group] = Incident(group, now, timedelta(seconds=dice.uniform(20, 40)))
            expected[group] = expected.get(group, 0) + 1
        for source in range(2):
            if dice.random() < 0.02:
                silent_until[source] = time.monotonic() + 4
            if time.monotonic() >= silent_until[source]:
                tell(managers, [told for i in open_incidents.values() if (told := i.told_by(source, now))])
        if sum(expected.values()) < INCIDENTS:
            chaos.strike()
        time.sleep(0.5)
    counted = Counter(group_of(resource) for resource in world.remediations())
    wrong = {group: (counted[group], n) for group, n in expected.items() if counted[group] != n}
    print(f"{sum(expected.values())} incidents, {sum(counted.values())} records, {chaos.kills} kills")
    assert not wrong, f"records and incidents by alert: {wrong}; seed {SEED}"
    assert not open_incidents, f"not recorded, or never ended: {sorted(open_incidents)}; seed {SEED}"


def observe_everything(world: World) -> None:
    """Let one policy answer all these alerts, find no target, and so end each record at once."""
    world.merge(
        world.job.policy_path,
        {
            "spec": {
                "match": [{"label": "alertname", "value": "HighKafkaLag"}],
                "target": {"namespace": world.namespace, "consumerGroupLabel": "consumergroup"},
                "historyLimit": 1000,
            }
        },
    )


def newest(world: World) -> dict[str, Resource]:
    """Return the newest record of each alert."""
    found: dict[str, Resource] = {}
    for resource in world.remediations():
        group = group_of(resource)
        if group not in found or number_of(found[group]) < number_of(resource):
            found[group] = resource
    return found


def number_of(resource: Resource) -> int:
    """Return the how many-th of its alert a record is, by its name: high-kafka-lag-HASH-2."""
    last = resource["metadata"]["name"].rsplit("-", 1)[1]
    return int(last) if len(last) < 10 else 1


def is_over(resource: Resource) -> bool:
    """Whether a record has ended and its alert, too."""
    ended = resource.get("status", {}).get("phase") in ("Refused", "Cancelled")
    return ended and RESOLVED_ANNOTATION in (resource["metadata"].get("annotations") or {})


def group_of(resource: Resource) -> str:
    """Return the consumer group that a record is about."""
    return str(resource["spec"]["alert"]["labels"]["consumergroup"])


def tell(managers: list[Alertmanager], alerts: list[Resource]) -> None:
    """Send alerts to both; one that has just been killed misses them."""
    for manager in managers:
        try:
            if alerts:
                manager.put(*alerts)
        except httpx.HTTPError:
            continue


def restart(manager: Alertmanager) -> None:
    """Kill an Alertmanager and start it again, with nothing but what its peer tells it; not while that one does not
    know all yet, because what no Alertmanager knows any more nobody is told."""
    if all(peer.in_cluster() for peer in manager.peers):
        manager.stop()
        manager.start()
