"""Rows of training data or of a replay: CSV, JSON, Parquet, compressed or not, in one file or several."""

from __future__ import annotations

import lzma
import os
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from data_monitor.adapters.lenient_json import NOT_JSON, loads
from data_monitor.core.columns import Column
from data_monitor.core.values import Value
from data_monitor.errors import InputError

if TYPE_CHECKING:
    # 60 MiB, which the process that reads the topic does without.
    from data_monitor.adapters import arrow

Report = Callable[[str], None]
_KINDS: Final = {
    ".csv": "CSV",
    ".tsv": "CSV",
    ".jsonl": "JSON",
    ".ndjson": "JSON",
    ".json": "JSON",
    ".parquet": "Parquet",
    ".pq": "Parquet",
}
_COMPRESSED: Final = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".xz": "xz"}
FORMATS: Final = f"{', '.join(_KINDS)}; compressed: {', '.join(_COMPRESSED)}"
_REPORT_SECONDS = 2.0
_CHUNK = 5_000
# What pandas and Parquet name an index that has no name.
_INDEX: Final = ("Unnamed: ", "__index_level_")


@dataclass
class Table:
    """Columns by name; a member of a nested object has a dotted name. None is missing. All of one length."""

    source: str
    """The files, for messages."""
    columns: dict[str, list[Value]] = field(default_factory=dict)
    rows: int = 0
    untyped: bool = False
    """Whether all values are texts that may stand for anything, as in CSV."""

    def column(self, name: str) -> Column | None:
        """A column, None where there is no such name."""
        return Column(name, self.columns[name], untyped=self.untyped) if name in self.columns else None

    def add(self, rows: int, columns: dict[str, list[Value]]) -> None:
        """Add rows; a column that only some rows have is missing in the others."""
        for name, values in columns.items():
            column = self.columns.setdefault(name, [None] * self.rows)
            column += values
        self.rows += rows
        for column in self.columns.values():
            column += [None] * (self.rows - len(column))


def read(paths: Sequence[Path], report: Report, lists: Collection[str] = ()) -> Table:
    """Read files, or all of a folder, as one table. Raises InputError that names the file, and the row where it can.

    ``lists`` names columns that may hold lists; elsewhere these are left out.
    """
    import pyarrow as pa

    files = [file for path in paths for file in _files(path)]
    kinds = {_kind(file) for file in files}
    table = Table(", ".join(map(str, paths)), untyped=kinds == {"CSV"})
    if len(kinds) > 1:
        raise InputError(f"{table.source}: files of one kind belong together, these are {' and '.join(sorted(kinds))}")
    for file in files:
        before = set(table.columns)
        try:
            found = _read(file, table, report, lists)
        except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise InputError(f"{file}: {_said(error)}") from error
        except pa.ArrowException as error:
            raise InputError(f"{file}: not {_kind(file)}: {' '.join(str(error).split())}") from error
        if before and found and (odd := before ^ found):
            report(f"warning: {file} and the files before it do not have the same columns: {', '.join(sorted(odd))}")
    _leave_out(table, report)
    if not table.columns or not table.rows:
        raise InputError(f"{table.source}: no rows")
    return table


def _said(error: Exception) -> str:
    """What the system says of an error; Arrow says more than that."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    inside = (file for file in path.rglob("*") if file.is_file() and not file.name.startswith((".", "_")))
    found = sorted(file for file in inside if _suffix(file) in _KINDS)
    if not found:
        raise InputError(f"{path}: no file in it whose name ends in one of {FORMATS}")
    return found


def _suffix(file: Path) -> str:
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes[-1:] and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _kind(file: Path) -> str:
    kind = _KINDS.get(_suffix(file))
    if not kind:
        raise InputError(f"{file}: the name must end in one of {FORMATS}")
    return kind


def _read(file: Path, table: Table, report: Report, lists: Collection[str]) -> set[str]:
    """Add a file's rows; returns the names of its columns."""
    from data_monitor.adapters import arrow

    said, names = time.monotonic(), set[str]()
    read_kind = {"CSV": arrow.read_csv, "Parquet": arrow.read_parquet, "JSON": _read_json}[_kind(file)]
    for rows, columns in read_kind(lambda: _open(file), file, report, lists):
        table.add(rows, columns)
        names |= set(columns)
        if time.monotonic() - said > _REPORT_SECONDS:
            said = time.monotonic()
            report(f"{file}: {table.rows:,} rows read")
    return names


def _open(file: Path) -> Any:
    import pyarrow as pa

    compression = _COMPRESSED.get(file.suffix.lower())
    if compression == "xz":
        return pa.PythonFile(lzma.open(file))
    if compression:
        return pa.CompressedInputStream(pa.OSFile(str(file)), compression)
    return pa.OSFile(str(file))


def _read_json(open_: arrow.Open, file: Path, report: Report, lists: Collection[str]) -> arrow.Parts:
    """Lines with an object each, or one array of objects."""
    del report
    columns: dict[str, list[Value]] = {}
    rows = 0
    with open_() as stream:
        for number, record in _records(stream, file):
            if not isinstance(record, dict):
                raise InputError(f"{file}:{number}: a row is an object, this is {type(record).__name__}")
            for name, value in _flatten(record, lists):
                column = columns.setdefault(name, [])
                if len(column) > rows:
                    raise InputError(
                        f"{file}:{number}: {name} is there twice, as a name with a dot and inside an object"
                    )
                column += [None] * (rows - len(column))
                column.append(value)
            rows += 1
            if rows == _CHUNK:
                yield rows, _filled(columns, rows)
                columns, rows = {}, 0
    if rows:
        yield rows, _filled(columns, rows)


def _filled(columns: dict[str, list[Value]], rows: int) -> dict[str, list[Value]]:
    return {name: column + [None] * (rows - len(column)) for name, column in columns.items()}


def _records(stream: IO[bytes], file: Path) -> Iterator[tuple[int, Any]]:
    """Each object, and its line; its place where they are in an array."""
    lines = _lines(stream)
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if number == 1:
            text = text.removeprefix(b"\xef\xbb\xbf")
            if _suffix(file) == ".json" and (text.startswith(b"[") or text == b"{"):
                yield from enumerate(_array(b"\n".join([text, *lines]), file), 1)
                return
        if text:
            try:
                yield number, loads(text)
            except NOT_JSON as error:
                raise InputError(f"{file}:{number}: not JSON: {error}") from error


def _array(text: bytes, file: Path) -> list[Any]:
    try:
        found = loads(text)
    except NOT_JSON as error:
        raise InputError(f"{file}: not JSON: {error}") from error
    return found if isinstance(found, list) else [found]


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines of a stream of Arrow, whose own readline goes byte by byte."""
    rest = b""
    while block := stream.read(1 << 20):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _flatten(record: dict[str, Any], lists: Collection[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Scalars with dotted names; a list that is not wanted counts as missing."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _flatten(value, lists, f"{prefix}{name}.")
        else:
            yield prefix + name, None if isinstance(value, list) and prefix + name not in lists else value


def _leave_out(table: Table, report: Report) -> None:
    """Leave out what is no field: columns without a name, and objects that were null in some rows."""
    for number, name in enumerate(list(table.columns), 1):
        if not name.strip() or name.startswith(_INDEX):
            report(f"left out: column {number} of {table.source} has no name, as an index has none")
            del table.columns[name]
        elif (
            any(other.startswith(f"{name}.") for other in table.columns)
            and table.columns[name].count(None) == table.rows
        ):
            del table.columns[name]
