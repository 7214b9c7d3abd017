"""CSV and Parquet by Arrow, as columns of plain values. Nothing is guessed here: every cell of a CSV is its text."""

from __future__ import annotations

import csv
import decimal
import io
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from data_monitor.core.values import Value, parse_number
from data_monitor.errors import InputError

Parts = Iterator[tuple[int, dict[str, list[Value]]]]
"""Rows, and their columns by name."""
Open = Callable[[], Any]
"""Opens a file's bytes, decompressed, as a stream of Arrow."""
_BLOCK: Final = 16 << 20
_HEAD: Final = 1 << 20
_SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def read_csv(open_: Open, file: Path, report: Callable[[str], None], lists: Collection[str] = ()) -> Parts:
    """Texts of a CSV, UTF-8, separated as its first line is.

    Raises InputError with the row, counted from the header; pyarrow.ArrowException; OSError.
    """
    # A cell with a list is a text as any other.
    del lists
    with open_() as stream:
        header, separator = _header(stream.read(_HEAD), file)
    if not header:
        return
    if separator != "," and ".tsv" not in file.suffixes:
        report(f"{file}: separated by {_SEPARATORS[separator]}")
    wrong: list[Any] = []

    def refuse(row: Any) -> str:
        wrong.append(row)
        return "skip"

    # By number, because Arrow would have names that are there twice be one.
    names = [str(number) for number in range(len(header))]
    with (
        open_() as stream,
        arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(column_names=names, block_size=_BLOCK, use_threads=False),
            parse_options=arrow_csv.ParseOptions(
                delimiter=separator, newlines_in_values=True, invalid_row_handler=refuse
            ),
            convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        ) as reader,
    ):
        first, read, last = True, 0, ""
        for batch in reader:
            _refuse_ragged(wrong, len(header), file)
            columns = [column.to_pylist() for column in batch.columns]
            if first:
                columns = [column[1:] for column in columns]
            rows, first = batch.num_rows - first, False
            read += batch.num_rows
            last = columns[-1][-1] if batch.num_rows and columns[-1] else last
            yield rows, dict(zip(header, columns, strict=True))
    _refuse_ragged(wrong, len(header), file)
    if "\n" in last:
        with open_() as stream:
            # Arrow takes all that follows an open quote for its cell.
            if sum(block.count(b'"') for block in iter(lambda: stream.read(_HEAD), b"")) % 2:
                raise InputError(f"{file}:{read}: a quote is not closed")


def _header(head: bytes, file: Path) -> tuple[list[str], str]:
    """The names in the first line, and what separates them. Raises InputError."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{file}: UTF-16; save it as UTF-8")
    # The last character may be cut; of others that are no UTF-8, Arrow says where they are.
    text = head.decode("utf-8-sig", errors="replace")
    line = next((line for line in text.splitlines() if line.strip()), "")
    outside = "".join(line.split('"')[::2])
    separator = max(_SEPARATORS, key=outside.count)
    try:
        header = [name.strip() for name in next(csv.reader(io.StringIO(text), delimiter=separator, strict=True), [])]
    except csv.Error as error:
        raise InputError(f"{file}:1: {error}") from error
    if twice := [name for name, count in Counter(filter(None, header)).items() if count > 1]:
        raise InputError(f"{file}:1: twice in the header: {', '.join(twice)}")
    if header and all(name and parse_number(name) is not None for name in header):
        raise InputError(f"{file}:1: the first line is to hold the names of the columns, this one holds {header[0]!r}")
    # Several columns without a name are told apart by their width.
    return [name or " " * at for at, name in enumerate(header)], separator


def _refuse_ragged(wrong: Sequence[Any], width: int, file: Path) -> None:
    if wrong:
        row = wrong[0]
        hint = "; does the header lack the name of the first column?" if row.actual_columns == width + 1 else ""
        raise InputError(f"{file}:{row.number}: {row.actual_columns} cells, the header has {width}{hint}")


def read_parquet(open_: Open, file: Path, report: Callable[[str], None], lists: Collection[str] = ()) -> Parts:
    """Columns of a Parquet file, members of structs with dotted names; what is no scalar is left out, and said.

    ``lists`` names columns whose lists are wanted.

    Raises InputError, pyarrow.ArrowException, OSError.
    """
    stream = open_()
    reader = parquet.ParquetFile(stream if stream.seekable() else pa.BufferReader(stream.read()))
    said: set[str] = set()
    if twice := [name for name, count in Counter(reader.schema_arrow.names).items() if count > 1]:
        raise InputError(f"{file}: twice: {', '.join(twice)}")
    for batch in reader.iter_batches():
        table = pa.Table.from_batches([batch])
        while any(pa.types.is_struct(one.type) for one in table.schema):
            table = table.flatten()
        columns = {}
        for name, column in zip(table.column_names, table.columns, strict=True):
            values = column.to_pylist() if name in lists and _is_list(column.type) else _plain(column)
            if values is not None:
                columns[name] = values
            elif name not in said:
                said.add(name)
                report(f"left out: {name} of {file} holds {column.type}, which is no single value")
        if batch.num_rows:
            yield batch.num_rows, columns


def _is_list(kind: Any) -> bool:
    return any(
        check(kind) for check in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    ) and not pa.types.is_nested(kind.value_type)


def _plain(column: Any) -> list[Value] | None:
    """Plain values; None for a type that has none. Times are texts of ISO 8601, durations seconds."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    if pa.types.is_timestamp(kind):
        # Python's times end at microseconds.
        return [
            moment and moment.isoformat() for moment in column.cast(pa.timestamp("us", kind.tz), safe=False).to_pylist()
        ]
    if pa.types.is_date(kind):
        return [day and day.isoformat() for day in column.cast(pa.date32(), safe=False).to_pylist()]
    if pa.types.is_duration(kind):
        return [span and span.total_seconds() for span in column.cast(pa.duration("us"), safe=False).to_pylist()]
    if pa.types.is_decimal(kind):
        return [None if number is None else _decimal(number) for number in column.to_pylist()]
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        # 0.1 of 32 bits is the number that CSV and JSON call 0.1.
        return [None if text is None else float(text) for text in column.cast(pa.string()).to_pylist()]
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return list(column.to_pylist())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return list(column.to_pylist())
    if pa.types.is_null(kind):
        return [None] * len(column)
    return None


def _decimal(number: decimal.Decimal) -> int | float:
    return int(number) if number == number.to_integral_value() else float(number)
