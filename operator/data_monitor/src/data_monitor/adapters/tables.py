"""Rows of training data or of a replay: CSV, JSON lines, Parquet."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from data_monitor.core.bins import Value
from data_monitor.errors import InputError

Columns = dict[str, list[Value]]
"""By name; a member of a nested object has a dotted name. None is missing. All of one length."""
Report = Callable[[str], None]
_REPORT_SECONDS = 2.0


def read(path: Path, report: Report) -> Columns:
    """Read a table. Raises InputError, with the line where there is one."""
    readers = {
        ".csv": _read_csv,
        ".jsonl": _read_json_lines,
        ".ndjson": _read_json_lines,
        ".parquet": _read_parquet,
    }
    reader = readers.get(path.suffix.lower())
    if not reader:
        raise InputError(f"{path}: the name must end in one of {', '.join(readers)}")
    try:
        columns = reader(path, report)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from error
    if not columns or not len(next(iter(columns.values()))):
        raise InputError(f"{path}: no rows")
    return columns


def _read_csv(path: Path, report: Report) -> Columns:
    with path.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.reader(lines, strict=True)
        try:
            header = next(reader, [])
            texts: list[list[str]] = [[] for _ in header]
            for row in _progress(reader, path, report):
                if len(row) != len(header):
                    raise InputError(f"{path}:{reader.line_num}: {len(row)} cells, the header has {len(header)}")
                for column, cell in zip(texts, row, strict=True):
                    column.append(cell)
        except csv.Error as error:
            raise InputError(f"{path}:{reader.line_num}: {error}") from error
    return {name: _typed(column) for name, column in zip(header, texts, strict=True)}


def _typed(texts: list[str]) -> list[Value]:
    """Numbers where every cell that is not empty is one."""
    try:
        return [float(text) if text else None for text in texts]
    except ValueError:
        return [text or None for text in texts]


def _read_json_lines(path: Path, report: Report) -> Columns:
    columns: Columns = {}
    decode = msgspec.json.Decoder().decode
    rows = 0
    with path.open("rb") as lines:
        for number, line in enumerate(_progress(lines, path, report), 1):
            if not line.strip():
                continue
            try:
                record = decode(line)
            except (msgspec.DecodeError, RecursionError) as error:
                raise InputError(f"{path}:{number}: not JSON: {error}") from error
            if not isinstance(record, dict):
                raise InputError(f"{path}:{number}: a row is an object, this is {type(record).__name__}")
            for name, value in flatten(record):
                column = columns.setdefault(name, [])
                column.extend([None] * (rows - len(column)))
                column.append(value)
            rows += 1
    for column in columns.values():
        column.extend([None] * (rows - len(column)))
    return columns


def flatten(record: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Scalars with dotted names; a list counts as missing."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, None if isinstance(value, list) else value


def _read_parquet(path: Path, report: Report) -> Columns:
    del report
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise InputError(
            f"{path}: reading Parquet needs pyarrow: pip install 'streaming-monitoring-data-monitor[report]'"
        ) from error
    try:
        table = parquet.read_table(path).flatten().flatten()
    except ArrowException as error:
        raise InputError(f"{path}: not Parquet: {error}") from error
    return {
        name: [value if isinstance(value, str | int | float | bool) else None for value in table[name].to_pylist()]
        for name in table.column_names
    }


def _progress(rows: Any, path: Path, report: Report) -> Iterator[Any]:
    said = time.monotonic()
    for count, row in enumerate(rows):
        yield row
        if count % 10_000 == 0 and time.monotonic() - said > _REPORT_SECONDS:
            said = time.monotonic()
            report(f"{path}: {count:,} rows read")
