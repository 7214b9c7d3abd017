"""Panes: what came in during a short span of event time, in a form that is merged by addition.

The state is kept for each partition, and it depends on nothing but that partition's records in their order: not on
how partitions interleave, nor on when they are read. So a state and the offset after it always belong together,
whoever computed them, and a restart or a move to another replica that goes on from such a pair counts exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_monitor.core import quantiles
from data_monitor.core.head import Head
from data_monitor.core.hours import HOURS, hour_of

Vector = NDArray[np.integer[Any]]
Key = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True)
class Shape:
    """How a pane's vector is divided: counts of each group of segments, latencies, events seen, late events."""

    bins: int
    groups: int = 1

    @property
    def size(self) -> int:
        """Length of the vector."""
        return self.bins * self.groups + quantiles.SIZE + 2

    def counts(self, vector: Vector) -> Vector:
        """Bins by group, a view: (groups, bins)."""
        return vector[: self.bins * self.groups].reshape(self.groups, self.bins)

    def latencies(self, vector: Vector) -> Vector:
        """Bins of inference times, a view."""
        return vector[self.bins * self.groups : -2]

    @staticmethod
    def seen(vector: Vector) -> int:
        """Events that arrived while this pane was the newest of their partition."""
        return int(vector[-2])

    @staticmethod
    def late(vector: Vector) -> int:
        """Those of them that were late."""
        return int(vector[-1])


@dataclass
class Events:
    """A batch of decoded events of one partition, in the order of their offsets."""

    times_ms: NDArray[np.int64]
    codes: NDArray[np.intp]
    """(events, features), positions in a pane's counts, the group of the segment included."""
    latencies_ms: NDArray[np.float64]
    """NaN where a record has none."""

    def __getitem__(self, part: slice | NDArray[Any]) -> Events:
        """Some of the events, in their order."""
        found = Events(self.times_ms[part], self.codes[part], self.latencies_ms[part])
        # Once for a batch: in small parts it would take longer than counting.
        found.latency_bins = self.latency_bins[part]
        return found

    @cached_property
    def latency_bins(self) -> NDArray[np.intp]:
        """The bin of each inference time (core.quantiles)."""
        return quantiles.encode(self.latencies_ms)


@dataclass(frozen=True)
class Sparse:
    """A vector of which most is zero."""

    positions: NDArray[np.int32]
    values: NDArray[np.int32]

    @classmethod
    def of(cls, vector: Vector) -> Sparse:
        """The inverse of dense."""
        positions = np.flatnonzero(vector)
        return cls(positions.astype(np.int32), vector[positions].astype(np.int32))

    def dense(self, size: int) -> Vector:
        """All of it."""
        vector = np.zeros(size, np.int64)
        vector[self.positions] = self.values
        return vector


