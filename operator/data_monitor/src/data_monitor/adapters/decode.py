"""Records of the topic to columns of values: typed and many at a time, one by one where a record is not as expected."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from data_monitor.adapters.schema import ANY, NUMBER, Node
from data_monitor.config import Fields
from data_monitor.core import problems
from data_monitor.core.bins import Numeric, Value, category_of
from data_monitor.core.panes import Events
from data_monitor.core.reference import Reference

_UNITS_MS: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3}
# Joined, records decode in half the time; one bad record costs its whole chunk the time of both ways.
_CHUNK: Final = 200
_LARGEST_TIME_MS: Final = 1e15
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Column = NDArray[np.float64] | Sequence[Value]


@dataclass
class Decoded:
    """A batch: which of the records were good, and what they hold."""

    good: NDArray[np.intp]
    """Positions in the batch."""
    events: Events
    columns: list[Column]
    """By feature of the reference."""
    problems: list[tuple[int, str]]
    """Position and kind; a record of a wrong type is good all the same."""


class Decoder:
    """Decodes records for one reference."""

    def __init__(self, reference: Reference, fields: Fields) -> None:
        self._layout = reference.layout
        self._time, self._time_ms = fields.time, _UNITS_MS[fields.time_unit]
        self._inference, self._inference_ms = fields.inference_time, _UNITS_MS[fields.inference_time_unit]
        self._root = root = Node()
        root.leaf(fields.time, NUMBER)
        if fields.inference_time:
            root.leaf(fields.inference_time, NUMBER)
        self._features = list(zip(feature_paths(reference, fields), reference.features, strict=True))
        for path, feature in self._features:
            root.leaf(path, NUMBER if isinstance(feature, Numeric) else ANY)
        segments = reference.segments
        if segments:
            segment_path = f"{fields.features}.{segments.path}" if fields.features else segments.path
            root.leaf(segment_path, ANY)
        self._decoder = msgspec.json.Decoder(root.build())
        self._numbers = root.numbers()
        self._texts = {p: root.getter(p) for p, feature in self._features if not isinstance(feature, Numeric)}
        self._segment = root.getter(segment_path) if segments else None
        self._groups = {value: code for code, value in enumerate(segments.values)} if segments else {}

    def decode(self, values: Sequence[bytes | None]) -> Decoded:
        """Decode a batch; never raises for what is in a record."""
        found: list[tuple[int, str]] = []
        records: list[Any] = []
        for at in range(0, len(values), _CHUNK):
            chunk = values[at : at + _CHUNK]
            records += self._together(chunk) or [self._alone(value, at + i, found) for i, value in enumerate(chunk)]
        good = np.arange(len(records))
        if any(kind == problems.MALFORMED for _, kind in found):
            good = np.asarray([at for at, record in enumerate(records) if record is not None], np.intp)
            records = [record for record in records if record is not None]
        numbers = self._numbers(records)
        dated = np.isfinite(numbers[self._time])
        if not dated.all():
            found += [(int(position), problems.NO_TIME) for position in good[~dated]]
            good, records = good[dated], [record for record, keep in zip(records, dated, strict=True) if keep]
            numbers = {path: column[dated] for path, column in numbers.items()}
        columns: list[Column] = [
            numbers[path] if isinstance(feature, Numeric) else list(map(self._texts[path], records))
            for path, feature in self._features
        ]
        return Decoded(good, self._events(numbers, self._codes(columns, records)), columns, found)

    def _events(self, numbers: dict[str, NDArray[np.float64]], codes: NDArray[np.intp]) -> Events:
        times = np.clip(numbers[self._time] * self._time_ms, 0, _LARGEST_TIME_MS).astype(np.int64)
        if not self._inference:
            return Events(times, codes, np.full(len(times), math.nan))
        latencies = numbers[self._inference] * self._inference_ms
        return Events(times, codes, np.where(latencies < 0, math.nan, latencies))

    def _codes(self, columns: list[Column], records: list[Any]) -> NDArray[np.intp]:
        codes = self._layout.encode(columns)
        if self._segment:
            other, look_up = len(self._groups), self._groups.get
            groups = [look_up(_text(self._segment(record)), other) for record in records]
            codes += np.asarray(groups, np.intp)[:, None] * self._layout.size
        return codes

    def _together(self, values: Sequence[bytes | None]) -> list[Any] | None:
        """All records of a chunk; None where one of them is not as expected.

        Only if each text begins and ends as an object does. Then no two of them can make one object together: inside an
        object nothing lets ``{`` follow ``}``. So as many objects as texts means one for each.
        """
        if None in values:
            return None
        texts = cast(Sequence[bytes], values)
        if not all(map(bytes.startswith, texts, repeat(b"{"))) or not all(map(bytes.endswith, texts, repeat(b"}"))):
            return None
        try:
            records = self._decoder.decode_lines(b"\n".join(texts))
        except _UNREADABLE:
            return None
        return records if len(records) == len(values) else None

    def _alone(self, value: bytes | None, position: int, found: list[tuple[int, str]]) -> Any:
        """One record; None where it is none."""
        try:
            return self._decoder.decode(value or b"")
        except msgspec.ValidationError:
            record, right = self._untyped(value)
        except _UNREADABLE:
            record, right = None, False
        if not right:
            found.append((position, problems.MALFORMED if record is None else problems.WRONG_TYPE))
        return record

    def _untyped(self, value: bytes | None) -> tuple[Any, bool]:
        """A record without what has a wrong type; None where it is no object."""
        try:
            untyped = msgspec.json.decode(value or b"")
        except _UNREADABLE:
            return None, False
        return self._root.construct(untyped) if isinstance(untyped, dict) else (None, False)


class DeadLetterDecoder:
    """Finds the error type of dead letters."""

    def __init__(self, path: str, types: Sequence[str]) -> None:
        self._types = frozenset(types)
        root = Node()
        root.leaf(path, ANY)
        self._decoder = msgspec.json.Decoder(root.build())
        self._get = root.getter(path)

    def decode(self, values: Sequence[bytes | None]) -> Counter[str]:
        """Dead letters by type, as the counters of a partition name them."""
        return Counter(f"dead.{self._type(value)}" for value in values)

    def _type(self, value: bytes | None) -> str:
        try:
            found = self._get(self._decoder.decode(value or b""))
        except _UNREADABLE:
            return problems.OTHER
        return found if found in self._types else problems.OTHER


def feature_paths(reference: Reference, fields: Fields) -> list[str]:
    """Where each feature of the reference is in a record."""
    prefix = f"{fields.features}." if fields.features else ""
    paths = [prefix + feature.name for feature in reference.features]
    if reference.prediction:
        paths[-1] = fields.prediction or reference.features[-1].name
    return paths


def _text(value: Value) -> str:
    return category_of(value) if value is not None else ""
