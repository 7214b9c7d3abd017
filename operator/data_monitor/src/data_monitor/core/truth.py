"""Ground truth that arrives later: joined by id with the predictions, what they come to adds up by event time.

Memory is bounded: at most ``capacity`` predictions wait for their label, and as many labels for their prediction. Time
is cut into panes, a sixtieth of the window each. A pane is closed when the predictions are ``wait`` beyond it, and the
window is the last sixty closed ones: each of their predictions has had its time, those whose label comes late as well
as those whose label comes at once, which are often others.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from data_monitor.core.bins import Feature, Numeric
from data_monitor.core.values import Value, as_float, category_of

PANES: Final = 60
"""Of a window."""
LONGEST_TEXT: Final = 256
"""Longer ids and categories are not kept: memory is bounded by their number."""

Known = float | str
"""A number, or the name of a category."""
What = Literal["prediction", "label"]
WHATS: Final[Sequence[What]] = ("prediction", "label")
REASONS: Final = ("wait", "capacity", "invalid", "duplicate")
"""Why one of them is not joined."""


@dataclass
class Sums:
    """Over the predictions of a span of event time; errors are those of numbers, prediction less truth."""

    predictions: int = 0
    joined: int = 0
    hits: int = 0
    """Predicted as it was, of categories."""
    error: float = 0.0
    absolute: float = 0.0
    squared: float = 0.0

    def __iadd__(self, other: Sums) -> Sums:
        """Sums of disjoint predictions add up."""
        self.predictions += other.predictions
        self.joined += other.joined
        self.hits += other.hits
        self.error += other.error
        self.absolute += other.absolute
        self.squared += other.squared
        return self


@dataclass
class Held:
    """What a restart goes on from, with the offsets of the same moment."""

    pane_ms: int
    closed: int = 0
    """Panes before this one are closed."""
    waiting: dict[str, tuple[int, Known]] = field(default_factory=dict)
    """Predictions by id: pane and value."""
    labels: dict[str, tuple[int, Known]] = field(default_factory=OrderedDict)
    """Labels by id, the oldest first: pane of when they were written, and value."""
    panes: dict[int, Sums] = field(default_factory=dict)


@dataclass(frozen=True)
class Quality:
    """How good the predictions of a window were; None where that is not measured."""

    end_ms: int
    predictions: int
    joined: int
    accuracy: float | None = None
    """Share that was predicted as it was, of categories."""
    absolute_error: float | None = None
    """Mean, of numbers, in the unit of the prediction; as are the other two."""
    rms_error: float | None = None
    """Root of the mean square."""
    bias: float | None = None
    """Mean of prediction less truth."""


@dataclass(frozen=True)
class Measured:
    """What is to be known from outside."""

    quality: Quality | None
    waiting: dict[str, int]
    """By what."""
    joined: int
    dropped: Counter[tuple[What, str]]
    """By what and reason; as ``joined`` since the start of the process."""


class Truth:
    """Joins predictions and labels, in whichever order they come."""

    def __init__(self, prediction: Feature, wait_ms: int, window_ms: int, capacity: int) -> None:
        self._prediction = prediction
        self._wait_ms = wait_ms
        self._capacity = capacity
        self.held = Held(window_ms // PANES)
        self.dropped: Counter[tuple[What, str]] = Counter()
        """Since the start of the process, by what and reason."""
        self.joined = 0
        """Since the start of the process."""

    def resume(self, held: Held) -> None:
        """Go on from what was held, unless the window has changed."""
        if held.pane_ms == self.held.pane_ms:
            self.held = held
            held.labels = OrderedDict(held.labels)

    def predicted(self, predictions: Iterable[tuple[int, Value, Value]]) -> None:
        """Add predictions: event time, id, and the value as the record has it."""
        held = self.held
        for time, id_, raw in predictions:
            name, value, number = _name(id_), self._known(raw), time // held.pane_ms
            if name is None or value is None:
                self.dropped["prediction", "invalid"] += 1
            elif name in held.waiting:
                self.dropped["prediction", "duplicate"] += 1
            elif number < held.closed:
                self.dropped["prediction", "wait"] += 1
            else:
                held.panes.setdefault(number, Sums()).predictions += 1
                if name in held.labels:
                    self._join(number, value, held.labels.pop(name)[1])
                elif len(held.waiting) < self._capacity:
                    held.waiting[name] = number, value
                else:
                    # Those that wait are a sample. Were they to make room, none might wait long enough.
                    self.dropped["prediction", "capacity"] += 1

    def labelled(self, labels: Iterable[tuple[int, Value, Value]]) -> None:
        """Add labels: when it was written, -1 where that is not known, id, and the value as the record has it."""
        held = self.held
        for written, id_, raw in labels:
            name, value = _name(id_), self._known(raw)
            if name is None or value is None:
                self.dropped["label", "invalid"] += 1
            elif name in held.waiting:
                number, prediction = held.waiting.pop(name)
                self._join(number, prediction, value)
            else:
                number = held.closed + self._wait_ms // held.pane_ms if written < 0 else written // held.pane_ms
                self._keep_label(name, number, value)

    def close(self, end_ms: int) -> None:
        """Close the panes that predictions up to this event time have left ``wait`` behind."""
        held = self.held
        closed = (end_ms - self._wait_ms) // held.pane_ms
        if closed <= held.closed:
            return
        held.closed = closed
        for what, kept in zip(WHATS, (held.waiting, held.labels), strict=True):
            over = [name for name, (number, _) in kept.items() if number < closed]
            for name in over:
                del kept[name]
            self.dropped[what, "wait"] += len(over)
        held.panes = {number: sums for number, sums in held.panes.items() if number >= closed - PANES}

    def quality(self) -> Quality | None:
        """Of the window that is closed; None where nothing was predicted in it."""
        total = Sums()
        for number, sums in self.held.panes.items():
            if self.held.closed - PANES <= number < self.held.closed:
                total += sums
        if not total.predictions:
            return None
        counted, joined = Quality(self.held.closed * self.held.pane_ms, total.predictions, total.joined), total.joined
        if not joined:
            return counted
        if not isinstance(self._prediction, Numeric):
            return replace(counted, accuracy=total.hits / joined)
        return replace(
            counted,
            absolute_error=total.absolute / joined,
            rms_error=math.sqrt(total.squared / joined),
            bias=total.error / joined,
        )

    def measured(self) -> Measured:
        """All of it, as it is now."""
        held = self.held
        waiting = {"prediction": len(held.waiting), "label": len(held.labels)}
        return Measured(self.quality(), waiting, self.joined, self.dropped.copy())

    def _keep_label(self, name: str, number: int, value: Known) -> None:
        labels = self.held.labels
        if labels.pop(name, None) is not None:
            self.dropped["label", "duplicate"] += 1
        elif len(labels) >= self._capacity:
            # Most are of predictions that do not wait, and never come to anything: the oldest are least of use.
            del labels[next(iter(labels))]
            self.dropped["label", "capacity"] += 1
        labels[name] = number, value

    def _join(self, number: int, prediction: Known, truth: Known) -> None:
        self.joined += 1
        sums = self.held.panes[number]
        sums.joined += 1
        if isinstance(prediction, str) or isinstance(truth, str):
            sums.hits += prediction == truth
            return
        error = prediction - truth
        sums.error += error
        sums.absolute += abs(error)
        sums.squared += error * error

    def _known(self, value: Value) -> Known | None:
        """What predictions and labels are compared by; None where it is missing or of another type."""
        feature = self._prediction
        if isinstance(feature, Numeric):
            # Probabilities are judged by what happened: true is 1.
            number = float(value) if isinstance(value, bool) else as_float(value, feature.type, feature.missing_values)
            return None if number is None or math.isnan(number) else number
        if value in feature.missing_values:
            return None
        category = category_of(value, feature.type)
        return category if len(category) <= LONGEST_TEXT else None


def _name(value: Value) -> str | None:
    """An id as a text: 7 and "7" are the same; None where it is none."""
    if isinstance(value, bool | float) or value is None:
        return None
    name = str(value) if isinstance(value, int) else value
    return name if 0 < len(name) <= LONGEST_TEXT else None
