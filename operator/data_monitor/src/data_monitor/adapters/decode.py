"""Records of the topic to columns of values: typed, and mended where a record is not as expected."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import Any, Final, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from data_monitor.adapters.formats import Json, RecordFormat, Unreadable
from data_monitor.adapters.lenient_json import NOT_JSON, loads
from data_monitor.adapters.schema import ANY, NUMBER, VECTOR, Fit, Node
from data_monitor.adapters.times import milliseconds_of, text_ms
from data_monitor.config import UNITS_MS, Fields
from data_monitor.core import problems
from data_monitor.core.bins import Feature, Numeric
from data_monitor.core.panes import Events
from data_monitor.core.reference import Reference
from data_monitor.core.values import Type, Value, as_float
from data_monitor.core.vectors import Vector
from data_monitor.errors import InputError

_LARGEST_TIME_MS: Final = 1e15
# So few that their objects are still in the processor's cache when the numbers are taken out and when they go.
_CHUNK: Final = 256
_UNREADABLE: Final = (*NOT_JSON, Unreadable)
# Longer ones are a wrong unit; their sum must stay finite.
_LONGEST_MS: Final = 1e9

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
    ids: Sequence[Value] = ()
    """Of the good records; empty where nobody asked for them."""


class Decoder:
    """Decodes records for one reference."""

    def __init__(
        self, reference: Reference, fields: Fields, form: RecordFormat | None = None, *, with_ids: bool = False
    ) -> None:
        self._form = form or Json()
        self._layout = reference.layout
        self._fields = fields
        self.by_record = fields.time is None
        """Whether the time of an event is that of its record in the topic."""
        self._inference, self._inference_ms = fields.inference_time, UNITS_MS[fields.inference_time_unit]
        self._root = root = Node()
        # A text is taken apart here; where the unit is a number's, a text is an exception, and slow.
        self._time_text = fields.time if fields.time_unit == "iso8601" else None
        if fields.time:
            root.leaf(fields.time, ANY if self._time_text else NUMBER)
        if fields.inference_time:
            root.leaf(fields.inference_time, NUMBER)
        self._features = list(zip(feature_paths(reference, fields), reference.features, strict=True))
        self._vectors = {_inside(fields, vector.name): vector for vector in vectors_of(reference, fields)}
        self._of_vectors = {_inside(fields, name) for vector in self._vectors.values() for name in vector.features}
        for path in self._vectors:
            root.leaf(path, VECTOR)
        self._fit: dict[str, Fit] = {}
        for path, feature in self._features:
            if path in self._of_vectors:
                continue
            root.leaf(path, NUMBER if _is_number(feature) else ANY)
            self._fit[path] = partial(as_float, type_=feature.type, missing=reference.missing)
        self._segments = reference.segments
        if self._segments:
            self._segment = _inside(fields, self._segments.path)
            root.leaf(self._segment, ANY)
        self._id = fields.id if with_ids else None
        if self._id:
            root.leaf(self._id, ANY)
        self._typed = self._form.typed(root.build())
        self._paths, self._numbers = root.numbers()
        texts = [path for path, feature in self._features if not _is_number(feature) and path not in self._of_vectors]
        texts += self._vectors
        texts += [self._segment] if self._segments else []
        texts += [self._time_text] if self._time_text else []
        texts += [self._id] if self._id else []
        self._texts = {path: root.getter(path) for path in texts}
        self._missing_values = reference.missing
        self._missing = np.asarray(sorted(reference.missing.numbers), np.float64)

    def prepare(self, values: Iterable[bytes | None]) -> None:
        """Have what is needed to decode them. Raises Unavailable."""
        self._form.prepare(values)

    def decode(self, values: Sequence[bytes | None], written_ms: Sequence[int] = ()) -> Decoded:
        """Decode a batch; never raises for what is in a record.

        ``written_ms`` are the times of the records in the topic, -1 where there is none; asked for ``by_record``.
        """
        found: list[tuple[int, str]] = []
        numbers, count = np.empty((len(self._paths), len(values))), 0
        texts: dict[str, list[Value]] = {path: [] for path in self._texts}
        for at in range(0, len(values), _CHUNK):
            records = self._records(values[at : at + _CHUNK], at, found)
            numbers[:, count : count + len(records)] = self._numbers(records)
            count += len(records)
            for path, get in self._texts.items():
                texts[path] += map(get, records)
        good = np.arange(len(values))
        if count < len(values):
            good = np.delete(good, [position for position, kind in found if kind == problems.MALFORMED])
        by_path = dict(zip(self._paths, numbers[:, :count], strict=True))
        times = self._times(by_path, texts, np.asarray(written_ms, np.float64)[good] if self.by_record else None)
        dated = np.isfinite(times)
        if not dated.all():
            found += [(int(position), problems.NO_TIME) for position in good[~dated]]
            good, times = good[dated], times[dated]
            by_path = {path: column[dated] for path, column in by_path.items()}
            texts = {path: list(compress(column, dated)) for path, column in texts.items()}
        if self._vectors:
            self._sum_up(by_path, texts, good, found)
        columns = [self._column(feature, path, by_path, texts, good, found) for path, feature in self._features]
        events = self._events(times, by_path, self._codes(columns, texts))
        return Decoded(good, events, columns, found, texts[self._id] if self._id else ())

    def _times(
        self,
        numbers: dict[str, NDArray[np.float64]],
        texts: dict[str, list[Value]],
        written_ms: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Milliseconds since 1970; NaN where a record has no time."""
        if written_ms is not None:
            return np.where(written_ms < 0, math.nan, written_ms)
        if self._time_text:
            return np.array([milliseconds_of(text, self._fields) for text in texts[self._time_text]], np.float64)
        assert self._fields.time
        return numbers[self._fields.time] * UNITS_MS[self._fields.time_unit]

    def _sum_up(
        self,
        numbers: dict[str, NDArray[np.float64]],
        texts: dict[str, list[Value]],
        good: NDArray[np.intp],
        found: list[tuple[int, str]],
    ) -> None:
        """Put the features of vectors beside the fields that records have."""
        for path, vector in self._vectors.items():
            columns, wrong = vector.take(texts.pop(path), self._missing_values)
            for name, column in zip(vector.features, columns, strict=True):
                numbers[_inside(self._fields, name)] = column
            self._count_wrong(wrong, good, found)

    @staticmethod
    def _count_wrong(wrong: Sequence[int], good: NDArray[np.intp], found: list[tuple[int, str]]) -> None:
        """One problem of a record, however many of its fields are wrong."""
        known = set(found) if wrong else set()
        found += [one for at in wrong if (one := (int(good[at]), problems.WRONG_TYPE)) not in known]

    def _column(
        self,
        feature: Feature,
        path: str,
        numbers: dict[str, NDArray[np.float64]],
        texts: dict[str, list[Value]],
        good: NDArray[np.intp],
        found: list[tuple[int, str]],
    ) -> Column:
        if not isinstance(feature, Numeric):
            # A number with few values is a category, also where it is of a vector.
            return numbers[path].tolist() if path in self._of_vectors else texts[path]
        if _is_number(feature):
            column = numbers[path]
            return np.where(np.isin(column, self._missing), math.nan, column) if len(self._missing) else column
        column, wrong = feature.take(texts[path])
        self._count_wrong(wrong, good, found)
        return column

    def _events(
        self, times_ms: NDArray[np.float64], numbers: dict[str, NDArray[np.float64]], codes: NDArray[np.intp]
    ) -> Events:
        times = np.clip(times_ms, 0, _LARGEST_TIME_MS).astype(np.int64)
        if not self._inference:
            return Events(times, codes, np.full(len(times), math.nan))
        latencies = numbers[self._inference] * self._inference_ms
        return Events(times, codes, np.where((latencies < 0) | (latencies > _LONGEST_MS), math.nan, latencies))

    def _codes(self, columns: list[Column], texts: dict[str, list[Value]]) -> NDArray[np.intp]:
        codes = self._layout.encode(columns)
        if self._segments:
            codes += self._segments.groups(texts[self._segment])[:, None] * self._layout.size
        return codes

    def _records(self, values: Sequence[bytes | None], first: int, found: list[tuple[int, str]]) -> list[Any]:
        """The records among the values, the first of which has position ``first`` in the batch."""
        records: list[Any] = []
        malformed = 0
        decode, rest = self._typed, iter(cast(Sequence[bytes], values))
        while len(records) + malformed < len(values):
            try:
                # What was decoded before an error stays in the list.
                records.extend(map(decode, rest))
            except (*_UNREADABLE, TypeError):
                # A tombstone is the TypeError.
                at = len(records) + malformed
                record, right = self._untyped(values[at])
                if record is None:
                    malformed += 1
                    found.append((first + at, problems.MALFORMED))
                else:
                    records.append(record)
                    if not right:
                        found.append((first + at, problems.WRONG_TYPE))
        return records

    def _untyped(self, value: bytes | None) -> tuple[Any, bool]:
        """A record without what has a wrong type; None where it is no object."""
        try:
            untyped = self._form.untyped(value or b"")
        except Unreadable:
            return None, False
        if not isinstance(untyped, dict):
            return None, False
        if self._fields.time and not self._time_text:
            self._mend_time(untyped, self._fields.time)
        return self._root.construct(untyped, self._fit)

    def _mend_time(self, record: dict[str, Any], path: str) -> None:
        """Put a number in the place of a text that says when the event was."""
        *parents, name = path.split(".")
        for parent in parents:
            record = record.get(parent, {})
            if not isinstance(record, dict):
                return
        if isinstance(found := record.get(name), str) and not math.isnan(time := text_ms(found, self._fields)):
            record[name] = time / UNITS_MS[self._fields.time_unit]


