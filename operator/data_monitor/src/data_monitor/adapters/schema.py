"""The part of a record that is read, as typed structs of msgspec: one for each object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from data_monitor.core.bins import Value
from data_monitor.errors import InputError

NUMBER: Final = float | None
ANY: Final = str | int | float | bool | None

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
        fields: list[tuple[str, Any, Any]] = []
        for index, member in enumerate(self._members.values()):
            if isinstance(member, Node):
                inner = member.build()
                fields.append((f"f{index}", inner, msgspec.field(default_factory=inner)))
            else:
                fields.append((f"f{index}", member, None))
        rename = {f"f{index}": key for index, key in enumerate(self._members)}
        # They hold no cycles: the garbage collector need not look at them.
        self.struct = msgspec.defstruct("Record", fields, rename=rename, gc=False)
        return self.struct

    def construct(self, record: Any) -> tuple[Any, bool]:
        """The struct for an untyped object, and whether everything in it had the right type."""
        right, values = True, []
        if not isinstance(record, dict):
            right, record = record is None, {}
        for key, member in self._members.items():
            value = record.get(key)
            if isinstance(member, Node):
                value, fine = member.construct(value)
            else:
                value, fine = _fitted(value, member)
            right = right and fine
            values.append(value)
        return self.struct(*values), right

    def getter(self, path: str) -> attrgetter[Any]:
        """What finds the value of a path in a struct."""
        return attrgetter(self._attribute(path))

    def numbers(self) -> Callable[[Sequence[Any]], dict[str, NDArray[np.float64]]]:
        """What takes all numbers out of structs, by path; None becomes NaN."""
        groups = list(self._groups(""))

        def take(records: Sequence[Any]) -> dict[str, NDArray[np.float64]]:
            found: dict[str, NDArray[np.float64]] = {}
            for paths, rows in groups:
                found |= zip(paths, _matrix(rows, records, len(paths)), strict=True)
            return found

        return take

    def _groups(self, prefix: str) -> Iterator[tuple[list[str], Rows]]:
        """Paths of the numbers of each object, and what takes them at once, which is faster than one by one."""
        keys = [key for key, member in self._members.items() if member == NUMBER]
        if keys:
            yield [prefix + key for key in keys], self._rows(keys)
        for key, member in self._members.items():
            if isinstance(member, Node):
                for paths, rows in member._groups(f"{prefix}{key}."):
                    yield paths, _inside(self.getter(key), rows)

    def _rows(self, keys: list[str]) -> Rows:
        if len(keys) == len(self._members):
            return lambda records: map(msgspec.structs.astuple, records)
        get: Callable[[Any], Any] = attrgetter(*map(self._attribute, keys))
        # Of one name attrgetter makes no tuple.
        return lambda records: map(get, records) if len(keys) > 1 else ((get(record),) for record in records)

    def _attribute(self, path: str) -> str:
        node, names = self, []
        for part in path.split("."):
            names.append(f"f{list(node._members).index(part)}")
            node = node._members[part]
        return ".".join(names)


def _inside(get: Callable[[Any], Any], rows: Rows) -> Rows:
    return lambda records: rows(list(map(get, records)))


def _matrix(rows: Rows, records: Sequence[Any], width: int) -> NDArray[np.float64]:
    """One row for each column."""
    shape = (len(records), width)
    try:
        flat = np.fromiter(chain.from_iterable(rows(records)), np.float64, len(records) * width)
    except TypeError:
        # Some are missing.
        flat = np.asarray(list(rows(records)), dtype=np.float64)
    return np.ascontiguousarray(flat.reshape(shape).T)


def _fitted(value: Any, kind: Any) -> tuple[Value, bool]:
    """An untyped value as a leaf takes it, or None and False where it is of another type."""
    if value is None:
        return None, True
    if kind == ANY:
        return (value, True) if isinstance(value, str | int | float | bool) else (None, False)
    try:
        return (float(value), True) if not isinstance(value, bool | str) else (None, False)
    except (TypeError, OverflowError):
        return None, False
