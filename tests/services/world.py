"""A namespace with the real services on an API server in memory. Time passes only when a test says so."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import httpx
from remediator.adapters.alertmanager import Alertmanager
from remediator.adapters.flink_metrics import FlinkMetrics
from remediator.adapters.flink_rest import FlinkRest
from remediator.adapters.kube import (
    FLINK_DEPLOYMENTS,
    LEASES,
    POLICIES,
    REMEDIATIONS,
    Conflict,
    Kind,
    KubeError,
    Resource,
)
from remediator.adapters.prometheus import Prometheus
from remediator.adapters.reflector import Reflector
from remediator.api.alertmanager import Webhook
from remediator.api.names import CONTROLLER_LEASE, ENDED_LABEL, STOP_ANNOTATION
from remediator.services.act import Actor
from remediator.services.diagnose import Diagnoser
from remediator.services.events import Events
from remediator.services.gather import Gatherer
from remediator.services.handback import HandBack
from remediator.services.incidents import Incidents
from remediator.services.index import PolicyIndex, TargetIndex
from remediator.services.ingest import Ingest, Receipt
from remediator.services.reconcile import Reconciler
from remediator.services.recorder import Recorder
from remediator.services.records import Records
from remediator.services.resources import has_ended, needs_work
from remediator.services.resync import Resync
from remediator.services.scale_back import ScaleBack
from remediator.services.stop import StopSwitch
from remediator.services.sweep import Sweeper, Swept
from remediator.services.watched import Watched
from worlds import NOW, flink_resource

from services import outside
from services.api_server import ApiServer, Request, at_once

NAMESPACE = "streaming"
JOB = "ml-recommender"
TOTAL = 1000
"""How many records a controller keeps."""


class World:
    """An API server, what is around it, and a job ``ml-recommender`` with a policy that scales it by 2 up to 4."""

    def __init__(self, alertmanagers: int = 1) -> None:
        self.now = NOW
        self.server = ApiServer(self.clock)
        self.flink = outside.Flink(self.server, self.clock)
        self.prometheus = outside.Prometheus()
        self.alertmanagers = outside.Alertmanagers(self.clock, alertmanagers)
        self.add_job(JOB)
        self.add_policy(JOB)

    def clock(self) -> datetime:
        """Return the time."""
        return self.now

    def add_job(self, name: str, **spec: Any) -> Resource:
        """Make a healthy FlinkDeployment whose consumer group has its name."""
        target = flink_resource(**spec)
        target["metadata"]["name"] = name
        target["metadata"]["annotations"] = {"streaming-monitoring.dev/consumer-groups": name}
        del target["metadata"]["uid"]
        return self.server.put(FLINK_DEPLOYMENTS, target)

    def add_policy(self, name: str, **spec: Any) -> Resource:
        """Make a policy that answers the alerts of a job of this name; ``spec`` changes fields of it."""
        document = {
            "match": [{"label": "alertname", "value": "HighKafkaLag"}, {"label": "consumergroup", "value": name}],
            "target": {"consumerGroupLabel": "consumergroup"},
            "actions": [{"type": "Scale", "scale": {"factor": 2, "max": 4}}],
            "verify": {"query": 'lag{group="{{ labels.consumergroup }}"} < 1000', "for": "0s"},
        }
        body = {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {**document, **spec}}
        return self.server.put(POLICIES, body)

    def ingest(self, receiver: str = "receiver-0") -> "Receiver":
        """Return a receiver; each has its own watches."""
        return Receiver(self, receiver)

    def resync(self, receiver: str = "receiver-0", names: str = "") -> "Comparison":
        """Return a receiver's comparison with all Alertmanagers; ``names`` is the pattern of our receivers."""
        http = httpx.AsyncClient(transport=httpx.MockTransport(self.alertmanagers.answer))
        return Comparison(self, Receiver(self, receiver), Alertmanager(http, self.alertmanagers.urls, names))

    def controller(self) -> "Controller":
        """Return a controller that has just been started."""
        return Controller(self)

    def records(self) -> list[Resource]:
        """Return the FlinkRemediations, the oldest first."""
        return self.server.stored(REMEDIATIONS)

    def record(self) -> Resource:
        """Return the only FlinkRemediation."""
        (only,) = self.records()
        return only

    def target(self, name: str = JOB) -> Resource:
        """Return a FlinkDeployment."""
        found = self.server.find(FLINK_DEPLOYMENTS, NAMESPACE, name)
        assert found is not None
        return found

    def status(self) -> Resource:
        """Return the status of the only FlinkRemediation."""
        return self.record().get("status") or {}

    def change(
        self, kind: Kind, name: str, change: Callable[[Resource], object], manager: str = "kubectl-edit"
    ) -> None:
        """Edit an object in place, as a field manager; ``change`` is called with it."""

        def changed(old: Resource) -> Resource:
            change(old)
            return old

        self.server.update(kind, NAMESPACE, name, changed, manager)

    def change_policy(self, **spec: Any) -> None:
        """Set fields of the policy's spec."""
        self.change(POLICIES, JOB, lambda policy: policy["spec"].update(spec))

    def annotate(self, annotation: str, value: str, manager: str = "kubectl-annotate", name: str = "") -> None:
        """Annotate a FlinkRemediation, the only one by default."""

        def write(record: Resource) -> None:
            record["metadata"].setdefault("annotations", {})[annotation] = value

        self.change(REMEDIATIONS, name or self.record()["metadata"]["name"], write, manager)

    def stop(self, requests: str | None) -> None:
        """Stop everything by an annotation of the Lease, which is there from then on; None takes it back."""

        def write(lease: Resource) -> None:
            lease["metadata"]["annotations"] = {} if requests is None else {STOP_ANNOTATION: requests}

        if self.server.find(LEASES, NAMESPACE, CONTROLLER_LEASE) is None:
            self.server.put(LEASES, {"metadata": {"name": CONTROLLER_LEASE, "namespace": NAMESPACE}, "spec": {}})

        self.change(LEASES, CONTROLLER_LEASE, write)

    def patches(self) -> list[Any]:
        """Return the operations of all patches of FlinkDeployments that were tried."""
        return [r.body for r in self.server.requests if r.kind == FLINK_DEPLOYMENTS and r.writes]


