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
    newest_ms: int = -1
    """The highest event time so far; -1 before the first event."""
    record_ms: int = -1
    """When the last record was written, by the broker's account; -1 before the first one."""
    panes: dict[int, NDArray[np.int32]] = field(default_factory=dict)
    """By number: event time divided by the pane's length."""
    parts: dict[int, dict[str, Sparse]] = field(default_factory=dict)
    """What of each pane was counted elsewhere, by part: another count of a part takes its place."""
    epoch: int = 0
    """How often the topic was made anew: offsets of different epochs cannot be compared."""
    counters: Counter[str] = field(default_factory=Counter)
    """Since the beginning: records, events, late, expired, skipped, invalid.<type>, dead.<type>."""

    @property
    def progress(self) -> tuple[int, int]:
        """Higher is later."""
        return self.epoch, self.next_offset

    def add(self, events: Events, shape: Shape, pane_ms: int, keep: int, allowed_ms: int) -> None:
        """Add events to their panes; ``keep`` panes before the newest are kept, ``allowed_ms`` makes none late."""
        if not len(events.times_ms):
            return
        times = events.times_ms
        newest = np.maximum(np.maximum.accumulate(times), self.newest_ms)
        late = times < newest - allowed_ms
        numbers, arrivals = times // pane_ms, newest // pane_ms
        expired = numbers <= arrivals - keep
        self.newest_ms = int(newest[-1])
        self.counters["events"] += len(times)
        self.counters["late"] += int(np.count_nonzero(late))
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

    def add_pane(self, number: int, vector: Vector, part: str | None, shape: Shape, pane_ms: int, keep: int) -> Vector:
        """Add a pane that somebody else counted, in place of what the same part counted before; returns the difference.

        Counters only go up: a repeat that holds less, because its events came in another order, takes nothing back.
        """
        self.newest_ms = max(self.newest_ms, (number + 1) * pane_ms - 1)
        newest = self.newest_ms // pane_ms
        expired = number <= newest - keep
        before = None if expired or part is None else self.parts.setdefault(number, {}).get(part)
        difference = vector if before is None else vector - before.dense(len(vector))
        seen, late = max(0, shape.seen(difference)), max(0, shape.late(difference))
        self.counters["events"] += seen
        self.counters["late"] += late
        if expired:
            self.counters["expired"] += seen
            return difference
        if part is not None:
            self.parts[number][part] = Sparse.of(vector)
        self._pane(number, shape)[:] += difference.astype(np.int32)
        self._expire(newest - keep)
        return difference

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
