"""The state of the monitor: a partition's records go in, judgements come out. No clock of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_monitor.core import problems, quantiles
from data_monitor.core.judge import Judge, Judgement, Traffic
from data_monitor.core.panes import Events, Key, PartitionState, Vector, by_hour, merge, watermark_ms
from data_monitor.core.truth import Truth

EARLIEST_MS: Final = 946_684_800_000
"""The year 2000: what claims to be older has its time in another unit."""


@dataclass(frozen=True)
class Times:
    """Spans in milliseconds."""

    window: int = 600_000
    pane: int = 10_000
    allowed: int = 5_000
    idle: int = 60_000
    hold_back: int = 60_000
    jump: int = 60_000
    max_ahead: int = 600_000

    @property
    def panes(self) -> int:
        """Panes of a window."""
        return self.window // self.pane

    @property
    def keep(self) -> int:
        """Panes that are kept: a window that is held back needs older ones."""
        return self.panes + -(-self.hold_back // self.pane)

    @property
    def reach(self) -> int:
        """Panes that events may be ahead."""
        return -(-self.max_ahead // self.pane)


@dataclass(frozen=True)
class Evaluation:
    """The last judgement of a full enough window, and the window as it is now."""

    judged_at: float
    """Seconds since 1970; 0 before the first judgement."""
    judgement: Judgement | None
    ready: bool
    """Whether the window of now has enough samples; otherwise the judgement is an older one."""
    samples: int
    traffic: Traffic
    window_end_ms: int


class Monitor:
    """Partitions' states and what they add up to."""

    def __init__(self, judge: Judge, times: Times, truth: Truth | None = None) -> None:
        self.judge = judge
        self.times = times
        self.states: dict[Key, PartitionState] = {}
        self.evaluation: Evaluation | None = None
        self.truth = truth
        """What predictions are compared with, if anything; over all partitions, so of a monitor that reads them all."""
        self.latencies = np.zeros(quantiles.SIZE, np.int64)
        """Since the start of the process."""
        self.latency_sum_ms = 0.0
        self._records_at: dict[Key, float] = {}
        self._adopted: dict[Key, Counter[str]] = {}
        self._given_up: Counter[str] = Counter()
        self._judged: tuple[int, int] | None = None

    def adopt(self, key: Key, state: PartitionState, now: float) -> None:
        """Go on with a partition from a state."""
        self.states[key] = state
        self._adopted[key] = state.counters.copy()
        self._records_at[key] = now

    def give_up(self, key: Key) -> PartitionState | None:
        """Part with a partition; its state is returned for whoever goes on with it."""
        state = self.states.pop(key, None)
        if state:
            self._given_up += state.counters - self._adopted.pop(key)
        return state

    def counted(self) -> Counter[str]:
        """The counters since the start of the process, over all partitions it had."""
        total = self._given_up.copy()
        for key, state in self.states.items():
            total += state.counters - self._adopted[key]
        return total

    def add(self, key: Key, events: Events, now: float) -> None:
        """Add valid events; those with an impossible time are counted as problems."""
        state, times = self.states[key], self.times
        good = self.plausible(events.times_ms, now)
        if not good.all():
            state.counters[f"invalid.{problems.BAD_TIME}"] += int(np.count_nonzero(~good))
            events = events[good]
        state.add(
            events,
            self.judge.shape,
            pane_ms=times.pane,
            keep=times.keep,
            allowed_ms=times.allowed,
            jump_ms=times.jump,
            reach=times.reach,
        )
        self._records_at[key] = now
        self.latencies += quantiles.count(events.latency_bins)
        self.latency_sum_ms += float(events.latencies_ms[np.isfinite(events.latencies_ms)].sum())

    def plausible(self, times_ms: NDArray[np.int64], now: float) -> NDArray[np.bool_]:
        """Which event times are possible ones."""
        return (times_ms >= EARLIEST_MS) & (times_ms <= now * 1000 + self.times.max_ahead)

    def add_pane(self, key: Key, start_ms: int, vector: Vector, part: str | None, now: float) -> None:
        """Add a pane that somebody else counted, under the same rule for impossible times."""
        state, times, shape = self.states[key], self.times, self.judge.shape
        if not EARLIEST_MS <= start_ms <= now * 1000 + times.max_ahead:
            state.counters[f"invalid.{problems.BAD_TIME}"] += 1
            return
        added = state.add_pane(start_ms // times.pane, vector, part, shape, times.pane, times.keep)
        if added is None:
            state.counters[f"invalid.{problems.WRONG_TYPE}"] += 1
            return
        self._records_at[key] = now
        latencies = shape.latencies(added)
        # A repeat may hold other times, measured anew: of the same events, which a histogram must not count again.
        if (latencies >= 0).all():
            self.latencies += latencies
            self.latency_sum_ms += float(latencies @ quantiles.values_ms())

    def resume(self, evaluation: Evaluation | None, now: float) -> None:
        """Go on from the evaluation of the adopted states: the same window is not judged again as if it were new."""
        self.evaluation = evaluation
        end = self._end(self.states, now)
        if evaluation and end is not None:
            self._judged = self._events(self.states), end

    def evaluate(self, now: float, others: Mapping[Key, PartitionState] | None = None) -> Evaluation | None:
        """Judge the window of now, if it is another one than the last time.

        ``others`` are the states of partitions that other replicas read.
        """
        states = {**(others or {}), **self.states}
        end = self._end(states, now)
        if end is None or (self._events(states), end) == self._judged:
            return self.evaluation
        self._judged = self._events(states), end
        first, shape = end - self.times.panes + 1, self.judge.shape
        window = merge(states.values(), first, end, shape)
        judgement = self.judge.drift(window, by_hour(states.values(), first, end, shape, self.times.pane).tolist())
        before = self.evaluation
        self.evaluation = Evaluation(
            now if judgement else before.judged_at if before else 0.0,
            judgement or (before.judgement if before else None),
            judgement is not None,
            int(shape.counts(window).sum(0)[self.judge.layout.slices[0]].sum()),
            self.judge.traffic(window),
            (end + 1) * self.times.pane,
        )
        return self.evaluation

    def watermark_ms(self, now: float) -> int | None:
        """Up to which event time the partitions of this replica are complete; idle ones do not count."""
        return watermark_ms(
            (state.newest_ms for key, state in self.states.items() if not self._idle(key, now)), self.times.allowed
        )

    def _end(self, states: Mapping[Key, PartitionState], now: float) -> int | None:
        """The last pane of the window: the newest that no busy partition is still before, within bounds."""
        head = self._head(states.values(), now)
        if head is None:
            return None
        busy = [
            state.newest_ms
            for key, state in states.items()
            if state.newest_ms >= 0 and key in self.states and not self._idle(key, now)
        ]
        return max(min([head, *busy]), head - self.times.hold_back) // self.times.pane

    def _head(self, states: Iterable[PartitionState], now: float) -> int | None:
        """The newest event time of the partitions that hold half of the events; None before the first event.

        A partition all of whose events are ahead, since one producer writes it, is no measure for the others.
        """
        started = [state for state in states if state.newest_ms >= 0]
        sane = [state for state in started if state.newest_ms <= now * 1000 + self.times.jump]
        weights = [(state.newest_ms, state.recent) for state in sane or started]
        total = sum(weight for _, weight in weights)
        for newest, _ in sorted(weights, reverse=True):
            if 2 * sum(weight for other, weight in weights if other >= newest - self.times.jump) >= total:
                return newest
        return None

    @staticmethod
    def _events(states: Mapping[Key, PartitionState]) -> int:
        return sum(state.counters["events"] for state in states.values())

    def _idle(self, key: Key, now: float) -> bool:
        return now - self._records_at.get(key, now) >= self.times.idle / 1000
