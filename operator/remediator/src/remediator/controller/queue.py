"""The work queue: names of FlinkRemediations that are due, each worked on by one worker at a time.

As client-go's (util/workqueue) it forgets what is added twice, comes back to what is added while it is worked on, and
takes what failed again later each time.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from remediator.adapters.kube import Conflict, KubeError
from remediator.telemetry import metrics

log = logging.getLogger(__name__)

WORKERS = 16
AFTER_CONFLICT = timedelta(milliseconds=10)
"""Somebody else wrote first; what is read next is what they wrote."""
AFTER_TROUBLE = timedelta(seconds=1)
AFTER_BUG = timedelta(seconds=30)
LONGEST = timedelta(seconds=30)

Step = Callable[[str], Awaitable[timedelta | None]]
"""Works on one; returns when it is due again, or None when nothing is left to do."""


class WorkQueue:
    """Steps what is due, until it is cancelled."""

    def __init__(self, step: Step, workers: int = WORKERS) -> None:
        self._step = step
        self._workers = workers
        self._due: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: dict[str, float] = {}
        """Since when those that are due wait for a worker, on the monotonic clock."""
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._in_work: set[str] = set()
        self._again: set[str] = set()
        """Those that were added while they were worked on."""
        self._failures: dict[str, int] = {}
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    def __contains__(self, name: str) -> bool:
        return name in self._waiting or name in self._later or name in self._in_work

    def __len__(self) -> int:
        return len(self._waiting)

    def oldest(self) -> float:
        """Return for how many seconds the first of those that are due has been waiting."""
        return time.monotonic() - min(self._waiting.values()) if self._waiting else 0.0

    def add(self, name: str, after: timedelta = timedelta(0)) -> None:
        """Let one be due after a time; what is due sooner stays so."""
        if name in self._in_work:
            if not after:
                self._again.add(name)
        elif name not in self._waiting:
            loop = asyncio.get_running_loop()
            when = loop.time() + after.total_seconds()
            later = self._later.get(name)
            if later is not None:
                if later.when() <= when:
                    return
                later.cancel()
            if after:
                self._later[name] = loop.call_at(when, self._now_due, name)
            else:
                self._now_due(name)

    async def drain(self, patience: timedelta) -> None:
        """Begin nothing more, and wait until what is worked on has come to the end of its step."""
        self._draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience.total_seconds()):
                await self._idle.wait()

    async def run(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    def _now_due(self, name: str) -> None:
        self._later.pop(name, None)
        self._waiting[name] = time.monotonic()
        self._due.put_nowait(name)

    async def _work(self) -> None:
        while True:
            name = await self._due.get()
            if self._draining:
                return
            metrics.QUEUE_WAIT.observe(time.monotonic() - self._waiting.pop(name))
            self._in_work.add(name)
            self._idle.clear()
            began = time.monotonic()
            try:
                delay = await self._try(name)
            finally:
                self._in_work.discard(name)
                if not self._in_work:
                    self._idle.set()
                metrics.STEP_DURATION.observe(time.monotonic() - began)
            if name in self._again:
                self._again.discard(name)
                delay = timedelta(0) if name not in self._failures else delay
            if delay is not None:
                self.add(name, delay)

    async def _try(self, name: str) -> timedelta | None:
        try:
            delay = await self._step(name)
        except Conflict:
            return self._backoff(name, AFTER_CONFLICT)
        except KubeError as error:
            log.warning("step not finished", extra={"remediation": name, "error": str(error)})
            return self._backoff(name, AFTER_TROUBLE)
        except Exception:
            # One that cannot be worked on holds up nobody, and is tried again: a bug may have met a rare state.
            log.exception("step failed", extra={"remediation": name})
            return AFTER_BUG
        self._failures.pop(name, None)
        return delay

    def _backoff(self, name: str, first: timedelta) -> timedelta:
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        return min(first * (1 << min(failures - 1, 20)), LONGEST)