class Watches:
    """The watches of one process, which begin when it first does something."""

    def __init__(self, world: World, reflectors: Iterable[Reflector]) -> None:
        self._world = world
        self._reflectors = list(reflectors)
        self._tasks: list[asyncio.Task[None]] = []

    async def catch_up(self) -> None:
        """Let them bring what has happened; nothing of it while ``server.late``, but all there is at first."""
        if self._tasks and self._world.server.late:
            return
        self._tasks = self._tasks or [asyncio.create_task(reflector.run()) for reflector in self._reflectors]
        for reflector in self._reflectors:
            await reflector.synced()
        for _ in range(1000):
            await asyncio.sleep(0)
            if self._world.server.all_told:
                return
        raise AssertionError("a watch does not come to an end")


class Receiver:
    """What a receiver ingests with."""

    def __init__(self, world: World, name: str) -> None:
        kube = world.server.client(name)
        watched = Watched(kube, NAMESPACE, [NAMESPACE])
        self.watches = Watches(world, watched.reflectors)
        self.incidents = Incidents(kube, NAMESPACE, watched.incidents, watched.incidents_fresh)
        self.service = Ingest(kube, watched, NAMESPACE, [NAMESPACE])

    async def ingest(self, webhook: Webhook) -> Receipt:
        """Ingest a notification."""
        await self.watches.catch_up()
        return await self.service.ingest(webhook)


class Comparison:
    """What a receiver compares with."""

    def __init__(self, world: World, receiver: Receiver, alertmanager: Alertmanager) -> None:
        self._receiver = receiver
        self._service = Resync(alertmanager, receiver.service, receiver.incidents, world.clock)

    async def run(self) -> None:
        """Compare once."""
        await self._receiver.watches.catch_up()
        await self._service.run()


