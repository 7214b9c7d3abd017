"""What commands that read tables share."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_monitor import config
from data_monitor.adapters.tables import Columns
from data_monitor.adapters.times import milliseconds_of
from data_monitor.config import Fields
from data_monitor.core.bins import Value
from data_monitor.core.hours import hour_of
from data_monitor.core.learn import Column
from data_monitor.core.monitor import EARLIEST_MS
from data_monitor.core.reference import Reference
from data_monitor.errors import InputError

_DAY_SECONDS = 86_400.0


def say(text: str) -> None:
    """Tell the user something that is not the result."""
    print(text, file=sys.stderr)


def fields_of(configuration: Path | None) -> Fields:
    """Where the values are: as a configuration file says, or by default."""
    return config.load(configuration).fields if configuration else Fields()


def features_in(columns: Columns, fields: Fields) -> Columns:
    """Columns that may be features, by their short names: the members of the features' object, or all others."""
    prefix = f"{fields.features}."
    inside = {name.removeprefix(prefix): values for name, values in columns.items() if name.startswith(prefix)}
    if fields.features and inside:
        return inside
    others = (fields.time, fields.prediction, fields.inference_time)
    return {name: values for name, values in columns.items() if name not in others}


def find(columns: Columns, fields: Fields, name: str) -> Column | None:
    """A column by its short or its whole name."""
    for candidate in (f"{fields.features}.{name}", name):
        if candidate in columns:
            return Column(name, columns[candidate])
    return None


def find_all(columns: Columns, fields: Fields, names: Iterable[str], path: Path) -> list[Column]:
    """Columns by name. Raises InputError that names those that are not there."""
    found = {name: find(columns, fields, name) for name in names}
    if absent := [name for name, column in found.items() if column is None]:
        raise InputError(f"{path}: no column {', '.join(absent)}; there are {', '.join(columns)}")
    return [column for column in found.values() if column]


def columns_of(reference: Reference, columns: Columns, fields: Fields, path: Path) -> Columns:
    """The values of the reference's features; one that is not there is missing in every row, and said.

    Raises InputError if none is there.
    """
    found = {feature.name: find(columns, fields, feature.name) for feature in reference.features}
    absent = [name for name, column in found.items() if column is None]
    if len(absent) == len(found):
        raise InputError(f"{path}: none of the reference's features is there: {', '.join(absent)}")
    if absent:
        say(f"warning: {path} has no {', '.join(absent)}: all of it counts as missing")
    missing: list[Value] = [None] * len(next(iter(columns.values())))
    return {name: list(column.values) if column else missing for name, column in found.items()}


def hours_of(columns: Columns, fields: Fields, path: Path) -> NDArray[np.int64]:
    """The hour of the day (UTC) of each row. Raises InputError where a row has no time, or one that cannot be."""
    if not fields.time:
        raise InputError("fields.time is null: no field of a row says from which hour of the day it is")
    values = columns.get(fields.time, [None])
    times = np.array([milliseconds_of(value, fields) for value in values])
    latest = (time.time() + _DAY_SECONDS) * 1000
    wrong = ~((times >= EARLIEST_MS) & (times <= latest))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        why = "is no time" if np.isnan(times[row]) else f"is not between the year 2000 and now in {fields.time_unit}"
        raise InputError(
            f"{path}: row {row + 1}: {fields.time} {why}, and the hour of the day is taken from it: "
            f"{values[row]!r}; see fields.timeUnit"
        )
    return np.asarray(hour_of(times.astype(np.int64)))


def distinct(values: Iterable[Value]) -> int:
    """Number of distinct values that are there."""
    return len({value for value in values if value is not None})
