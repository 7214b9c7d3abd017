"""Records of the topic to columns of values: typed and many at a time, one by one where a record is not as expected."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from data_monitor.config import Fields
from data_monitor.core import problems
from data_monitor.core.bins import Numeric, Value, category_of
from data_monitor.core.panes import Events
from data_monitor.core.reference import Reference
from data_monitor.errors import InputError

_UNITS_MS: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_NUMBER: Final = float | None
_ANY: Final = str | int | float | bool | None
# Joined, records decode in half the time; one bad record costs its whole chunk the time of both ways.
_CHUNK: Final = 200
_LARGEST_TIME_MS: Final = 1e15

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


@dataclass
class _Node:
    """An object in the record: its members by key, as leaves' types or as objects."""

    members: dict[str, Any] = field(default_factory=dict)
    struct: Any = None

    def leaf(self, path: str, kind: Any) -> None:
        *parents, name = path.split(".")
        node = self
        for parent in parents:
            child = node.members.setdefault(parent, _Node())
            if not isinstance(child, _Node):
                raise InputError(f"field {path}: {parent} is a value of its own in another field")
            node = child
        if isinstance(node.members.get(name), _Node):
            raise InputError(f"field {path}: other fields are inside it")
        if node.members.setdefault(name, kind) != kind:
            raise InputError(f"field {path}: a number in one use, any value in another")

    def build(self) -> Any:
        """The struct for this object; keys are renamed, because not every key is a name in Python."""
        fields: list[tuple[str, Any, Any]] = []
        for index, member in enumerate(self.members.values()):
            if isinstance(member, _Node):
                inner = member.build()
                fields.append((f"f{index}", inner, msgspec.field(default_factory=inner)))
            else:
                fields.append((f"f{index}", member, None))
        rename = {f"f{index}": key for index, key in enumerate(self.members)}
        # They hold no cycles: the garbage collector need not look at them.
        self.struct = msgspec.defstruct("Record", fields, rename=rename, gc=False)
        return self.struct

    def construct(self, record: Any) -> tuple[Any, bool]:
        """The struct for an untyped object, and whether everything in it had the right type."""
        right, values = True, []
        if not isinstance(record, dict):
            right, record = record is None, {}
        for key, member in self.members.items():
            value = record.get(key)
            if isinstance(member, _Node):
                value, fine = member.construct(value)
            else:
                value, fine = _fitted(value, member)
            right = right and fine
            values.append(value)
        return self.struct(*values), right

    def attribute(self, path: str) -> str:
        """What operator.attrgetter finds the value of a path by."""
        node, names = self, []
        for part in path.split("."):
            names.append(f"f{list(node.members).index(part)}")
            node = node.members[part]
        return ".".join(names)


