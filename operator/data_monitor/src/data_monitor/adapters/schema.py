"""The part of a record that is read, as typed structs of msgspec: one for each object."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from data_monitor.core.values import DEFAULT_MISSING, Type, Value, as_float
from data_monitor.errors import InputError

NUMBER: Final = float | None
ANY: Final = str | int | float | bool | None
VECTOR: Final = list[float | None] | None

_FLOAT_BYTES: Final = 9
_pack = msgspec.msgpack.Encoder().encode

Fit = Callable[[Value], float | None]
"""A value as a number, NaN where it is missing; None where it is of another type."""
Rows = Callable[[Sequence[Any]], Iterable[tuple[float | None, ...]]]


class Node:
    """An object in the record: its members by key, as leaves' types or as objects."""

    def __init__(self) -> None:
        self._members: dict[str, Any] = {}
        self.struct: Any = None

    def leaf(self, path: str, kind: Any) -> None:
        """Add a value; a dot goes into an object. Raises InputError where the path contradicts another one."""
        *parents, name = path.split(".")
        node = self
        for parent in parents:
            child = node._members.setdefault(parent, Node())
            if not isinstance(child, Node):
                raise InputError(f"field {path}: {parent} is a value of its own in another field")
            node = child
        if isinstance(node._members.get(name), Node):
            raise InputError(f"field {path}: other fields are inside it")
        if node._members.setdefault(name, kind) != kind:
            raise InputError(f"field {path}: a number in one use, any value in another")

    def build(self) -> Any:
        """The struct; keys are renamed, because not every key is a name in Python."""
        # Numbers first: they are taken out as one slice.
        self._members = dict(sorted(self._members.items(), key=lambda member: bool(member[1] != NUMBER)))
        fields: list[tuple[str, Any, Any]] = []
        for index, member in enumerate(self._members.values()):
            if isinstance(member, Node):
                inner = member.build()
                fields.append((f"f{index}", inner, msgspec.field(default_factory=inner)))
            else:
                fields.append((f"f{index}", member, math.nan if member == NUMBER else None))
        rename = {f"f{index}": key for index, key in enumerate(self._members)}
        # They hold no cycles: the garbage collector need not look at them.
        self.struct = msgspec.defstruct("Record", fields, rename=rename, gc=False)
        return self.struct

    def construct(self, record: Any, fit: Mapping[str, Fit], prefix: str = "") -> tuple[Any, bool]:
        """The struct for an untyped object, and whether everything in it had the right type.

        ``fit`` says by path how a number is taken from what is none; by default, not at all.
        """
        right, values = True, []
        if not isinstance(record, dict):
            right, record = record is None, {}
        for key, member in self._members.items():
            value, path = record.get(key), prefix + key
            if isinstance(member, Node):
                value, fine = member.construct(value, fit, f"{path}.")
            elif member == ANY:
                fine = isinstance(value, str | int | float | bool | None)
                value = value if fine else None
            elif member == VECTOR:
                # Whether it is one, core.vectors says.
                fine = True
            else:
                found = None if isinstance(value, list | dict) else fit.get(path, _number)(value)
                value, fine = (math.nan, False) if found is None else (found, True)
            right = right and fine
            values.append(value)
        return self.struct(*values), right

    def getter(self, path: str) -> attrgetter[Any]:
        """What finds the value of a path in a struct."""
        return attrgetter(self._attribute(path))

    def numbers(self) -> tuple[list[str], Callable[[Sequence[Any]], NDArray[np.float64]]]:
        """Paths of all numbers, and what takes them out of structs: one row for each path; None becomes NaN."""
        groups = list(self._groups(""))
        paths = [path for group, _ in groups for path in group]

        def take(records: Sequence[Any]) -> NDArray[np.float64]:
            found, at = np.empty((len(paths), len(records))), 0
            for group, rows in groups:
                found[at : at + len(group)] = _matrix(list(rows(records)), len(group))
                at += len(group)
            return found

        return paths, take

    def _groups(self, prefix: str) -> Iterator[tuple[list[str], Rows]]:
        """Paths of the numbers of each object, and what takes them at once, which is faster than one by one."""
        keys = [key for key, member in self._members.items() if member == NUMBER]
        if keys:
            yield [prefix + key for key in keys], self._rows(len(keys))
        for key, member in self._members.items():
            if isinstance(member, Node):
                for paths, rows in member._groups(f"{prefix}{key}."):
                    yield paths, _inside(self.getter(key), rows)

    def _rows(self, count: int) -> Rows:
        if count == len(self._members):
            return lambda records: map(msgspec.structs.astuple, records)
        first = itemgetter(slice(count))
        return lambda records: map(first, map(msgspec.structs.astuple, records))

    def _attribute(self, path: str) -> str:
        node, names = self, []
        for part in path.split("."):
            names.append(f"f{list(node._members).index(part)}")
            node = node._members[part]
        return ".".join(names)


def _inside(get: Callable[[Any], Any], rows: Rows) -> Rows:
    return lambda records: rows(list(map(get, records)))


def _matrix(rows: list[tuple[float | None, ...]], width: int) -> NDArray[Any]:
    """One row for each column. In MessagePack every float takes nine bytes, so numpy finds them at equal distances."""
    packed = _pack(rows)
    start, head = _head(len(rows)), _head(width)
    stride = head + _FLOAT_BYTES * width
    if not rows or len(packed) != start + stride * len(rows):
        # Some are None, which is shorter.
        return np.asarray(rows, dtype=np.float64).reshape(len(rows), width).T
    # The first of the nine bytes says that it is a float.
    return np.ndarray((width, len(rows)), ">f8", packed, start + head + 1, (_FLOAT_BYTES, stride))


def _head(length: int) -> int:
    """Bytes before the members of an array in MessagePack."""
    return 1 if length < 2**4 else 3 if length < 2**16 else 5


def _number(value: Value) -> float | None:
    return None if isinstance(value, str) else as_float(value, Type.NUMBER, DEFAULT_MISSING)
