"""Who reads which partitions: one monitor all of them, or several in a group each its share."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from data_monitor.adapters.exporter import Health
from data_monitor.adapters.kafka import Source, Unavailable
from data_monitor.adapters.state_topic import StateTopic
from data_monitor.core.monitor import Evaluation, Monitor
from data_monitor.core.panes import Key, PartitionState
from data_monitor.service import Partitions

log = logging.getLogger(__name__)

T = TypeVar("T")
_RETRY_SECONDS = 2.0


class Patience:
    """Tries again until the broker answers or the process is to stop."""

    def __init__(self, health: Health) -> None:
        self.stopped = False
        self._health = health

    def until_there(self, attempt: Callable[[], T]) -> T | None:
        """What the attempt returns; None once stopped."""
        said = ""
        while not self.stopped:
            self._health.beat()
            try:
                return attempt()
            except Unavailable as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("waiting: %s", said)
            time.sleep(_RETRY_SECONDS)
        return None


class Alone:
    """Reads all partitions, without the group deciding anything: they cannot be taken away."""

    def __init__(
        self, topics: list[str], monitor: Monitor, source: Source, partitions: Partitions, clock: Callable[[], float]
    ) -> None:
        self._topics = topics
        self._monitor = monitor
        self._source = source
        self._partitions = partitions
        self._clock = clock
        self._missing: set[str] = set()
        self._reading: list[Key] = []

    def begin(self, saved: Mapping[Key, PartitionState], patience: Patience) -> None:
        """Wait for the first topic, and read on from the saved states."""
        now = self._clock()
        for key, state in saved.items():
            if key[0] in self._topics:
                # Also those whose topic is not there for now: the next snapshot must hold them.
                self._monitor.adopt(key, state, now)
        keys = patience.until_there(lambda: self._source.partitions(self._topics[0])) or []
        for key in [*keys, *self._optional()]:
            # A topic without a saved state is read from the configured place on, a new partition from its beginning.
            appeared = any(topic == key[0] for topic, _ in saved)
            patience.until_there(partial(self._partitions.take_up, key, saved.get(key), appeared=appeared, now=now))
            self._reading.append(key)
        if not patience.stopped:
            self.assign()

    def look(self, now: float) -> None:
        """Take up partitions and topics that have appeared. Raises Unavailable."""
        found = [*self._source.partitions(self._topics[0]), *self._optional()]
        new = [key for key in found if key not in self._reading]
        for key in new:
            log.info("%s/%d has appeared", *key)
            self._partitions.take_up(key, self._monitor.states.get(key), appeared=True, now=now)
            self._reading.append(key)
        if new:
            self.assign()

    def assign(self) -> None:
        """Read on from where the monitor's states are."""
        self._source.assign({key: self._monitor.states[key].next_offset for key in self._reading})

    def others(self) -> Mapping[Key, PartitionState]:
        """There are none."""
        return {}

    def _optional(self) -> list[Key]:
        """Partitions of the dead letter topic, which may not be there yet."""
        found: list[Key] = []
        for topic in self._topics[1:]:
            try:
                found += self._source.partitions(topic)
            except Unavailable as error:
                # Said once; it is looked for again every so often.
                if topic not in self._missing:
                    log.warning("%s; going on without it", error)
                self._missing.add(topic)
        return found


class Together:
    """Shares the partitions with the group; their states come from and go to the state topic."""

    def __init__(
        self,
        topics: list[str],
        monitor: Monitor,
        source: Source,
        partitions: Partitions,
        store: StateTopic,
        patience: Patience,
        clock: Callable[[], float],
    ) -> None:
        self._topics = topics
        self._monitor = monitor
        self._source = source
        self._partitions = partitions
        self._store = store
        self._patience = patience
        self._clock = clock

    def begin(self) -> None:
        """Read the states, then join the group."""
        self._patience.until_there(self._store.open)
        self._patience.until_there(self._first_states)
        self._source.subscribe(self._topics, self._taken, self._given)

    def look(self, now: float) -> None:
        """Nothing to do: the group tells of new partitions."""

    def assign(self) -> None:
        """Read on from where the monitor's states are."""
        self._source.assign({key: state.next_offset for key, state in self._monitor.states.items()})

    def others(self) -> Mapping[Key, PartitionState]:
        """The states of partitions that other replicas read."""
        return self._store.others(self._monitor.states)

    def _first_states(self) -> None:
        """Where nobody has begun, fix the beginning of all partitions, so that later ones are known to be new."""
        for topic in self._topics:
            if self._store.knows(topic):
                continue
            try:
                keys = self._source.partitions(topic)
            except Unavailable:
                if topic == self._topics[0]:
                    raise
                continue
            self._store.save({key: self._partitions.beginning(key, appeared=False) for key in keys})
        self._store.catch_up()

    def _taken(self, keys: list[Key]) -> Mapping[Key, int]:
        self._patience.until_there(self._store.catch_up)
        now = self._clock()
        for key in keys:
            # All that were there at the beginning have a state.
            take_up = partial(self._partitions.take_up, key, self._store.get(key), appeared=True, now=now)
            self._patience.until_there(take_up)
        log.info("reading %s", ", ".join(f"{topic}/{partition}" for topic, partition in sorted(keys)) or "nothing")
        return {key: self._monitor.states[key].next_offset for key in keys if key in self._monitor.states}

    def _given(self, keys: list[Key]) -> None:
        given = {key: state for key in keys if (state := self._monitor.give_up(key))}
        try:
            self._store.save(given)
        except Unavailable as error:
            # Whoever goes on with them reads again what came since the last save, and counts the same.
            log.warning("the states given away were not saved: %s", error)


class Nowhere:
    """Keeps no state."""

    def save(self, states: Mapping[Key, PartitionState], evaluation: Evaluation | None) -> None:
        """Forget it."""
