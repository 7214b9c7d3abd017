"""Make a reference from rows of training data, in the order in which they happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_monitor.core.bins import Categorical, Feature, Layout, Numeric, Tail, hashes_of
from data_monitor.core.columns import Column, type_of
from data_monitor.core.hours import HOURS, mixed
from data_monitor.core.reference import Reference, Segments
from data_monitor.core.score import drift_score
from data_monitor.core.values import DEFAULT_MISSING, Missing, Type, Value, category_of

BINS: Final = 10
MAX_CATEGORIES: Final = 20
TAIL_GROUPS: Final = 10
"""Bins of the categories beyond the most frequent ones."""
MAX_KNOWN: Final = 20_000
"""More categories than this are not known apart from new ones."""
MAX_SEGMENTS: Final = 20
FEW_VALUES: Final = 12
"""A number with no more distinct values than this is a category."""
FEWEST_BLOCKS: Final = 10
"""Fewer blocks say nothing about how much scores scatter."""
FEWEST_IN_AN_HOUR: Final = 500
"""An hour of the day with fewer rows is compared with all of them."""
_DEVIATIONS = 3.0
_SPIKE_SHARE = 0.01
_SPIKE_BY_OTHERS = 10
_MAX_SPIKES = 5
_SPIKE_WIDTH = 1e-6
_ROWS_OF_A_BIN = 20
_OWN_BIN_SHARE = 0.01


def learn(
    features: Sequence[Column],
    *,
    prediction: Column | None = None,
    segment: Column | None = None,
    hours: NDArray[np.integer[Any]] | None = None,
    block: int | None = None,
    sample: int = 0,
    missing: Missing = DEFAULT_MISSING,
    source: Mapping[str, Any] | None = None,
) -> Reference:
    """Bins, counts, the segments' counts, thresholds from contiguous blocks of so many rows, a sample of rows.

    ``hours``, the hour of the day of each row, makes a reference that goes by it. Raises BadColumn.
    """
    columns = [*features, *([prediction] if prediction else [])]
    layout = Layout([learn_feature(column, missing) for column in columns])
    encodable = [column_for(feature, column.values) for feature, column in zip(layout.features, columns, strict=True)]
    codes = layout.encode(encodable)
    for feature, column, part, own in zip(layout.features, columns, layout.slices, codes.T, strict=True):
        if isinstance(feature, Categorical) and feature.tail:
            own[_only_once(feature, column)] = part.start + feature.other
    counts = _count(codes, layout)
    by_hour = _by_hour(codes, hours, layout) if hours is not None else None
    return Reference(
        layout.features,
        counts,
        prediction=prediction is not None,
        segments=_segments(segment, codes, layout, missing) if segment else None,
        hours=by_hour,
        thresholds=_thresholds(codes, counts, layout, block, hours, by_hour) if block else {},
        sample={
            feature.name: _plain(feature, _evenly(column.values, sample))
            for feature, column in zip(layout.features, columns, strict=True)
        }
        if sample
        else {},
        missing=missing,
        source=source or {},
    )


def learn_feature(column: Column, missing: Missing = DEFAULT_MISSING) -> Feature:
    """Bins for a column: edges for numbers with more than a few values, else categories. Raises BadColumn."""
    type_ = type_of(column, missing)
    if type_ in (Type.NUMBER, Type.DATETIME):
        numbers, _ = Numeric(column.name, (), type_, missing).take(column.values)
        values, counts = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
        if len(values) > FEW_VALUES or (type_ is Type.DATETIME and len(values)):
            return Numeric(column.name, _edges(values, counts), type_, missing)
    counted = Counter(name for name in _names(column, type_, missing) if name is not None)
    # By name where the counts are equal: the same data gives the same reference.
    frequent = sorted(counted, key=lambda name: (-counted[name], name))
    if len(frequent) <= MAX_CATEGORIES:
        return Categorical(column.name, tuple(frequent), type_, missing_values=missing)
    # Of many that are nearly as frequent, the first ones are so by chance, and would be less so in any window.
    fewest = _OWN_BIN_SHARE * counted.total()
    own = [name for name in frequent[:MAX_CATEGORIES] if counted[name] >= fewest]
    tail = Tail(np.unique(hashes_of(frequent[len(own) :][:MAX_KNOWN])), TAIL_GROUPS)
    return Categorical(column.name, tuple(own), type_, tail, missing)


def column_for(feature: Feature, values: Sequence[Value]) -> NDArray[np.float64] | Sequence[Value]:
    """Raw values as the feature's encode takes them."""
    return feature.take(values)[0] if isinstance(feature, Numeric) else values


