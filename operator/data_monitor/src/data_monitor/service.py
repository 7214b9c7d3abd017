"""The monitor as a process: one loop that reads, judges, saves and publishes."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, Protocol

from data_monitor.adapters.exporter import Exporter, Health, Published
from data_monitor.adapters.kafka import Source, Unavailable
from data_monitor.config import Config
from data_monitor.core.monitor import Evaluation, Monitor, Times
from data_monitor.core.panes import Key, PartitionState
from data_monitor.core.reference import Reference
from data_monitor.core.truth import Held, Truth
from data_monitor.errors import InputError
from data_monitor.ingest import Ingest
from data_monitor.partitions import Partitions
from data_monitor.readers import Patience

log = logging.getLogger(__name__)

_BATCH: Final = 2000
_POLL_SECONDS: Final = 0.1
_PUBLISH_SECONDS: Final = 1.0
_NOTICE_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 30.0


class Store(Protocol):
    """Where the state is kept."""

    def save(
        self, states: Mapping[Key, PartitionState], evaluation: Evaluation | None, truth: Held | None = None
    ) -> None:
        """Keep the state. Raises OSError or Unavailable; then the last one is still there."""


class Reader(Protocol):
    """Decides which partitions are read."""

    @property
    def reading(self) -> Iterable[Key]:
        """The partitions that are read."""

    def look(self, now: float) -> None:
        """Take up what has appeared at the broker. Raises Unavailable."""

    def notice(self, now: float) -> None:
        """See whether topics have gone or were made anew, without waiting for the broker. Raises Unavailable."""

    def lost(self, keys: Iterable[Key]) -> None:
        """The broker has not got the offsets that were to be read: see why, with the next notice."""

    def assign(self) -> None:
        """Read on from where the monitor's states are."""

    def others(self) -> Mapping[Key, PartitionState]:
        """The states of partitions that other replicas read."""


def times_of(config: Config) -> Times:
    """The spans that the core works with."""
    window, lateness = config.window, config.lateness
    spans = {
        "window": window.length,
        "pane": window.pane,
        "allowed": lateness.allowed,
        "idle": lateness.idle_after,
        "hold_back": lateness.hold_back,
        "jump": max(lateness.jump, window.pane),
        "max_ahead": lateness.max_ahead,
    }
    return Times(**{name: round(seconds * 1000) for name, seconds in spans.items()})


def truth_of(config: Config, reference: Reference) -> Truth | None:
    """What predictions are to be joined with. Raises InputError where there are none."""
    settings = config.ground_truth
    if not settings:
        return None
    if not reference.prediction:
        raise InputError(f"groundTruth: {config.reference} has no prediction that could be right or wrong")
    wait_ms, window_ms = round(settings.wait * 1000), round(settings.window * 1000)
    return Truth(reference.features[-1], wait_ms, window_ms, settings.capacity)


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
        self._patience = Patience(health)
        self._saved_at, self._save_failures = 0.0, 0
        self._saved: dict[Key, tuple[int, int, str]] = {}
        now = clock()
        self._due = {
            self._evaluate: [config.window.evaluate_every, now],
            self.save: [config.state.every, now + config.state.every],
            self._notice: [_NOTICE_SECONDS, now],
            self._look_around: [_LOOK_SECONDS, now + _LOOK_SECONDS],
            self._publish: [_PUBLISH_SECONDS, now],
        }

    def stop(self) -> None:
        """End the loop soon; may be called by a signal handler."""
        self._patience.stopped = True

    def run(self) -> None:
        """Read until stopped; then judge, save and publish a last time."""
        # Many short-lived tuples and no cycles: the collector would look at them in vain.
        gc.freeze()
        gc.set_threshold(100_000, 20, 100)
        self.save(self._clock())
        self._health.ready = True
        while not self._patience.stopped:
            polled = self._source.poll(_BATCH, _POLL_SECONDS)
            self._health.beat()
            now = self._clock()
            if polled.messages:
                prepare = partial(self._ingest.prepare, polled.messages)
                if not self._patience.until_there(prepare):
                    break
                self._ingest.add(polled.messages, now)
            self._ingest.reached(polled.ends)
            if polled.lost:
                self._reader.lost(polled.lost)
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
        marks = {key: state.mark for key, state in states.items()}
        if marks == self._saved:
            return
        truth = self._monitor.truth
        try:
            self._store.save(states, self._monitor.evaluation, truth.held if truth else None)
        except (OSError, Unavailable) as error:
            self._save_failures += 1
            log.error("the state was not saved: %s", error)
            return
        self._saved_at = now
        self._saved = marks
        self._source.commit(self._positions())

    def _positions(self) -> dict[Key, int]:
        return {key: self._monitor.states[key].next_offset for key in self._reader.reading}

    def _evaluate(self, now: float) -> None:
        evaluation = self._monitor.evaluate(now, self._reader.others())
        if evaluation:
            self._evaluated(evaluation)
            self._ingest.close(evaluation.window_end_ms, self._reader.reading)

    def _notice(self, now: float) -> None:
        try:
            self._reader.notice(now)
        except Unavailable as error:
            log.warning("%s", error)

    def _look_around(self, now: float) -> None:
        try:
            self._reader.look(now)
            states = self._monitor.states
            skipped = [self._partitions.skip_ahead(key, states[key], now) for key in self._reader.reading]
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
            self._source.lag(self._positions()),
            self._saved_at,
            self._save_failures,
            monitor.truth.measured() if monitor.truth else None,
        )
