"""Make a reference from rows of training data, in the order in which they happened."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_monitor.core.bins import Categorical, Feature, Layout, Numeric, Value, category_of
from data_monitor.core.hours import HOURS, mixed
from data_monitor.core.reference import Reference, Segments
from data_monitor.core.score import drift_score

BINS: Final = 10
MAX_CATEGORIES: Final = 20
MAX_SEGMENTS: Final = 20
FEW_VALUES: Final = 12
"""A number with no more distinct values than this is a category."""
FEWEST_BLOCKS: Final = 10
"""Fewer blocks say nothing about how much scores scatter."""
FEWEST_IN_AN_HOUR: Final = 500
"""An hour of the day with fewer rows is compared with all of them."""
_NUMBERS = 0.9
_DEVIATIONS = 3.0


@dataclass(frozen=True)
class Column:
    """The values of one field, raw."""

    name: str
    values: Sequence[Value]


def learn(
    features: Sequence[Column],
    *,
    prediction: Column | None = None,
    segment: Column | None = None,
    hours: NDArray[np.integer[Any]] | None = None,
    block: int | None = None,
    sample: int = 0,
    source: Mapping[str, Any] | None = None,
) -> Reference:
    """Bins, counts, the segments' counts, thresholds from contiguous blocks of so many rows, a sample of rows.

    ``hours``, the hour of the day of each row, makes a reference that goes by it.
    """
    columns = [*features, *([prediction] if prediction else [])]
    layout = Layout([learn_feature(column) for column in columns])
    encodable = [column_for(feature, column.values) for feature, column in zip(layout.features, columns, strict=True)]
    codes = layout.encode(encodable)
    counts = _count(codes, layout)
    by_hour = _by_hour(codes, hours, layout) if hours is not None else None
    return Reference(
        layout.features,
        counts,
        prediction=prediction is not None,
        segments=_segments(segment, codes, layout) if segment else None,
        hours=by_hour,
        thresholds=_thresholds(codes, counts, layout, block, hours, by_hour) if block else {},
        sample={column.name: _evenly(column.values, sample) for column in columns} if sample else {},
        source=source or {},
    )


def learn_feature(column: Column) -> Feature:
    """Bins for a column: deciles where nine of ten values are numbers, the most frequent categories otherwise."""
    present = [value for value in column.values if not is_missing(value)]
    numbers = np.asarray([value for value in present if is_number(value)], dtype=np.float64)
    if len(numbers) > _NUMBERS * len(present) and len(np.unique(numbers)) > FEW_VALUES:
        edges = np.unique(np.quantile(numbers, np.arange(1, BINS) / BINS))
        # The lowest value as an edge would leave an empty bin below it.
        return Numeric(column.name, tuple(float(edge) for edge in edges if edge > numbers.min()))
    counted = Counter(category_of(value) for value in present)
    # By name where the counts are equal: the same data gives the same reference.
    frequent = sorted(counted, key=lambda name: (-counted[name], name))[:MAX_CATEGORIES]
    return Categorical(column.name, tuple(frequent))


def is_missing(value: Value) -> bool:
    """Whether a value is null, empty, NaN or infinite."""
    return value is None or value == "" or (isinstance(value, float) and not math.isfinite(value))


def is_number(value: Value) -> bool:
    """Whether a value is a finite number; a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def column_for(feature: Feature, values: Sequence[Value]) -> NDArray[np.float64] | Sequence[Value]:
    """Raw values as the feature takes them: a text in a numeric column is missing."""
    if isinstance(feature, Numeric):
        return np.asarray([value if is_number(value) else math.nan for value in values], dtype=np.float64)
    return [None if is_missing(value) else value for value in values]


def _evenly(values: Sequence[Value], count: int) -> list[Value]:
    """So many values at equal distances: every time of the data is in it, and the same data gives the same sample."""
    return [values[at * len(values) // count] for at in range(count)] if count < len(values) else list(values)


def _count(codes: NDArray[np.intp], layout: Layout) -> NDArray[np.int64]:
    return np.bincount(codes.ravel(), minlength=layout.size).astype(np.int64)


def _segments(segment: Column, codes: NDArray[np.intp], layout: Layout) -> Segments:
    names = np.asarray(["" if is_missing(value) else category_of(value) for value in segment.values])
    counted = Counter(names.tolist())
    del counted[""]
    values = sorted(counted, key=lambda name: (-counted[name], name))[:MAX_SEGMENTS]
    counts = [_count(codes[names == value], layout) for value in values]
    return Segments(segment.name, tuple(values), np.asarray(counts, dtype=np.int64).reshape(-1, layout.size))


def _by_hour(codes: NDArray[np.intp], hours: NDArray[np.integer[Any]], layout: Layout) -> NDArray[np.int64]:
    rows = [codes[hours == hour] for hour in range(HOURS)]
    return np.stack([_count(one if len(one) >= FEWEST_IN_AN_HOUR else one[:0], layout) for one in rows])


def _thresholds(
    codes: NDArray[np.intp],
    counts: NDArray[np.int64],
    layout: Layout,
    block: int,
    hours: NDArray[np.integer[Any]] | None,
    by_hour: NDArray[np.int64] | None,
) -> dict[str, float]:
    """By feature, mean and three deviations of the scores of the reference's own blocks.

    Blocks keep the order of time, so they scatter as much as the data does over days and weeks; random samples of the
    same size would not.
    """
    parts = [slice(at, at + block) for at in range(0, len(codes) - block + 1, block)]
    if len(parts) < FEWEST_BLOCKS:
        return {}
    blocks = np.stack([_count(codes[part], layout) for part in parts])
    expected: NDArray[Any] = counts
    if hours is not None and by_hour is not None:
        weights = [np.bincount(hours[part], minlength=HOURS) for part in parts]
        expected = np.stack([mixed(counts, by_hour, len(layout.features), one) for one in weights])
    thresholds = {}
    for feature, part in zip(layout.features, layout.slices, strict=True):
        scores = drift_score(expected[..., part], blocks[:, part])
        thresholds[feature.name] = round(min(1.0, float(scores.mean() + _DEVIATIONS * scores.std())), 6)
    return thresholds