class Decoder:
    """Decodes records for one reference."""

    def __init__(self, reference: Reference, fields: Fields) -> None:
        self._features = reference.features
        self._layout = reference.layout
        paths = feature_paths(reference, fields)
        root = _Node()
        for path, feature in zip(paths, self._features, strict=True):
            root.leaf(path, _NUMBER if isinstance(feature, Numeric) else _ANY)
        root.leaf(fields.time, _NUMBER)
        if fields.inference_time:
            root.leaf(fields.inference_time, _NUMBER)
        segments = reference.segments
        if segments:
            segment_path = f"{fields.features}.{segments.path}" if fields.features else segments.path
            root.leaf(segment_path, _ANY)
        self._root = root
        self._decoder = msgspec.json.Decoder(root.build())
        wanted = [fields.time, *([fields.inference_time] if fields.inference_time else []), *paths]
        self._get = attrgetter(*map(root.attribute, wanted))
        self._width = len(wanted)
        self._segment = attrgetter(root.attribute(segment_path)) if segments else None
        self._groups = {value: code for code, value in enumerate(segments.values)} if segments else {}
        self._time_ms = _UNITS_MS[fields.time_unit]
        self._inference_ms = _UNITS_MS[fields.inference_time_unit] if fields.inference_time else None

    def decode(self, values: Sequence[bytes | None]) -> Decoded:
        """Decode a batch; never raises for what is in a record."""
        kinds: list[tuple[int, str]] = []
        records: list[Any] = []
        for at in range(0, len(values), _CHUNK):
            chunk = values[at : at + _CHUNK]
            records += self._together(chunk) or [self._alone(value, at + i, kinds) for i, value in enumerate(chunk)]
        positions = [position for position, record in enumerate(records) if record is not None]
        rows: list[Any] = list(zip(*map(self._get, (records[position] for position in positions)), strict=True))
        rows = rows or [()] * self._width
        times = _floats(rows[0]) * self._time_ms
        dated = np.isfinite(times)
        times = np.clip(times, 0, _LARGEST_TIME_MS)
        latencies = np.full(len(times), math.nan)
        if self._inference_ms is not None:
            latencies = _floats(rows[1]) * self._inference_ms
            latencies[latencies < 0] = math.nan
        columns: list[Column] = [
            _floats(row) if isinstance(feature, Numeric) else row
            for feature, row in zip(self._features, rows[-len(self._features) :], strict=True)
        ]
        codes = self._layout.encode(columns)
        if self._segment:
            other = len(self._groups)
            look_up = self._groups.get
            groups = [look_up(_text(self._segment(records[position])), other) for position in positions]
            codes = codes + np.asarray(groups, np.intp)[:, None] * self._layout.size
        good = np.asarray(positions, np.intp)
        if not dated.all():
            kinds += [(int(position), problems.NO_TIME) for position in good[~dated]]
            good, codes, times, latencies = good[dated], codes[dated], times[dated], latencies[dated]
            columns = [_chosen(column, dated) for column in columns]
        return Decoded(good, Events(times.astype(np.int64), codes, latencies), columns, kinds)

    def _together(self, values: Sequence[bytes | None]) -> list[Any] | None:
        """All records of a chunk; None where one of them is not as expected.

        Only if each text begins and ends as an object does. Then no two of them can make one object together: inside an
        object nothing lets ``{`` follow ``}``. So as many objects as texts means one for each.
        """
        try:
            text = b"\n".join(values)  # type: ignore[arg-type]
        except TypeError:
            return None
        if text[:1] != b"{" or text[-1:] != b"}" or text.count(b"}\n{") != len(values) - 1:
            return None
        try:
            records = self._decoder.decode_lines(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return records if len(records) == len(values) else None

    def _alone(self, value: bytes | None, position: int, kinds: list[tuple[int, str]]) -> Any:
        """One record; None where it is none."""
        try:
            return self._decoder.decode(value or b"")
        except msgspec.ValidationError:
            pass
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            kinds.append((position, problems.MALFORMED))
            return None
        try:
            untyped = msgspec.json.decode(value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            untyped = None
        if not isinstance(untyped, dict):
            kinds.append((position, problems.MALFORMED))
            return None
        record, right = self._root.construct(untyped)
        if not right:
            kinds.append((position, problems.WRONG_TYPE))
        return record


class DeadLetterDecoder:
    """Finds the error type of dead letters."""

    def __init__(self, path: str, types: Sequence[str]) -> None:
        self._types = frozenset(types)
        root = _Node()
        root.leaf(path, _ANY)
        self._decoder = msgspec.json.Decoder(root.build())
        self._get = attrgetter(root.attribute(path))

    def decode(self, values: Sequence[bytes | None]) -> Counter[str]:
        """Dead letters by type, as the counters of a partition name them."""
        return Counter(f"dead.{self._type(value)}" for value in values)

    def _type(self, value: bytes | None) -> str:
        try:
            found = self._get(self._decoder.decode(value or b""))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return problems.OTHER
        return found if found in self._types else problems.OTHER


def feature_paths(reference: Reference, fields: Fields) -> list[str]:
    """Where each feature of the reference is in a record."""
    prefix = f"{fields.features}." if fields.features else ""
    paths = [prefix + feature.name for feature in reference.features]
    if reference.prediction:
        paths[-1] = fields.prediction or reference.features[-1].name
    return paths


def _fitted(value: Any, kind: Any) -> tuple[Value, bool]:
    """An untyped value as a leaf takes it, or None and False where it is of another type."""
    if value is None:
        return None, True
    if kind == _ANY:
        return (value, True) if isinstance(value, str | int | float | bool) else (None, False)
    try:
        return (float(value), True) if not isinstance(value, bool | str) else (None, False)
    except (TypeError, OverflowError):
        return None, False


def _text(value: Value) -> str:
    return category_of(value) if value is not None else ""


def _floats(values: Sequence[float | None]) -> NDArray[np.float64]:
    """None becomes NaN."""
    return np.asarray(values, dtype=np.float64)


def _chosen(column: Column, mask: NDArray[np.bool_]) -> Column:
    if isinstance(column, np.ndarray):
        return column[mask]
    return [value for value, keep in zip(column, mask, strict=True) if keep]
