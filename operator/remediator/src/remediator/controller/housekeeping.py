"""What the controller does beside remediating: it sweeps, checks that kopf's watch brings it everything, exports which
job reads with which consumer group, and measures itself."""

import asyncio
import logging
from datetime import datetime, timedelta

from remediator.adapters.kube import KubeError
from remediator.controller.queue import WorkQueue
from remediator.services.gather import Clock
from remediator.services.index import TargetIndex
from remediator.services.sweep import Sweeper
from remediator.telemetry import metrics
from remediator.telemetry.server import Health

log = logging.getLogger(__name__)

_LOOP_SECONDS = 0.05


def unattended(in_work: dict[str, datetime], queue: WorkQueue, now: datetime, grace: timedelta) -> list[str]:
    """Return the FlinkRemediations in work that the queue should have, and has not: the watch is silent."""
    return sorted(name for name, created in in_work.items() if name not in queue and now - created > grace)


async def keep_house(
    sweeper: Sweeper,
    targets: TargetIndex,
    queue: WorkQueue,
    health: Health,
    period: timedelta,
    clock: Clock,
) -> None:
    """Sweep and check for ever. A watch that stays silent makes the process unhealthy, so that it is restarted."""
    while True:
        metrics.CONSUMER_GROUPS.replace(
            (t.ref.namespace, group, t.ref.name) for t in targets for group in t.consumer_groups
        )
        await asyncio.sleep(period.total_seconds())
        try:
            swept = await sweeper.sweep()
        except KubeError as error:
            log.warning("not swept", extra={"error": str(error)})
            continue
        except Exception:
            log.exception("not swept")  # the next one finds the world a little different
            continue
        missing = unattended(swept.in_work, queue, clock(), grace=period)
        health.watch_works(not missing)
        if missing:
            log.error("the watch is silent: nobody works on these", extra={"remediations": missing})
        else:
            metrics.WATCH_TIMESTAMP.set_to_current_time()


async def measure_loop() -> None:
    """Measure for ever how late the event loop runs what is due."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _LOOP_SECONDS
        await asyncio.sleep(_LOOP_SECONDS)
        metrics.LOOP_LAG.observe(max(loop.time() - due, 0))
