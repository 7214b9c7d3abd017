"""Frozen bins of a feature, and the codes of a batch of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, repeat
from typing import Final

import numpy as np
from numpy.typing import NDArray

Value = str | int | float | bool | None
Codes = NDArray[np.intp]
_FEW_EDGES: Final = 32


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
        return np.fromiter(map(self._codes.get, values, repeat(self.other)), np.intp, len(values))

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
        few = {at: one for at, one in enumerate(features) if isinstance(one, Numeric) and len(one.edges) <= _FEW_EDGES}
        self._together = list(few)
        self._alone = [at for at in range(len(features)) if at not in few]
        most = max((len(one.edges) for one in few.values()), default=0)
        # Nothing is above NaN.
        self._edges = np.full((most, len(few), 1), np.nan)
        for at, one in enumerate(few.values()):
            self._edges[: len(one.edges), at, 0] = one.edges
        self._missing = np.asarray([one.missing for one in few.values()], np.intp)[:, None]

    def encode(self, columns: Sequence[NDArray[np.float64] | Sequence[Value]]) -> Codes:
        """Positions in the flat vector, one row for each event and one column for each feature."""
        codes = np.empty((len(self.features), len(columns[0]) if columns else 0), np.intp)
        if self._together:
            codes[self._together] = self._numeric(np.stack([np.asarray(columns[at]) for at in self._together]))
        for at in self._alone:
            codes[at] = self.features[at].encode(columns[at])  # type: ignore[arg-type]
        codes += self._starts[:, None]
        return codes.T

    def _numeric(self, values: NDArray[np.float64]) -> NDArray[np.integer]:
        """The bins of several features, one row for each; comparing with all of few edges beats a search by far."""
        codes = np.zeros(values.shape, np.uint8)
        for edges in self._edges:
            codes += values >= edges
        finite = np.isfinite(values)
        return codes if finite.all() else np.where(finite, codes, self._missing)

    def count(self, columns: Sequence[NDArray[np.float64] | Sequence[Value]]) -> NDArray[np.int64]:
        """The counts of a batch as a flat vector."""
        return np.bincount(self.encode(columns).ravel(), minlength=self.size).astype(np.int64)
