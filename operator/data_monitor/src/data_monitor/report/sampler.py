"""A bounded sample of the rows of a sliding window, for the report. Scores do not come from here: they count all rows.

Of each pane the rows with the smallest random keys are kept, which are a uniform sample of it whatever the batches
were (Vitter's reservoir in the form that takes arrays). What is drawn from the window takes the same share of every
pane: a stratified sample. It starts anew with the process, unlike the panes' counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    rows: list[tuple[Any, ...]] = field(default_factory=list)


class Sampler:
    """Keeps at most ``2 * size`` rows over ``panes`` panes."""

    def __init__(self, names: Sequence[str], size: int, panes: int, seed: int | None = None) -> None:
        self.names = tuple(names)
        self._size = size
        self._keep = panes
        self._each = max(1, -(-_UNEVEN * size // panes))
        self._random = np.random.default_rng(seed)
        self._panes: dict[int, _Pane] = {}

    def add(self, numbers: NDArray[np.int64], columns: Sequence[NDArray[np.float64] | Sequence[Value]]) -> None:
        """Add a batch: each event's pane, and each feature's values."""
        for number in np.unique(numbers):
            self._add(int(number), np.flatnonzero(numbers == number), columns)
        for number in sorted(self._panes)[: -self._keep]:
            del self._panes[number]

    def _add(self, number: int, events: NDArray[np.intp], columns: Sequence[Any]) -> None:
        pane = self._panes.setdefault(number, _Pane())
        pane.seen += len(events)
        keys = self._random.random(len(events))
        if len(pane.keys) == self._each:
            better = keys < pane.keys[-1]
            keys, events = keys[better], events[better]
        if not len(keys):
            return
        rows = [*pane.rows, *(tuple(column[event] for column in columns) for event in events.tolist())]
        keys = np.concatenate([pane.keys, keys])
        order = np.argsort(keys)[: self._each]
        pane.keys, pane.rows = keys[order], [rows[at] for at in order]

    def draw(self) -> Mapping[str, list[Value]]:
        """About ``size`` rows of the panes of now, fewer where some of them got far more events than others."""
        panes = [pane for _, pane in sorted(self._panes.items())]
        total = sum(pane.seen for pane in panes)
        share = min([1.0, self._size / max(1, total), *(len(pane.rows) / pane.seen for pane in panes)])
        rows = [row for pane in panes for row in pane.rows[: round(share * pane.seen)]]
        return {name: [_plain(row[at]) for row in rows] for at, name in enumerate(self.names)}


def _plain(value: Any) -> Value:
    plain: Value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not np.isfinite(plain) else plain
