"""The monitor as a process: one loop that reads, judges, saves and publishes."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from data_monitor.adapters.exporter import Exporter, Health, Published
from data_monitor.adapters.kafka import Source, Unavailable
from data_monitor.config import Config
from data_monitor.core.monitor import Evaluation, Monitor, Times
from data_monitor.core.panes import Key, PartitionState
from data_monitor.ingest import Ingest

log = logging.getLogger(__name__)

_BATCH: Final = 2000
_POLL_SECONDS: Final = 0.1
_PUBLISH_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 30.0


class Store(Protocol):
    """Where the state is kept."""

    def save(self, states: Mapping[Key, PartitionState], evaluation: Evaluation | None) -> None:
        """Keep the state. Raises OSError or Unavailable; then the last one is still there."""


class Reader(Protocol):
    """Decides which partitions are read."""

    def look(self, now: float) -> None:
        """See what has changed at the broker. Raises Unavailable."""

    def assign(self) -> None:
        """Read on from where the monitor's states are."""

    def others(self) -> Mapping[Key, PartitionState]:
        """The states of partitions that other replicas read."""


def times_of(config: Config) -> Times:
    """The spans that the core works with."""
    window, lateness = config.window, config.lateness
    spans = (window.length, window.pane, lateness.allowed, lateness.idle_after, lateness.hold_back, lateness.max_ahead)
    return Times(*(round(span * 1000) for span in spans))


class Partitions:
    """From where on partitions are read."""

    def __init__(self, config: Config, monitor: Monitor, source: Source) -> None:
        self._topic = config.kafka.topic
        self._from_start = config.kafka.start_at == "earliest"
        self._skip = config.window.skip_ahead
        self._reach_ms = monitor.times.window + monitor.times.hold_back
        self._monitor = monitor
        self._source = source

    def beginning(self, key: Key, *, appeared: bool) -> PartitionState:
        """The state of a partition nobody has read yet. Raises Unavailable.

        ``appeared``: it was not there when the monitor began, so that all of it is new.
        """
        low, high = self._source.bounds(key)
        return PartitionState(low if appeared or self._from_start else high)

    def take_up(self, key: Key, saved: PartitionState | None, *, appeared: bool, now: float) -> None:
        """Adopt a partition with its saved state, mended where the topic has changed. Raises Unavailable."""
        state = saved or self.beginning(key, appeared=appeared)
        low, high = self._source.bounds(key)
        # Before it is mended: what is skipped from here on is this process's account.
        if self._monitor.states.get(key) is not state:
            self._monitor.adopt(key, state, now)
        if state.next_offset > high:
            # The topic was made anew: what is in it has not been seen.
            log.warning("%s/%d: ends at %d, the state at %d; reading it anew", *key, high, state.next_offset)
            state.next_offset, state.epoch = low, state.epoch + 1
        if state.next_offset < low:
            log.warning("%s/%d: %d records were deleted before they were read", *key, low - state.next_offset)
            self._skip_to(state, low)
        self.skip_ahead(key, state, now)

    def skip_ahead(self, key: Key, state: PartitionState, now: float) -> bool:
        """Whether records were left out that no window of now would hold. Raises Unavailable."""
        since = round(now * 1000) - self._reach_ms
        if not self._skip or key[0] != self._topic or not 0 <= state.record_ms < since:
            return False
        target = self._source.offset_since(key, since)
        if target <= state.next_offset:
            return False
        log.warning("%s/%d: skipped %d records older than the window", *key, target - state.next_offset)
        self._skip_to(state, target)
        return True

    @staticmethod
    def _skip_to(state: PartitionState, offset: int) -> None:
        state.counters["skipped"] += offset - state.next_offset
        state.next_offset = offset


class Service:
    """Everything put together; ``run`` returns after ``stop``."""

    def __init__(
        self,
        config: Config,
        monitor: Monitor,
        ingest: Ingest,
        source: Source,
        partitions: Partitions,
        reader: Reader,
        store: Store,
        exporter: Exporter,
        health: Health,
        *,
        evaluated: Callable[[Evaluation], None] = lambda evaluation: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._monitor = monitor
        self._ingest = ingest
        self._source = source
        self._partitions = partitions
        self._store = store
        self._exporter = exporter
        self._health = health
        self._reader = reader
        self._evaluated = evaluated
        self._clock = clock
        self._stopped = False
        self._saved_at, self._save_failures = 0.0, 0
        self._saved: dict[Key, int] = {}
        now = clock()
        self._due = {
            self._evaluate: [config.window.evaluate_every, now],
            self.save: [config.state.every, now + config.state.every],
            self._look_around: [_LOOK_SECONDS, now + _LOOK_SECONDS],
            self._publish: [_PUBLISH_SECONDS, now],
        }

    def stop(self) -> None:
        """End the loop soon; may be called by a signal handler."""
        self._stopped = True

    def run(self) -> None:
        """Read until stopped; then judge, save and publish a last time."""
        # Many short-lived tuples and no cycles: the collector would look at them in vain.
        gc.freeze()
        gc.set_threshold(100_000, 20, 100)
        self.save(self._clock())
        self._health.ready = True
        while not self._stopped:
            messages = self._source.poll(_BATCH, _POLL_SECONDS)
            self._health.beat()
            now = self._clock()
            if messages:
                self._ingest.add(messages, now)
            for task, due in self._due.items():
                if now >= due[1]:
                    due[1] = now + due[0]
                    task(now)
        now = self._clock()
        self._evaluate(now)
        self.save(now)
        self._publish(now)

    def save(self, now: float) -> None:
        """Save the state if it has changed; a failure is told and tried again."""
        states = self._monitor.states
        offsets = {key: state.next_offset for key, state in states.items()}
        if offsets == self._saved:
            return
        try:
            self._store.save(states, self._monitor.evaluation)
        except (OSError, Unavailable) as error:
            self._save_failures += 1
            log.error("the state was not saved: %s", error)
            return
        self._saved_at = now
        self._saved = offsets
        self._source.commit(offsets)

    def _evaluate(self, now: float) -> None:
        evaluation = self._monitor.evaluate(now, self._reader.others())
        if evaluation:
            self._evaluated(evaluation)

    def _look_around(self, now: float) -> None:
        try:
            self._reader.look(now)
            skipped = [self._partitions.skip_ahead(key, state, now) for key, state in self._monitor.states.items()]
            if any(skipped):
                self._reader.assign()
        except Unavailable as error:
            log.warning("%s", error)

    def _publish(self, now: float) -> None:
        monitor = self._monitor
        self._exporter.published = Published(
            monitor.evaluation,
            monitor.counted(),
            monitor.latencies.copy(),
            monitor.latency_sum_ms,
            monitor.watermark_ms(now),
            self._source.lag({key: state.next_offset for key, state in monitor.states.items()}),
            self._saved_at,
            self._save_failures,
        )
