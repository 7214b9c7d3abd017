"""What the controller does beside remediating: it sweeps, and checks that its own watch brings it everything."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from remediator.adapters.kube import KubeError
from remediator.services.gather import Clock
from remediator.services.sweep import Sweeper
from remediator.telemetry import metrics
from remediator.telemetry.server import Health

log = logging.getLogger(__name__)

_PERIOD_SECONDS = 30
GRACE = timedelta(seconds=30)
"""A FlinkRemediation of this age has a daemon, or the watch has gone silent."""


class Attendance:
    """The FlinkRemediations that a daemon works on."""

    def __init__(self) -> None:
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
        return sorted(name for name, created in in_flight.items() if name not in self._names and now - created > GRACE)


async def keep_house(sweeper: Sweeper, attendance: Attendance, health: Health, clock: Clock) -> None:
    """Sweep and check for ever. A watch that stays silent makes the process unhealthy, so that it is restarted."""
    while True:
        await asyncio.sleep(_PERIOD_SECONDS)
        try:
            swept = await sweeper.sweep()
        except KubeError as error:
            log.warning("not swept", extra={"error": str(error)})
            continue
        missing = attendance.missing(swept.in_flight, clock())
        health.watch_works(not missing)
        if missing:
            log.error("the watch is silent: nobody works on these", extra={"remediations": missing})
        else:
            metrics.WATCH_TIMESTAMP.set_to_current_time()