class DeadLetterDecoder:
    """Finds the error type of dead letters."""

    def __init__(self, path: str, types: Sequence[str]) -> None:
        self._types = frozenset(types)
        self._root = Node()
        self._root.leaf(path, ANY)
        self._decoder = msgspec.json.Decoder(self._root.build())
        self._get = self._root.getter(path)

    def decode(self, values: Sequence[bytes | None]) -> Counter[str]:
        """Dead letters by type, as the counters of a partition name them."""
        return Counter(f"dead.{self._type(value)}" for value in values)

    def _type(self, value: bytes | None) -> str:
        try:
            record = self._decoder.decode(value or b"")
        except NOT_JSON:
            try:
                record = self._root.construct(loads(value or b""), {})[0]
            except NOT_JSON:
                return problems.OTHER
        found = self._get(record)
        return found if found in self._types else problems.OTHER


def feature_paths(reference: Reference, fields: Fields) -> list[str]:
    """Where each feature of the reference is in a record."""
    paths = [_inside(fields, feature.name) for feature in reference.features]
    if reference.prediction:
        paths[-1] = fields.prediction or reference.features[-1].name
    return paths


def vectors_of(reference: Reference, fields: Fields) -> list[Vector]:
    """The declared vectors. Raises InputError where the reference knows one of them not at all."""
    names = {feature.name for feature in reference.features}
    for vector in fields.all_vectors:
        if names.isdisjoint(vector.features):
            raise InputError(
                f"fields.vectors.{vector.name}: the reference has no feature {vector.features[0]}; build it with this "
                "configuration: data-monitor reference build --config"
            )
    return fields.all_vectors


def _inside(fields: Fields, name: str) -> str:
    """The path of a feature in a record."""
    return f"{fields.features}.{name}" if fields.features else name


def _is_number(feature: Feature) -> bool:
    """Whether its values are decoded as numbers; times are texts."""
    return isinstance(feature, Numeric) and feature.type is not Type.DATETIME
