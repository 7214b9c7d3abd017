"""Puts the controller's services together, and runs what they need beside kopf."""

import asyncio
import gc
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from remediator.adapters.flink_metrics import FlinkMetrics
from remediator.adapters.flink_rest import FlinkRest
from remediator.adapters.kube import FLINK_DEPLOYMENTS, POLICIES, REMEDIATIONS, Kube, KubeError
from remediator.adapters.prometheus import Prometheus
from remediator.adapters.reflector import Reflector
from remediator.config import ControllerConfig
from remediator.controller.housekeeping import keep_house, measure_loop
from remediator.controller.queue import WorkQueue
from remediator.services.act import Actor
from remediator.services.diagnose import Diagnoser
from remediator.services.events import Events
from remediator.services.gather import Gatherer
from remediator.services.handback import HandBack
from remediator.services.index import PolicyIndex, TargetIndex
from remediator.services.reconcile import Reconciler
from remediator.services.recorder import Recorder
from remediator.services.records import Records
from remediator.services.scale_back import ScaleBack
from remediator.services.stop import StopSwitch
from remediator.services.sweep import Sweeper
from remediator.telemetry import metrics
from remediator.telemetry.server import Health

log = logging.getLogger(__name__)

_AFTER_TROUBLE_SECONDS = 5
_STEP_PATIENCE = timedelta(seconds=10)


@dataclass(frozen=True)
class Controller:
    """What kopf's handlers speak to."""

    records: Records
    queue: WorkQueue


@asynccontextmanager
async def controlling(
    config: ControllerConfig, kube: Kube, switch: StopSwitch, health: Health
) -> AsyncIterator[Controller]:
    """Run the services as long as the block lasts; it begins when all is known that decisions rest on."""

    def clock() -> datetime:
        return datetime.now(UTC)

    records, policies, targets = Records(), PolicyIndex(), TargetIndex()
    reflectors = [
        Reflector(kube, POLICIES, config.namespace, policies),
        *(Reflector(kube, FLINK_DEPLOYMENTS, name, targets) for name in config.target_namespaces),
    ]
    # Only after the records: it tells what changes about them.
    metadata = Reflector(kube, REMEDIATIONS, config.namespace, records, metadata_only=True)
    # Each job has a JobManager of its own: connections kept for the next look cost the pool more than new ones.
    async with httpx.AsyncClient(timeout=5, limits=httpx.Limits(max_keepalive_connections=0)) as http:
        flink, prometheus = FlinkRest(http, config.flink_rest_url_template), Prometheus(config.prometheus_url)
        events = Events(kube, socket.gethostname())
        recorder = Recorder(kube, records, events)
        diagnoser = Diagnoser(FlinkMetrics(http, config.flink_rest_url_template), prometheus, clock)
        gatherer = Gatherer(kube, flink, prometheus, records, policies, targets, switch, clock, diagnoser)
        actor = Actor(kube, gatherer, recorder, clock)
        reconciler = Reconciler(kube, records, gatherer, actor, recorder, clock)

        async def step(name: str) -> timedelta | None:
            return await reconciler.step(config.namespace, name)

        queue = WorkQueue(step)
        scale_back = ScaleBack(gatherer, actor, recorder, clock)
        hand_back = HandBack(gatherer, actor, recorder, clock)
        sweeper = Sweeper(
            kube, records, policies, targets, scale_back, hand_back, config.namespace, config.history_limit, clock
        )
        metrics.IN_FLIGHT.set_function(records.in_work)
        metrics.QUEUE_DEPTH.set_function(queue.__len__)
        metrics.QUEUE_AGE.set_function(queue.oldest)
        tasks = [asyncio.create_task(reflector.run()) for reflector in reflectors]
        try:
            await reflectors[0].synced()
            await _load(records, kube, config.namespace)
            # Modules and records stay: a full collection that looks through them stops the event loop for 0.1 s.
            gc.freeze()
            for record in records:
                if record.in_work:
                    queue.add(record.sibling.name)
            tasks += [
                asyncio.create_task(metadata.run()),
                asyncio.create_task(queue.run()),
                asyncio.create_task(events.run()),
                asyncio.create_task(_look_at_ended(records, queue)),
                asyncio.create_task(keep_house(sweeper, targets, queue, health, config.sweep_period, clock)),
                asyncio.create_task(measure_loop()),
            ]
            yield Controller(records, queue)
        finally:
            await queue.drain(_STEP_PATIENCE)
            with suppress(TimeoutError):
                await asyncio.wait_for(events.flush(), timeout=5)
            for task in tasks:
                task.cancel()


async def _load(records: Records, kube: Kube, namespace: str) -> None:
    while True:
        try:
            await records.load(kube, namespace)
            return
        except KubeError as error:
            log.warning("records not read", extra={"error": str(error)})
            await asyncio.sleep(_AFTER_TROUBLE_SECONDS)


async def _look_at_ended(records: Records, queue: WorkQueue) -> None:
    while True:
        queue.add(await records.next_to_be_looked_at())
