"""Frozen bins of a feature, and the codes of a batch of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Value = str | int | float | bool | None
Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Numeric:
    """Bins between edges, open at both ends, each with its lower edge; then one for missing values.

    Missing is what is no finite number: null, absent, another type.
    """

    name: str
    edges: tuple[float, ...]

    @property
    def size(self) -> int:
        """Number of bins."""
        return len(self.edges) + 2

    @property
    def missing(self) -> int:
        """The bin of missing values."""
        return self.size - 1

    def encode(self, values: NDArray[np.float64]) -> Codes:
        """The bin of each value."""
        codes = np.searchsorted(self._edges, values, side="right")
        codes[~np.isfinite(values)] = self.missing
        return codes

    @cached_property
    def _edges(self) -> NDArray[np.float64]:
        return np.asarray(self.edges, dtype=np.float64)


@dataclass(frozen=True)
class Categorical:
    """A bin for each category of the reference, then one for others (rare or new), then one for missing values."""

    name: str
    categories: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of bins."""
        return len(self.categories) + 2

    @property
    def other(self) -> int:
        """The bin of rare and new categories."""
        return self.size - 2

    @property
    def missing(self) -> int:
        """The bin of missing values."""
        return self.size - 1

    def encode(self, values: Sequence[Value]) -> Codes:
        """The bin of each value."""
        look_up, other = self._codes.get, self.other
        return np.fromiter((look_up(value, other) for value in values), np.intp, len(values))

    @cached_property
    def _codes(self) -> Mapping[Value, int]:
        codes: dict[Value, int] = {None: self.missing, "": self.missing}
        for code, category in enumerate(self.categories):
            codes[category] = code
            # Numbers and booleans are categories by their text.
            if category in ("true", "false"):
                codes.setdefault(category == "true", code)
            else:
                try:
                    codes.setdefault(float(category), code)
                except ValueError:
                    continue
        return codes


Feature = Numeric | Categorical


def category_of(value: Value) -> str:
    """The text that names a value's category: 1 and 1.0 are the same, so are true and "true"."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


class Layout:
    """Where each feature's bins lie in one flat vector of counts."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self.features = tuple(features)
        starts = np.cumsum([0, *(feature.size for feature in features)])
        self.size = int(starts[-1])
        self.slices = tuple(slice(int(a), int(b)) for a, b in pairwise(starts))
        self._starts = starts[:-1]

    def encode(self, columns: Sequence[NDArray[np.float64] | Sequence[Value]]) -> Codes:
        """Positions in the flat vector, one row for each event and one column for each feature."""
        codes = np.empty((len(self.features), len(columns[0]) if columns else 0), np.intp)
        for row, (feature, values) in enumerate(zip(self.features, columns, strict=True)):
            codes[row] = feature.encode(values)  # type: ignore[arg-type]
        codes += self._starts[:, None]
        return codes.T

    def count(self, columns: Sequence[NDArray[np.float64] | Sequence[Value]]) -> NDArray[np.int64]:
        """The counts of a batch as a flat vector."""
        return np.bincount(self.encode(columns).ravel(), minlength=self.size).astype(np.int64)
