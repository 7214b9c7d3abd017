"""Frozen bins of a feature, and the codes of a batch of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from data_monitor.core.values import DEFAULT_MISSING, Missing, Type, Value, as_float, category_of

Codes = NDArray[np.intp]
Counts = NDArray[Any]
Hashes = NDArray[np.uint32]
_FEW_EDGES: Final = 32


@dataclass(frozen=True)
class Numeric:
    """Bins between edges, open at both ends, each with its lower edge; then one for missing values.

    Missing is what is no finite number: null, absent, another type.
    """

    name: str
    edges: tuple[float, ...]
    type: Type = Type.NUMBER
    missing_values: Missing = DEFAULT_MISSING

    @property
    def size(self) -> int:
        """Number of bins."""
        return len(self.edges) + 2

    @property
    def missing(self) -> int:
        """The bin of missing values."""
        return self.size - 1

    def expected(self, reference: Counts, found: Counts) -> Counts:
        """What counts of a window are compared with: those of the reference."""
        del found
        return reference

    def take(self, values: Sequence[Value]) -> tuple[NDArray[np.float64], list[int]]:
        """Raw values as numbers, NaN where one is missing; and the positions of those of another type, NaN as well."""
        numbers = [as_float(value, self.type, self.missing_values) for value in values]
        return np.asarray(numbers, dtype=np.float64), [at for at, number in enumerate(numbers) if number is None]

    def encode(self, values: NDArray[np.float64]) -> Codes:
        """The bin of each value."""
        codes = np.searchsorted(self._edges, values, side="right")
        codes[~np.isfinite(values)] = self.missing
        return codes

    @cached_property
    def _edges(self) -> NDArray[np.float64]:
        return np.asarray(self.edges, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Tail:
    """Categories beyond the most frequent ones: known by their hash (CRC-32 of the UTF-8 text), and put into groups.

    So their number costs four bytes each, whatever their names are like. Which group: the hash modulo ``groups``.
    """

    known: Hashes
    """Rising."""
    groups: int

    def encode(self, names: Sequence[str]) -> Codes:
        """The group of each category; ``groups`` for one that is not known."""
        hashes = hashes_of(names)
        at = np.searchsorted(self.known, hashes).clip(max=len(self.known) - 1)
        return np.where(self.known[at] == hashes, hashes % self.groups, self.groups).astype(np.intp)


@dataclass(frozen=True)
class Categorical:
    """A bin for each frequent category of the reference; for groups of the others, if any; for rare and new ones; for
    missing values.
    """

    name: str
    categories: tuple[str, ...]
    type: Type = Type.TEXT
    tail: Tail | None = None
    missing_values: Missing = DEFAULT_MISSING

    @property
    def size(self) -> int:
        """Number of bins."""
        return self.other + 2

    @property
    def other(self) -> int:
        """The bin of rare and new categories."""
        return len(self.categories) + (self.tail.groups if self.tail else 0)

    @property
    def missing(self) -> int:
        """The bin of missing values."""
        return self.size - 1

    def expected(self, reference: Counts, found: Counts) -> Counts:
        """What counts of a window are compared with, over the last axis of two arrays that broadcast.

        Those of the reference; but of the share of new categories that it expects, a window may have less: the training
        data themselves have none. What is expected less of them is expected more of the known ones in the tail.
        """
        if not self.tail:
            return reference
        reference, found = np.broadcast_arrays(np.asarray(reference, np.float64), found)
        share = found[..., self.other] / np.maximum(1, found.sum(-1))
        new = np.minimum(reference[..., self.other], share * reference.sum(-1))
        known = reference[..., self.other - self.tail.groups : self.other]
        weights = np.where(known.any(-1, keepdims=True), known, 1.0)
        moved = (reference[..., self.other] - new)[..., None] * weights / weights.sum(-1, keepdims=True)
        parts = (reference[..., : len(self.categories)], known + moved, new[..., None], reference[..., self.missing :])
        return np.concatenate(parts, -1)

    def encode(self, values: Sequence[Value]) -> Codes:
        """The bin of each value."""
        if self.type is Type.TEXT and (True in values or False in values):
            # For a mapping 1 and true are the same.
            values = [category_of(value) if isinstance(value, bool) else value for value in values]
        found = list(map(self._codes.get, values))
        if None in found:
            # Written in another way, in the tail, rare or new.
            missed = [at for at, code in enumerate(found) if code is None]
            names = [self._name_of(values[at]) for at in missed]
            others = self.tail.encode(names) + len(self.categories) if self.tail else np.full(len(names), self.other)
            for at, name, other in zip(missed, names, others.tolist(), strict=True):
                found[at] = self._codes.get(name, other)
        return np.asarray(found, np.intp)

    def _name_of(self, value: Value) -> str:
        """The category of a value; empty for a missing one."""
        if isinstance(value, str) and self.type is Type.TEXT:
            return "" if value.strip() in self.missing_values.texts else value
        return "" if value in self.missing_values else category_of(value, self.type)

    @cached_property
    def _codes(self) -> Mapping[Value, int]:
        codes: dict[Value, int] = dict.fromkeys(self.missing_values.texts, self.missing)
        codes.update({None: self.missing, "": self.missing})
        codes.update({name: code for code, name in enumerate(self.categories)})
        for code, name in enumerate(self.categories):
            # As JSON may hold it.
            if self.type is Type.BOOLEAN and name in ("true", "false"):
                codes[name == "true"] = code
            elif self.type is not Type.BOOLEAN and (number := _number(name)) is not None:
                codes.setdefault(number, code)
        return codes


def _number(name: str) -> int | float | None:
    """The number whose category has this name, exactly."""
    try:
        number = int(name) if name.lstrip("-").isdecimal() else float(name)
    except ValueError:
        return None
    return number if category_of(number) == name else None


Feature = Numeric | Categorical


def hashes_of(names: Sequence[str]) -> Hashes:
    """CRC-32 of each name."""
    # JSON may hold half a surrogate pair, which has no UTF-8.
    return np.fromiter((crc32(name.encode(errors="surrogatepass")) for name in names), np.uint32, len(names))


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
