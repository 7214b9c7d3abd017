"""``data-monitor reference build``: frozen bins and counts from training data."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_monitor.adapters import references, tables
from data_monitor.adapters.tables import Table
from data_monitor.commands.common import (
    bad_column_in,
    features_in,
    fields_of,
    find,
    find_all,
    hours_of,
    read_table,
    say,
    warn_of_strays,
)
from data_monitor.config import Fields
from data_monitor.core.bins import Categorical, Numeric
from data_monitor.core.columns import Column, type_of
from data_monitor.core.learn import FEWEST_BLOCKS, FEWEST_IN_AN_HOUR, MAX_KNOWN, MAX_SEGMENTS, learn, unseen_share
from data_monitor.core.reference import MAX_FEATURES, Reference
from data_monitor.core.values import DEFAULT_MISSING, MISSING_TEXTS, Missing, Type, parse_number
from data_monitor.errors import InputError

_FEWEST_ROWS = 100
_RECOMMENDED_ROWS = 5_000
_MOST_UNSEEN = 0.5
_ALERT_THRESHOLD = 0.2
_SAMPLE = 1_000
_TYPES_SAY = ", or say what it is: --types {column}=text (or =number, and such values count as missing)"


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    group = commands.add_parser("reference", help="make the reference that data is compared with")
    build = group.add_subparsers(dest="subcommand", required=True).add_parser(
        "build",
        help="learn bins, counts and thresholds from training data",
        description="Learns frozen bins and counts from training data, and from contiguous blocks of its rows the "
        "threshold that each feature needs. Rows must be in the order of time.",
    )
    build.add_argument(
        "--input", type=Path, nargs="+", required=True, help=f"training data: files or a folder ({tables.FORMATS})"
    )
    build.add_argument("--output", type=Path, required=True, help="the reference file to write (JSON)")
    build.add_argument("--features", help="names, separated by commas (default: all that look like features)")
    build.add_argument("--prediction", help="the model's output (default: the configured field, if it is there)")
    build.add_argument("--types", help=f"what features are, where the values tell wrongly: NAME={'|'.join(Type)},...")
    build.add_argument(
        "--missing", help="further texts or numbers that stand for a missing value, separated by commas, such as -999"
    )
    build.add_argument(
        "--not-missing", help="texts that stand for themselves, although they often mean a missing value"
    )
    build.add_argument("--segment", help=f"a label whose {MAX_SEGMENTS} most frequent values are also judged apart")
    build.add_argument(
        "--by-hour", action="store_true", help="compare with the hours of the day (UTC) that a window spans"
    )
    build.add_argument("--block", type=int, help="rows of a block: as many as a window will have (default: 1/20)")
    build.add_argument(
        "--sample", type=int, default=_SAMPLE, help=f"rows kept in the file for the report, 0 for none ({_SAMPLE})"
    )
    build.add_argument("--config", type=Path, help="configuration file, for the names of fields")
    build.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Build a reference; returns the exit code."""
    fields = fields_of(arguments.config)
    types = _types(arguments.types)
    missing = Missing.of((MISSING_TEXTS | set(_list(arguments.missing))) - set(_list(arguments.not_missing)))
    table = read_table(arguments.input, fields, missing)
    rows, source = table.rows, table.source
    for vector in fields.all_vectors:
        if not any(find(table, fields, name) for name in vector.features):
            raise InputError(f"{source}: no column {vector.name}, which fields.vectors names")
    if rows < _FEWEST_ROWS:
        raise InputError(f"{source}: {rows} rows; a reference needs {_FEWEST_ROWS}, better {_RECOMMENDED_ROWS}")
    if rows < _RECOMMENDED_ROWS:
        say(f"warning: {rows} rows; with fewer than {_RECOMMENDED_ROWS} the reference itself is noisy")
    with bad_column_in(source, _TYPES_SAY):
        features, prediction = choose(table, fields, _list(arguments.features), arguments.prediction, types, missing)
    segment = find_all(table, fields, [arguments.segment])[0] if arguments.segment else None
    if len(features) > MAX_FEATURES - 1:
        raise InputError(f"{source}: {len(features)} features, at most {MAX_FEATURES - 1}; choose with --features")
    if arguments.by_hour and segment:
        raise InputError("--by-hour and --segment: a segment has no counts by hour; choose one of them")
    block = arguments.block or max(_FEWEST_ROWS, rows // 20)
    if not 1 < block <= rows:
        raise InputError(f"--block {block}: between 2 and the number of rows, {rows}")
    with bad_column_in(source, _TYPES_SAY):
        reference = learn(
            features,
            prediction=prediction,
            segment=segment,
            hours=hours_of(table, fields) if arguments.by_hour else None,
            block=block,
            sample=arguments.sample,
            missing=missing,
            source={"file": ", ".join(path.name for path in arguments.input), "rows": rows},
        )
    references.save(reference, arguments.output)
    _summary(reference, rows, block, arguments.output)
    _warn(reference, [*features, *([prediction] if prediction else [])], source)
    return 0


def choose(
    table: Table,
    fields: Fields,
    names: Sequence[str] = (),
    prediction: str | None = None,
    types: Mapping[str, Type] | None = None,
    missing: Missing = DEFAULT_MISSING,
) -> tuple[list[Column], Column | None]:
    """The features, all that look like some where none are named, and the prediction, with their types.

    Raises InputError, BadColumn.
    """
    types = types or {}
    output = find_all(table, fields, [prediction])[0] if prediction else None
    if not output and fields.prediction:
        output = find(table, fields, fields.prediction)
    wanted = find_all(table, fields, names or features_in(table, fields))
    wanted = [column for column in wanted if not output or column.name != output.name]
    known = [column.name for column in [*wanted, *([output] if output else [])]]
    if unknown := [name for name in types if name not in known]:
        raise InputError(f"--types: no feature {', '.join(unknown)} in {table.source}; there are {', '.join(known)}")
    features = []
    for column in wanted:
        typed = _typed(column, types, missing)
        why_not = None if names or column.name in types else _unlike_a_feature(typed, missing)
        if why_not:
            say(f"left out: {column.name} {why_not}; --features would take it")
        else:
            features.append(typed)
    if not features:
        raise InputError(f"{table.source}: no features; name them with --features")
    return features, _typed(output, types, missing) if output else None


def _typed(column: Column, types: Mapping[str, Type], missing: Missing) -> Column:
    return replace(column, type=types.get(column.name) or type_of(column, missing))


def _unlike_a_feature(column: Column, missing: Missing) -> str | None:
    """Why a column tells rows apart rather than kinds of rows; None where it does not."""
    present = [value for value in column.values if value not in missing]
    if not present:
        return "has no values"
    if column.type is Type.DATETIME:
        return "holds times, which are never as they were"
    if column.type is Type.NUMBER:
        numbers = Numeric(column.name, (), column.type, missing).take(present)[0]
        steps = np.diff(numbers)
        return "counts the rows" if len(steps) and (steps == 1).all() else None
    if (unseen := unseen_share(column, missing)) > _MOST_UNSEEN:
        distinct = len(set(present))
        hint = ""
        if all(isinstance(value, str) and parse_number(value) is not None for value in present):
            hint = f"; its texts are numbers, --types {column.name}=number takes them as such"
        return f"looks like an id ({distinct:,} distinct texts, {unseen:.0%} of the rows have one of their own){hint}"
    return None


def _list(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _types(text: str | None) -> dict[str, Type]:
    found = {}
    for one in _list(text):
        name, _, kind = one.rpartition("=")
        if not name or kind not in list(Type):
            raise InputError(f"--types {one}: wanted NAME=TYPE, with one of {', '.join(Type)}")
        found[name] = Type(kind)
    return found


def _summary(reference: Reference, rows: int, block: int, output: Path) -> None:
    print(f"{output}: {rows:,} rows, digest {reference.digest}")
    for index, feature in enumerate(reference.features):
        role = "prediction" if reference.prediction and index == len(reference.features) - 1 else "feature"
        threshold = reference.thresholds.get(feature.name)
        learned = f", own blocks reach {threshold:.3f}" if threshold is not None else ""
        print(f"  {role} {feature.name}: {feature.type}, {_bins_of(feature)}{learned}")
    if reference.hours is not None and (few := np.flatnonzero(~reference.hours.any(1)).tolist()):
        say(f"fewer than {FEWEST_IN_AN_HOUR} rows, so compared with all: hour {', '.join(map(str, few))}")
    if not reference.thresholds:
        say(f"no thresholds learned: fewer than {FEWEST_BLOCKS} blocks of {block:,} rows")
    if noisy := [name for name, value in reference.thresholds.items() if value > 0.8 * _ALERT_THRESHOLD]:
        say(
            f"warning: blocks of {block:,} rows of the reference itself differ by nearly the alert's threshold of "
            f"{_ALERT_THRESHOLD}: {', '.join(noisy)}. Use a longer window, or one that spans the data's cycle."
        )


def _bins_of(feature: Numeric | Categorical) -> str:
    if isinstance(feature, Numeric):
        return f"numeric, {feature.size} bins"
    tail = f", {len(feature.tail.known):,} more known" if feature.tail else ""
    return f"categorical, {feature.size} bins{tail}"


def _warn(reference: Reference, columns: Sequence[Column], source: str) -> None:
    """Say which features cannot be judged, or not well, and why."""
    for feature, column, part in zip(reference.features, columns, reference.layout.slices, strict=True):
        counts = reference.counts[part]
        share = counts / counts.sum()
        if isinstance(feature, Numeric):
            warn_of_strays(column, feature, source)
        if share[feature.missing] == 1:
            say(f"warning: {feature.name} has no values: nothing is seen but that it gets some")
        elif isinstance(feature, Categorical) and share[feature.other] > _MOST_UNSEEN:
            say(
                f"warning: {feature.name} cannot be judged: {share[feature.other]:.0%} of the rows have a value of "
                f"their own, or one beyond the {MAX_KNOWN:,} that are known; leave it out, or use a coarser one"
            )
        elif share.max() == 1:
            say(f"warning: {feature.name} is always the same: nothing is seen but that it changes at all")
