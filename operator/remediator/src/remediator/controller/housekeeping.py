"""What the controller does beside remediating: it sweeps, checks that its own watch brings it everything, and exports
which job reads with which consumer group."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from remediator.adapters.kube import KubeError
from remediator.services.consumer_groups import ConsumerGroupListing
from remediator.services.gather import Clock
from remediator.services.sweep import Sweeper
from remediator.telemetry import metrics
from remediator.telemetry.server import Health

log = logging.getLogger(__name__)


class Attendance:
    """The FlinkRemediations that a daemon works on: one older than ``grace`` has one, or the watch is silent."""

    def __init__(self, grace: timedelta) -> None:
        self._grace = grace
        self._names: set[str] = set()

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Be there for one as long as the block lasts."""
        self._names.add(name)
        try:
            yield
        finally:
            self._names.discard(name)

    def missing(self, in_flight: dict[str, datetime], now: datetime) -> list[str]:
        """Return who of those in flight should have somebody, and has nobody."""
        return sorted(
            name for name, created in in_flight.items() if name not in self._names and now - created > self._grace
        )


async def keep_house(sweeper: Sweeper, attendance: Attendance, health: Health, period: timedelta, clock: Clock) -> None:
    """Sweep and check for ever. A watch that stays silent makes the process unhealthy, so that it is restarted."""
    while True:
        await asyncio.sleep(period.total_seconds())
        try:
            swept = await sweeper.sweep()
        except KubeError as error:
            log.warning("not swept", extra={"error": str(error)})
            continue
        except Exception:
            log.exception("not swept")  # the next one finds the world a little different
            continue
        missing = attendance.missing(swept.in_flight, clock())
        health.watch_works(not missing)
        if missing:
            log.error("the watch is silent: nobody works on these", extra={"remediations": missing})
        else:
            metrics.WATCH_TIMESTAMP.set_to_current_time()


async def keep_listing(listing: ConsumerGroupListing, period: timedelta) -> None:
    """Keep the exported consumer groups current, for ever."""
    while True:
        try:
            await listing.refresh()
        except KubeError as error:
            log.warning("consumer groups not listed", extra={"error": str(error)})
        except Exception:
            log.exception("consumer groups not listed")
        await asyncio.sleep(period.total_seconds())