@dataclass
class PartitionState:
    """What is known of one partition after the record before ``next_offset``."""

    next_offset: int
    head: Head = field(default_factory=Head)
    """How far event time has come."""
    record_ms: int = -1
    """When the last record was written, by the broker's account; -1 before the first one."""
    panes: dict[int, NDArray[np.int32]] = field(default_factory=dict)
    """By number: event time divided by the pane's length."""
    parts: dict[int, dict[str, Sparse]] = field(default_factory=dict)
    """What of each pane was counted elsewhere, by part: another count of a part takes its place."""
    epoch: int = 0
    """How often the topic was made anew or cut off: offsets of different epochs cannot be compared."""
    topic_id: str = ""
    """Of the topic that the offsets are of; empty where it is not known."""
    counted: tuple[int, int] = (0, 0)
    """Offsets from the first to before the second are counted, though they come after ``next_offset``."""
    counters: Counter[str] = field(default_factory=Counter)
    """Since the beginning: records, events, late, expired, skipped, invalid.<type>, dead.<type>."""

    @property
    def newest_ms(self) -> int:
        """The newest event time that is believed; -1 before the first event."""
        return self.head.newest_ms

    @property
    def progress(self) -> tuple[int, int]:
        """Higher is later."""
        return self.epoch, self.next_offset

    @property
    def mark(self) -> tuple[int, int, str]:
        """Another one where there is something to save."""
        return *self.progress, self.topic_id

    @property
    def recent(self) -> int:
        """Events that arrived while the panes that are kept were the newest."""
        return sum(Shape.seen(pane) for pane in self.panes.values())

    def is_new(self, offset: int) -> bool:
        """Whether the record at this offset is still to be counted."""
        return offset >= self.next_offset and not self.counted[0] <= offset < self.counted[1]

    def begin_anew(self, offset: int, topic_id: str, counted: tuple[int, int] = (0, 0)) -> None:
        """Go on at an offset that is not comparable with those so far. Counts, panes and counters stay."""
        self.next_offset, self.epoch, self.record_ms = offset, self.epoch + 1, -1
        self.topic_id, self.counted = topic_id, counted

    def add(
        self, events: Events, shape: Shape, pane_ms: int, keep: int, allowed_ms: int, jump_ms: int, reach: int
    ) -> None:
        """Add events to their panes.

        ``keep`` panes before the newest are kept, ``reach`` after it; further ahead, no more than ``keep``.
        ``allowed_ms`` makes none late, and ``jump_ms`` ahead moves the newest not yet (core.head).
        """
        if not len(events.times_ms):
            return
        times = events.times_ms
        newest, rivals = self.head.follow(times, jump_ms)
        late = (times < newest - allowed_ms) & ~rivals
        numbers, arrivals = times // pane_ms, newest // pane_ms
        expired = numbers <= arrivals - keep
        self.counters["events"] += len(times)
        self.counters["late"] += int(np.count_nonzero(late))
        if rivals.any():
            self.counters["ahead"] += int(np.count_nonzero(times > newest + jump_ms))
            expired |= self._too_far(numbers, arrivals + reach, keep)
        self.counters["expired"] += int(np.count_nonzero(expired))
        for number, at in _by_number(numbers):
            codes, latencies = events.codes[at], events.latency_bins[at]
            if expired[at].any():
                codes, latencies = codes[~expired[at]], latencies[~expired[at]]
            if len(codes):
                pane, counts = self._pane(number, shape), shape.bins * shape.groups
                pane[:counts] += np.bincount(codes.ravel("K"), minlength=counts)
                shape.latencies(pane)[:] += quantiles.count(latencies)
        for number, at in _by_number(arrivals):
            pane = self._pane(number, shape)
            pane[-2] += len(arrivals[at])
            pane[-1] += np.count_nonzero(late[at])
        self._expire(int(arrivals[-1]) - keep)

    def add_pane(
        self, number: int, vector: Vector, part: str | None, shape: Shape, pane_ms: int, keep: int
    ) -> Vector | None:
        """Add a pane that somebody else counted, in place of what the same part counted before; returns the difference.

        None, and nothing is changed, where the sum would be more than a pane can hold (int32). Counters only go up: a
        repeat that holds less, because its events came in another order, takes nothing back.
        """
        newest_ms = max(self.head.newest_ms, (number + 1) * pane_ms - 1)
        newest = newest_ms // pane_ms
        expired = number <= newest - keep
        before = None if part is None else self.parts.get(number, {}).get(part)
        difference = vector if expired or before is None else vector - before.dense(len(vector))
        if (self.panes.get(number, 0) + difference).max() > np.iinfo(np.int32).max:
            return None
        self.head.newest_ms = newest_ms
        seen, late = max(0, shape.seen(difference)), max(0, shape.late(difference))
        self.counters["events"] += seen
        self.counters["late"] += late
        if expired:
            self.counters["expired"] += seen
            return difference
        if part is not None:
            self.parts.setdefault(number, {})[part] = Sparse.of(vector)
        self._pane(number, shape)[:] += difference.astype(np.int32)
        self._expire(newest - keep)
        return difference

    def _too_far(self, numbers: NDArray[np.int64], last: NDArray[np.int64], most: int) -> NDArray[np.bool_]:
        """Which events get no pane, being one pane too many beyond the last that is expected."""
        found = np.zeros(len(numbers), np.bool_)
        far = set(self.panes)
        for at in np.flatnonzero(numbers > last).tolist():
            number = int(numbers[at])
            if number not in far:
                far = {one for one in far if one > last[at]}
                found[at] = len(far) >= most
                if not found[at]:
                    far.add(number)
        return found

    def _pane(self, number: int, shape: Shape) -> NDArray[np.int32]:
        if number not in self.panes:
            self.panes[number] = np.zeros(shape.size, np.int32)
        return self.panes[number]

    def _expire(self, last: int) -> None:
        for number in [number for number in self.panes if number <= last]:
            del self.panes[number]
            self.parts.pop(number, None)


def _by_number(numbers: NDArray[np.int64]) -> Iterator[tuple[int, slice | NDArray[np.bool_]]]:
    """Each pane's number, and which events are its."""
    if numbers[0] == numbers.min() == numbers.max():
        # Most batches lie in one pane, and np.unique takes longer than all the rest.
        yield int(numbers[0]), slice(None)
    else:
        for number in np.unique(numbers).tolist():
            yield number, numbers == number


def merge(states: Iterable[PartitionState], first: int, last: int, shape: Shape) -> Vector:
    """The sum of the panes from ``first`` to ``last``, both included."""
    total = np.zeros(shape.size, np.int64)
    for state in states:
        for number, pane in state.panes.items():
            if first <= number <= last:
                total += pane
    return total


def by_hour(states: Iterable[PartitionState], first: int, last: int, shape: Shape, pane_ms: int) -> NDArray[np.int64]:
    """Counts in these panes by the hour of the day (24) in which they begin, as weights of the hours."""
    total = np.zeros(HOURS, np.int64)
    for state in states:
        for number, pane in state.panes.items():
            if first <= number <= last:
                total[hour_of(number * pane_ms)] += shape.counts(pane).sum()
    return total


def watermark_ms(newest_ms: Iterable[int], allowed_ms: int) -> int | None:
    """The event time up to which all of these partitions are complete; None before the first event."""
    known = [newest for newest in newest_ms if newest >= 0]
    return min(known) - allowed_ms if known else None
