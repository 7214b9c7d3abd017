"""The generator's loop: as many events as are due, and an honest account of those that were not sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from loadgen.dials import Dial
from loadgen.events import EventSource
from loadgen.pacing import Pacer

TICK_SECONDS = 0.01
DIAL_SECONDS = 1.0
# Below this share of the wanted rate the generator says that it is behind.
_BEHIND = 0.95


class Sink(Protocol):
    """What takes the events; confluent-kafka's Producer is one."""

    def produce(self, topic: str, *, value: bytes, partition: int, on_delivery: Callable[[Any, Any], None]) -> None: ...

    def poll(self, timeout: float) -> int: ...

    def flush(self, timeout: float) -> int: ...


@dataclass
class Counts:
    """What happened so far."""

    sent: int = 0
    delivered: int = 0
    failed: int = 0
    refused: int = 0
    """Times the full queue of the client took no event; the event was sent later or counted as missed."""
    errors: dict[str, int] = field(default_factory=dict)


class Generator:
    """Sends the events of a source to a topic at the dialled rate."""

    def __init__(
        self,
        sink: Sink,
        topic: str,
        partitions: list[int],
        source: EventSource,
        rate: Dial,
        shift: Dial,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.counts = Counts()
        self.source = source
        self._pending = ""
        self._sink = sink
        self._topic = topic
        self._partitions = partitions
        self._rate = rate
        self._shift = shift
        self._clock = clock
        self._wall_ms = wall_ms
        self._dialled = clock()
        self.pacer = Pacer(rate.read(), clock())
        source.shift = shift.read()

    def tick(self, limit: int | None = None) -> None:
        """Send what is due, but no more than ``limit`` in all."""
        now = self._clock()
        if now - self._dialled >= DIAL_SECONDS:
            self._dialled = now
            self.pacer.set_rate(self._rate.read(), now)
            self.source.shift = self._shift.read()
        due = self.pacer.due(now)
        if limit is not None:
            due = min(due, limit - self.counts.sent)
        for _ in range(due):
            if not self._send():
                break
        self._sink.poll(0)

    def _send(self) -> bool:
        # In turn, not by key: every subtask then gets the same load, and the demo's figures are about the job.
        partition = self._partitions[self.source.count % len(self._partitions)]
        text = self._pending or self.source.next(self._wall_ms())
        try:
            self._sink.produce(self._topic, value=text.encode(), partition=partition, on_delivery=self._delivered)
        except BufferError:
            self._pending = text
            self.counts.refused += 1
            return False
        self._pending = ""
        self.counts.sent += 1
        self.pacer.sent(1)
        return True

    def _delivered(self, error: Any, message: Any) -> None:
        del message
        if error is None:
            self.counts.delivered += 1
        else:
            self.counts.failed += 1
            name = str(error)
            self.counts.errors[name] = self.counts.errors.get(name, 0) + 1

    def finish(self, seconds: float) -> dict[str, Any]:
        """Wait for what is under way; return the account of the whole run."""
        unanswered = self._sink.flush(seconds)
        return {**self.account(), "unanswered": unanswered}

    def account(self) -> dict[str, Any]:
        """What happened so far, for people and programs."""
        counts = self.counts
        return {
            "run": self.source.run,
            "sent": counts.sent,
            "delivered": counts.delivered,
            "failed": counts.failed,
            "missed": int(self.pacer.missed),
            "refused_by_full_queue": counts.refused,
            "bad": dict(sorted(self.source.bad.items())),
            "late": self.source.late,
            "errors": counts.errors,
        }


class Watch:
    """Says every so often how the generator is doing, and plainly when it is behind."""

    def __init__(self, generator: Generator, seconds: float, now: float) -> None:
        self._generator = generator
        self._seconds = seconds
        self._since = now
        self._sent = 0
        self._missed = 0.0

    def line(self, now: float) -> str | None:
        """The report, when one is due."""
        passed = now - self._since
        if passed < self._seconds:
            return None
        generator = self._generator
        sent = generator.counts.sent - self._sent
        missed = generator.pacer.missed - self._missed
        wanted = generator.pacer.rate
        self._since, self._sent, self._missed = now, generator.counts.sent, generator.pacer.missed
        counts = generator.counts
        text = (
            f"{sent / passed:.1f} events/s of {wanted:g} wanted, {counts.sent} sent, {counts.delivered} delivered, "
            f"{counts.failed} failed"
        )
        # Accepted by the client but not by the broker: it will come later, in a burst.
        waiting = counts.sent - counts.delivered - counts.failed
        if waiting > max(100.0, wanted):
            text += f"; BEHIND: {waiting} of them wait for the broker"
        if missed >= 1:
            share = sent / (sent + missed)
            level = "BEHIND" if share < _BEHIND else "a little behind"
            text += f"; {level}: {missed:.0f} events were not sent in time and are given up"
        return text