def unseen_share(column: Column, missing: Missing = DEFAULT_MISSING) -> float:
    """The share of a column's values that occur once: how likely the next one is a new category (Good 1953)."""
    counted = Counter(name for name in _names(column, type_of(column, missing), missing) if name is not None)
    return sum(count == 1 for count in counted.values()) / max(1, sum(counted.values()))


def _names(column: Column, type_: Type, missing: Missing) -> list[str | None]:
    """The category of each value; None where it is missing."""
    return [None if value in missing else category_of(value, type_) for value in column.values]


def _edges(values: NDArray[np.float64], counts: NDArray[np.intp]) -> tuple[float, ...]:
    """Edges at the deciles, apart from spikes, which get a bin of their own; from distinct values that rise.

    An edge lies halfway between two values of the data, so rounding of a value does not move it to another bin.
    """
    share = counts / counts.sum()
    spikes = np.flatnonzero((share >= _SPIKE_SHARE) & (share >= _SPIKE_BY_OTHERS * np.median(share)))
    if len(values) <= FEW_VALUES:
        spikes = np.arange(len(values))
    else:
        spikes = spikes[np.argsort(-share[spikes], kind="stable")][:_MAX_SPIKES]
    rest = counts.copy()
    rest[spikes] = 0
    bins = min(BINS, int(rest.sum()) // _ROWS_OF_A_BIN)
    # The first value that at least so many others lie below: an edge is before it.
    cuts = np.searchsorted(np.cumsum(rest), rest.sum() * np.arange(1, bins) / max(1, bins), side="right")
    edges = {int(cut): _between(values[cut - 1], values[cut]) for cut in cuts if 0 < cut < len(values)}
    for at in spikes.tolist():
        for cut, neighbour in ((at, at - 1), (at + 1, at + 1)):
            edges[cut] = _beside(values, at, neighbour)
    return tuple(sorted(set(edges.values())))


def _between(low: float, high: float) -> float:
    middle = float(low / 2 + high / 2)
    return middle if low < middle <= high else float(high)


def _beside(values: NDArray[np.float64], at: int, neighbour: int) -> float:
    """An edge close to a spike: new values near it are not taken for it."""
    value, inside = float(values[at]), 0 <= neighbour < len(values)
    gap = abs(float(values[neighbour]) - value) if inside else abs(value)
    width = min(gap / 2, _SPIKE_WIDTH * max(abs(value), gap)) or _SPIKE_WIDTH
    edge = value - width if neighbour < at else value + width
    if edge != value:
        return edge
    return value if neighbour < at else float(np.nextafter(value, np.inf))


def _only_once(feature: Categorical, column: Column) -> list[int]:
    """Rows whose category no other row has.

    They count as new ones: so many will the next rows hold that training data do not (Good, "The population frequencies
    of species and the estimation of population parameters", Biometrika 40, 1953).
    """
    names = _names(column, feature.type, feature.missing_values)
    counted = Counter(names)
    return [at for at, name in enumerate(names) if name is not None and counted[name] == 1]


def _evenly(values: Sequence[Value], count: int) -> Sequence[Value]:
    """So many values at equal distances: every time of the data is in it, and the same data gives the same sample."""
    return [values[at * len(values) // count] for at in range(count)] if count < len(values) else values


def _plain(feature: Feature, values: Sequence[Value]) -> list[Value]:
    """Values as the feature takes them, None where one is missing."""
    if isinstance(feature, Numeric):
        return [number if np.isfinite(number) else None for number in feature.take(values)[0].tolist()]
    return list(_names(Column(feature.name, values), feature.type, feature.missing_values))


def _count(codes: NDArray[np.intp], layout: Layout) -> NDArray[np.int64]:
    return np.bincount(codes.ravel(), minlength=layout.size).astype(np.int64)


def _segments(segment: Column, codes: NDArray[np.intp], layout: Layout, missing: Missing) -> Segments:
    type_ = type_of(segment, missing)
    names = _names(segment, type_, missing)
    counted = Counter(name for name in names if name is not None)
    values = tuple(sorted(counted, key=lambda name: (-counted[name], name))[:MAX_SEGMENTS])
    label = Categorical(segment.name, values, type_, missing_values=missing)
    groups = label.encode(segment.values)
    counts = [_count(codes[groups == group], layout) for group in range(len(values))]
    return Segments(label, np.asarray(counts, dtype=np.int64).reshape(-1, layout.size))


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
        found = blocks[:, part]
        scores = drift_score(feature.expected(expected[..., part], found), found)
        thresholds[feature.name] = round(min(1.0, float(scores.mean() + _DEVIATIONS * scores.std())), 6)
    return thresholds