class InWork:
    """What stands for kopf's watch of the records in work: it brings all of them."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def put(self, resource: Resource) -> None:
        """Take a record."""
        self._records.take(resource)

    def remove(self, namespace: str, name: str) -> None:
        """Leave it to the watch of the metadata."""

    def retain(self, namespace: str, names: set[str]) -> None:
        """Leave it to the watch of the metadata."""


class Controller:
    """Steps every record when it is due, as the controller does; one that is thrown away has crashed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.renews = True
        """Whether it sees its Lease all the time, by renewing it."""
        kube = world.server.client("streaming-monitoring-remediator")
        http = httpx.AsyncClient(transport=httpx.MockTransport(world.flink.answer))
        prometheus = Prometheus("http://prometheus")
        # The longest prefix wins: what asks Prometheus meets the stand-in.
        prometheus._connection._session.mount("http://prometheus/api/", world.prometheus)
        self.records, policies, targets = Records(), PolicyIndex(), TargetIndex()
        template = "http://flink/{namespace}/{name}"
        flink = FlinkRest(http, template)
        # This time limit is on the real clock: a busy machine would miss it.
        diagnoser = Diagnoser(FlinkMetrics(http, template, pause=0), prometheus, world.clock, limit=60)
        self.switch = StopSwitch(kube, NAMESPACE, world.clock)
        gatherer = Gatherer(
            kube,
            flink,
            prometheus,
            self.records,
            policies,
            targets,
            self.switch,
            world.clock,
            diagnoser,
        )
        self._events = Events(kube, "controller-0")
        recorder = Recorder(kube, self.records, self._events)
        actor = Actor(kube, gatherer, recorder, world.clock)
        self._reconciler = Reconciler(kube, self.records, gatherer, actor, recorder, world.clock)
        scale_back = ScaleBack(gatherer, actor, recorder, world.clock)
        hand_back = HandBack(gatherer, actor, recorder, world.clock)
        self._sweeper = Sweeper(
            kube, self.records, policies, targets, scale_back, hand_back, NAMESPACE, TOTAL, world.clock
        )
        self._watches = Watches(
            world,
            (
                Reflector(kube, POLICIES, NAMESPACE, policies),
                Reflector(kube, FLINK_DEPLOYMENTS, NAMESPACE, targets),
                Reflector(kube, REMEDIATIONS, NAMESPACE, InWork(self.records)),
                Reflector(kube, REMEDIATIONS, NAMESPACE, self.records, metadata_only=True),
            ),
        )
        self._due: dict[str, datetime] = {}

    async def step(self, name: str) -> timedelta | None:
        """Do what is next for a record."""
        await self._catch_up()
        try:
            return await self._reconciler.step(NAMESPACE, name)
        finally:
            await self._events.flush()

    async def sweep(self) -> Swept:
        """Sweep once."""
        await self._catch_up()
        try:
            return await self._sweeper.sweep()
        finally:
            await self._events.flush()

    async def _catch_up(self) -> None:
        await self._watches.catch_up()
        if self.renews:
            self.switch.take(self._world.server.find(LEASES, NAMESPACE, CONTROLLER_LEASE))

    async def run(self, duration: timedelta) -> None:
        """Let time pass, from one due step to the next, and do what is due."""
        end = self._world.now + duration
        while True:
            self._world.flink.reconcile()
            await self.work()
            if self._world.now >= end:
                return
            due = [moment for name, moment in self._due.items() if to_be_worked_on(self._world, name)]
            self._world.now = min(end, *due) if due else end

    async def work(self) -> None:
        """Do what is due now."""
        for record in self._world.records():
            name = record["metadata"]["name"]
            while to_be_worked_on(self._world, name) and self._due.setdefault(name, self._world.now) <= self._world.now:
                try:
                    delay = await self.step(name)
                except Conflict:
                    delay = timedelta(seconds=0.2)
                except KubeError:
                    delay = timedelta(seconds=5)
                # What has ended may be asked for again.
                self._due[name] = self._world.now + (timedelta(seconds=5) if delay is None else delay)


def to_be_worked_on(world: World, name: str) -> bool:
    """Tell whether the controller has something to do about a record, as it is now."""
    record = world.server.find(REMEDIATIONS, NAMESPACE, name)
    if record is None or record["metadata"].get("deletionTimestamp"):
        return False
    metadata, status = record["metadata"], record.get("status") or {}
    unmarked = has_ended(metadata, status) and ENDED_LABEL not in (metadata.get("labels") or {})
    return unmarked or needs_work(metadata, status)


def phase(record: Resource) -> str:
    """Return the phase of a record."""
    return str((record.get("status") or {}).get("phase", "Pending"))


def reason(record: Resource) -> str:
    """Return the reason that a record gives."""
    return str((record.get("status") or {}).get("reason", ""))


def alert(name: str = JOB, **changes: Any) -> Resource:
    """Return a firing alert about a job, as a webhook brings it."""
    labels = {"alertname": "HighKafkaLag", "namespace": NAMESPACE, "consumergroup": name, "severity": "critical"}
    base = {"status": "firing", "labels": labels, "startsAt": at(-360), "fingerprint": f"f-{name}"}
    return {**base, **changes}


def resolved(name: str = JOB, ends: float = 0, **changes: Any) -> Resource:
    """Return the same, ended ``ends`` seconds after the test's begin."""
    return alert(name, status="resolved", endsAt=at(ends), **changes)


def at(seconds: float) -> str:
    """Return the moment so many seconds after the test's begin."""
    return (NOW + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


async def notify(receiver: Receiver, *alerts: Resource) -> Receipt:
    """Send a notification to a receiver."""
    return await receiver.ingest(Webhook(version="4", group_key="{}", alerts=list(alerts)))


def as_the_plan_is_written(world: World, act: Callable[[World], None]) -> Callable[[Request], Awaitable[None]]:
    """Return a hook that lets something happen once, while a plan is under way to the API server."""

    async def hook(request: Request) -> None:
        if request.verb == "replace_status" and phase(request.body) == "Executing":
            world.server.before = at_once
            act(world)

    return hook


async def at_the_same_time(*coroutines: Any) -> list[Any]:
    """Run several requests side by side."""
    return list(await asyncio.gather(*coroutines))


def annotations(record: Resource) -> Iterable[str]:
    """Return the names of a record's annotations, without their domain."""
    return {name.partition("/")[2] for name in record["metadata"].get("annotations") or {}}
