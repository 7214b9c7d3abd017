"""What commands that read tables share."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_monitor import config
from data_monitor.adapters import tables
from data_monitor.adapters.tables import Table
from data_monitor.adapters.times import milliseconds_of
from data_monitor.config import Fields
from data_monitor.core.bins import Numeric
from data_monitor.core.columns import MOST, BadColumn, Column, type_of
from data_monitor.core.hours import hour_of
from data_monitor.core.monitor import EARLIEST_MS
from data_monitor.core.reference import Reference
from data_monitor.core.values import Missing, Value
from data_monitor.errors import InputError

_DAY_SECONDS = 86_400.0


def say(text: str) -> None:
    """Tell the user something that is not the result."""
    print(text, file=sys.stderr)


def fields_of(configuration: Path | None) -> Fields:
    """Where the values are: as a configuration file says, or by default."""
    return config.load(configuration).fields if configuration else Fields()


def read_table(paths: Sequence[Path], fields: Fields, missing: Missing) -> Table:
    """Read files as one table, in which each declared vector is its features. Raises InputError."""
    places = {
        path: vector for vector in fields.all_vectors for path in (f"{fields.features}.{vector.name}", vector.name)
    }
    table = tables.read(paths, say, places)
    for path, vector in places.items():
        if path not in table.columns:
            continue
        found, wrong = vector.take(table.columns.pop(path), missing)
        if wrong:
            say(
                f"warning: {table.source}: {len(wrong):,} of {table.rows:,} values of {vector.name} are no "
                f"{vector.length} numbers, and count as missing; the first is in row {wrong[0] + 1}"
            )
        prefix = path.removesuffix(vector.name)
        for name, column in zip(vector.features, found.tolist(), strict=True):
            table.columns[prefix + name] = column
    return table


def features_in(table: Table, fields: Fields) -> list[str]:
    """Short names of columns that may be features: the members of the features' object, or all others."""
    prefix = f"{fields.features}."
    inside = [name.removeprefix(prefix) for name in table.columns if name.startswith(prefix)]
    if fields.features and inside:
        return inside
    return [name for name in table.columns if name not in (fields.time, fields.prediction, fields.inference_time)]


def find(table: Table, fields: Fields, name: str) -> Column | None:
    """A column by its short or its whole name."""
    found = table.column(f"{fields.features}.{name}") or table.column(name)
    return replace(found, name=name) if found else None


def find_all(table: Table, fields: Fields, names: Iterable[str]) -> list[Column]:
    """Columns by name. Raises InputError that names those that are not there."""
    found = {name: find(table, fields, name) for name in names}
    if absent := [name for name, column in found.items() if column is None]:
        raise InputError(f"{table.source}: no column {', '.join(absent)}; there are {', '.join(table.columns)}")
    return [column for column in found.values() if column]


def columns_of(reference: Reference, table: Table, fields: Fields) -> dict[str, Sequence[Value]]:
    """The values of the reference's features; one that is not there is missing in every row, and said.

    Raises InputError if none is there, or where one is written as the reference's type cannot be.
    """
    found = {feature.name: find(table, fields, feature.name) for feature in reference.features}
    absent = [name for name, column in found.items() if column is None]
    if len(absent) == len(found):
        raise InputError(f"{table.source}: none of the reference's features is there: {', '.join(absent)}")
    if absent:
        say(f"warning: {table.source} has no {', '.join(absent)}: all of it counts as missing")
    for feature in reference.features:
        if isinstance(feature, Numeric) and (column := found[feature.name]):
            warn_of_strays(column, feature, table.source)
    missing: list[Value] = [None] * table.rows
    return {name: column.values if column else missing for name, column in found.items()}


def warn_of_strays(column: Column, feature: Numeric, source: str) -> None:
    """Say which values of a number are none. Raises InputError where they are numbers as people write them."""
    _, strays = feature.take(column.values)
    if strays:
        if len(strays) > (1 - MOST) * len(column.values):
            with bad_column_in(source):
                type_of(column, feature.missing_values)
        say(
            f"warning: {source}: {len(strays):,} of {len(column.values):,} values of {column.name} are no "
            f"{feature.type}, and count as missing; the first is {column.values[strays[0]]!r} in row {strays[0] + 1}"
        )


@contextmanager
def bad_column_in(source: str, way_out: str = "") -> Iterator[None]:
    """Name the file where a column cannot be read, and what else the user can do. Raises InputError.

    ``{column}`` in ``way_out`` stands for the column's name.
    """
    try:
        yield
    except BadColumn as error:
        raise InputError(f"{source}: {error}{way_out.format(column=error.column)}") from error


def hours_of(table: Table, fields: Fields) -> NDArray[np.int64]:
    """The hour of the day (UTC) of each row. Raises InputError where a row has no time, or one that cannot be."""
    if not fields.time:
        raise InputError("fields.time is null: no field of a row says from which hour of the day it is")
    values = table.columns.get(fields.time, [None])
    times = np.array([milliseconds_of(value, fields) for value in values])
    latest = (time.time() + _DAY_SECONDS) * 1000
    wrong = ~((times >= EARLIEST_MS) & (times <= latest))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        why = "is no time" if np.isnan(times[row]) else f"is not between the year 2000 and now in {fields.time_unit}"
        raise InputError(
            f"{table.source}: row {row + 1}: {fields.time} {why}, and the hour of the day is taken from it: "
            f"{values[row]!r}; see fields.timeUnit"
        )
    return np.asarray(hour_of(times.astype(np.int64)))
