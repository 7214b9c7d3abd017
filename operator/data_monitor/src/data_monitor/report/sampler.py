"""A bounded sample of the rows of a sliding window, for the report. Scores do not come from here: they count all rows.

Of each pane the rows with the smallest random keys are kept, which are a uniform sample of it whatever the batches
were (Vitter's reservoir in the form that takes arrays). What is drawn from the window takes the same share of every
pane: a stratified sample. It starts anew with the process, unlike the panes' counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_monitor.report.folder import Value

# Room for panes that get more events than the average one.
_UNEVEN = 2


@dataclass
class _Pane:
    seen: int = 0
    keys: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """Rising."""
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    """One for each key."""

    def insert(self, keys: NDArray[np.float64], rows: list[tuple[Any, ...]]) -> None:
        keys, rows = np.concatenate([self.keys, keys]), [*self.rows, *rows]
        order = np.argsort(keys)
        self.keys, self.rows = keys[order], [rows[at] for at in order.tolist()]

    def shrink(self, size: int) -> None:
        # The smallest of the smallest keys: still a uniform sample.
        self.keys, self.rows = self.keys[:size], self.rows[:size]


class Sampler:
    """Keeps at most ``2 * size`` rows of a window of ``panes`` panes and of what is ahead of it."""

    def __init__(self, names: Sequence[str], size: int, panes: int, seed: int | None = None) -> None:
        self.names = tuple(names)
        self._size = size
        self._keep = panes
        self._random = np.random.default_rng(seed)
        self._panes: dict[int, _Pane] = {}
        self._end: int | None = None

    def add(self, numbers: NDArray[np.int64], columns: Sequence[NDArray[np.float64] | Sequence[Value]]) -> None:
        """Add a batch: each event's pane, and each feature's values. Events far from the window are left out."""
        # Most batches lie in one pane, and np.unique takes longer than all the rest.
        one = len(numbers) > 0 and numbers.min() == numbers.max()
        for number in (numbers[:1] if one else np.unique(numbers)).tolist():
            if self._end is None or self._end - self._keep < number <= self._end + self._keep:
                self._add(number, np.flatnonzero(numbers == number), columns)
        # Before the first window is known, any time may be a wrong one.
        for number in sorted(self._panes)[: -2 * self._keep]:
            del self._panes[number]

    def advance(self, end: int) -> None:
        """The window's last pane is this one now: forget what lies before the window, or far ahead of it."""
        self._end = end
        for number in [one for one in self._panes if not end - self._keep < one <= end + self._keep]:
            del self._panes[number]

    def _add(self, number: int, events: NDArray[np.intp], columns: Sequence[Any]) -> None:
        if number not in self._panes:
            self._panes[number] = _Pane()
            for pane in self._panes.values():
                pane.shrink(self._each)
        pane = self._panes[number]
        pane.seen += len(events)
        keys = self._random.random(len(events))
        # Rows are costly to pick up: none that cannot stay.
        full = len(pane.keys) >= self._each
        better = np.flatnonzero(keys < pane.keys[-1]) if full else np.argsort(keys)[: self._each]
        keys, events = keys[better], events[better]
        if len(keys):
            pane.insert(keys, [tuple(column[event] for column in columns) for event in events.tolist()])
            pane.shrink(self._each)

    @property
    def _each(self) -> int:
        return max(1, _UNEVEN * self._size // len(self._panes))

    def draw(self) -> dict[str, list[Value]]:
        """About ``size`` rows of the window, fewer where some panes got far more events than others."""
        panes = [pane for number, pane in sorted(self._panes.items()) if self._end is None or number <= self._end]
        total = sum(pane.seen for pane in panes)
        share = min([1.0, self._size / max(1, total), *(len(pane.rows) / pane.seen for pane in panes)])
        rows = [row for pane in panes for row in pane.rows[: round(share * pane.seen)]]
        return {name: [_plain(row[at]) for row in rows] for at, name in enumerate(self.names)}


def _plain(value: Any) -> Value:
    plain: Value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not np.isfinite(plain) else plain
