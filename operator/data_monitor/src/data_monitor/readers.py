"""Who reads which partitions: one monitor all of them, or several in a group each its share."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from data_monitor.adapters.exporter import Health
from data_monitor.adapters.kafka import Source, Unavailable
from data_monitor.adapters.state_topic import StateTopic
from data_monitor.adapters.topics import Topic
from data_monitor.core.monitor import Evaluation, Monitor
from data_monitor.core.panes import Key, PartitionState
from data_monitor.core.truth import Held
from data_monitor.partitions import Partitions

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


class _Watching:
    """What both have in common: topics go, come back as others, or lose what was to be read next."""

    def __init__(
        self, topics: list[str], monitor: Monitor, source: Source, partitions: Partitions, clock: Callable[[], float]
    ) -> None:
        self._topics = topics
        self._monitor = monitor
        self._source = source
        self._partitions = partitions
        self._clock = clock
        self._gone: set[Key] = set()
        self._lost: set[Key] = set()
        self._asked: dict[Key, int] = {}
        self._verified: dict[Key, int] = {}
        """Up to where what was read is of the topic whose id the state names."""

    @property
    def held(self) -> list[Key]:
        """The partitions that have been taken up."""
        return list(self._monitor.states)

    @property
    def reading(self) -> list[Key]:
        """Those of them that are there."""
        return [key for key in self.held if key not in self._gone]

    def assign(self) -> None:
        """Read on from where the monitor's states are."""
        self._source.assign({key: self._monitor.states[key].next_offset for key in self.reading})

    def look(self, now: float) -> None:
        """Take up what has appeared at the broker; a group is told of it. Raises Unavailable."""

    def lost(self, keys: Iterable[Key]) -> None:
        """The broker has not got the offsets that were to be read: see why, with the next notice."""
        self._lost |= set(keys)

    def notice(self, now: float) -> None:
        """See whether topics have gone or were made anew, without waiting for the broker. Raises Unavailable."""
        answers = self._source.watch(self._topics)
        before = self.reading
        anew = [key for topic, found in (answers or {}).items() for key in self._compare(topic, found)]
        if answers is not None:
            self._asked = {key: state.next_offset for key, state in self._monitor.states.items()}
        for key in sorted(self._lost.intersection(self.reading)):
            self._take_up(key, self._monitor.states[key], appeared=False, now=now)
            anew.append(key)
            self._lost.discard(key)
        if anew or self.reading != before:
            self.assign()
        there = {(topic, one) for topic, found in (answers or {}).items() if found for one in found.partitions}
        if there.difference(self.held):
            self.look(now)

    def _compare(self, topic: str, found: Topic | None) -> list[Key]:
        """The partitions whose records begin anew."""
        held = [key for key in self.held if key[0] == topic]
        gone = {key for key in held if not found or key[1] not in found.partitions}
        if gone - self._gone:
            log.warning("gone: %s; waiting for it", _names(gone))
        self._gone = self._gone.difference(held) | gone
        anew = []
        for key in held:
            state = self._monitor.states[key]
            if not found or key in gone:
                self._verified[key] = state.next_offset
            elif state.topic_id and found.id and found.id != state.topic_id:
                self._partitions.begin_anew(key, found.id, self._verified.get(key, state.next_offset))
                self._verified[key] = state.next_offset
                anew.append(key)
            else:
                state.topic_id = found.id or state.topic_id
                self._verified[key] = self._asked.get(key, self._verified.get(key, state.next_offset))
        return anew

    def _take_up(self, key: Key, saved: PartitionState | None, *, appeared: bool, now: float) -> None:
        self._partitions.take_up(key, saved, appeared=appeared, now=now)
        self._verified[key] = self._monitor.states[key].next_offset


def _names(keys: Iterable[Key]) -> str:
    return ", ".join(f"{topic}/{partition}" for topic, partition in sorted(keys))


class Alone(_Watching):
    """Reads all partitions, without the group deciding anything: they cannot be taken away."""

    def __init__(
        self, topics: list[str], monitor: Monitor, source: Source, partitions: Partitions, clock: Callable[[], float]
    ) -> None:
        super().__init__(topics, monitor, source, partitions, clock)
        self._missing: set[str] = set()
        self._held: list[Key] = []

    @property
    def held(self) -> list[Key]:
        """Without those whose topic has not been there yet: a saved state of them is only kept."""
        return self._held

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
            patience.until_there(partial(self._take_up, key, saved.get(key), appeared=appeared, now=now))
            self._held.append(key)
        if not patience.stopped:
            self.assign()

    def look(self, now: float) -> None:
        """Take up partitions and topics that have appeared. Raises Unavailable."""
        found = [*self._source.partitions(self._topics[0]), *self._optional()]
        new = [key for key in found if key not in self._held]
        for key in new:
            log.info("%s/%d has appeared", *key)
            self._take_up(key, self._monitor.states.get(key), appeared=True, now=now)
            self._held.append(key)
        if new:
            self.assign()

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


class Together(_Watching):
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
        super().__init__(topics, monitor, source, partitions, clock)
        self._store = store
        self._patience = patience

    def begin(self) -> None:
        """Read the states, then join the group."""
        self._patience.until_there(self._store.open)
        self._patience.until_there(self._first_states)
        self._source.subscribe(self._topics, self._taken, self._given)

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
            self._patience.until_there(partial(self._take_up, key, self._store.get(key), appeared=True, now=now))
        self._gone.difference_update(keys)
        log.info("reading %s", _names(keys) or "nothing")
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

    def save(
        self, states: Mapping[Key, PartitionState], evaluation: Evaluation | None, truth: Held | None = None
    ) -> None:
        """Forget it."""
