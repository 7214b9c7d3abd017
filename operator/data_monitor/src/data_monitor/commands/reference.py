"""``data-monitor reference build``: frozen bins and counts from training data."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from data_monitor.adapters import references, tables
from data_monitor.adapters.tables import Columns
from data_monitor.commands.common import distinct, features_in, fields_of, find, find_all, hours_of, say
from data_monitor.config import Fields
from data_monitor.core.bins import Categorical
from data_monitor.core.learn import FEWEST_BLOCKS, FEWEST_IN_AN_HOUR, MAX_SEGMENTS, Column, learn, learn_feature
from data_monitor.core.reference import MAX_FEATURES, Reference
from data_monitor.errors import InputError

_FEWEST_ROWS = 100
_RECOMMENDED_ROWS = 5_000
_TEXT_IS_ID = 0.5
_MANY_TEXTS = 1_000
_ALERT_THRESHOLD = 0.2
_SAMPLE = 1_000


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    group = commands.add_parser("reference", help="make the reference that data is compared with")
    build = group.add_subparsers(dest="subcommand", required=True).add_parser(
        "build",
        help="learn bins, counts and thresholds from training data",
        description="Learns frozen bins and counts from training data, and from contiguous blocks of its rows the "
        "threshold that each feature needs. Rows must be in the order of time.",
    )
    build.add_argument("--input", type=Path, required=True, help="training data: .csv, .jsonl or .parquet")
    build.add_argument("--output", type=Path, required=True, help="the reference file to write (JSON)")
    build.add_argument("--features", help="names, separated by commas (default: all that look like features)")
    build.add_argument("--prediction", help="the model's output (default: the configured field, if it is there)")
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
    path: Path = arguments.input
    fields = fields_of(arguments.config)
    columns = tables.read(path, say)
    rows = len(next(iter(columns.values())))
    if rows < _FEWEST_ROWS:
        raise InputError(f"{path}: {rows} rows; a reference needs {_FEWEST_ROWS}, better {_RECOMMENDED_ROWS}")
    if rows < _RECOMMENDED_ROWS:
        say(f"warning: {rows} rows; with fewer than {_RECOMMENDED_ROWS} the reference itself is noisy")
    names = [name.strip() for name in (arguments.features or "").split(",") if name.strip()]
    features, prediction = choose(columns, fields, path, names, arguments.prediction)
    segment = find_all(columns, fields, [arguments.segment], path)[0] if arguments.segment else None
    if len(features) > MAX_FEATURES - 1:
        raise InputError(f"{path}: {len(features)} features, at most {MAX_FEATURES - 1}; choose with --features")
    if arguments.by_hour and segment:
        raise InputError("--by-hour and --segment: a segment has no counts by hour; choose one of them")
    block = arguments.block or max(_FEWEST_ROWS, rows // 20)
    if not 1 < block <= rows:
        raise InputError(f"--block {block}: between 2 and the number of rows, {rows}")
    reference = learn(
        features,
        prediction=prediction,
        segment=segment,
        hours=hours_of(columns, fields, path) if arguments.by_hour else None,
        block=block,
        sample=arguments.sample,
        source={"file": path.name, "rows": rows},
    )
    references.save(reference, arguments.output)
    _summary(reference, rows, block, arguments.output)
    return 0


def choose(
    columns: Columns, fields: Fields, path: Path, names: list[str], prediction: str | None
) -> tuple[list[Column], Column | None]:
    """The features, all that look like some where none are named, and the prediction. Raises InputError."""
    rows = len(next(iter(columns.values())))
    features = find_all(columns, fields, names, path) if names else _guess(features_in(columns, fields), rows)
    output = find_all(columns, fields, [prediction], path)[0] if prediction else None
    if not output and fields.prediction:
        output = find(columns, fields, fields.prediction)
    features = [column for column in features if not output or column.name != output.name]
    if not features:
        raise InputError(f"{path}: no features; name them with --features")
    return features, output


def _guess(columns: Columns, rows: int) -> list[Column]:
    """All columns but those that tell rows apart rather than kinds of rows."""
    found = []
    for name, values in columns.items():
        column = Column(name, values)
        count = distinct(values)
        if not count:
            say(f"left out: {name} has no values")
        elif isinstance(learn_feature(column), Categorical) and count > min(_MANY_TEXTS, _TEXT_IS_ID * rows):
            say(f"left out: {name} looks like an id ({count:,} distinct texts); --features would take it")
        else:
            found.append(column)
    return found


def _summary(reference: Reference, rows: int, block: int, output: Path) -> None:
    print(f"{output}: {rows:,} rows, digest {reference.digest}")
    for index, feature in enumerate(reference.features):
        role = "prediction" if reference.prediction and index == len(reference.features) - 1 else "feature"
        kind = "categorical" if isinstance(feature, Categorical) else "numeric"
        threshold = reference.thresholds.get(feature.name)
        learned = f", own blocks reach {threshold:.3f}" if threshold is not None else ""
        print(f"  {role} {feature.name}: {kind}, {feature.size} bins{learned}")
    if reference.hours is not None and (few := np.flatnonzero(~reference.hours.any(1)).tolist()):
        say(f"fewer than {FEWEST_IN_AN_HOUR} rows, so compared with all: hour {', '.join(map(str, few))}")
    if not reference.thresholds:
        say(f"no thresholds learned: fewer than {FEWEST_BLOCKS} blocks of {block:,} rows")
    if noisy := [name for name, value in reference.thresholds.items() if value > 0.8 * _ALERT_THRESHOLD]:
        say(
            f"warning: blocks of {block:,} rows of the reference itself differ by nearly the alert's threshold of "
            f"{_ALERT_THRESHOLD}: {', '.join(noisy)}. Use a longer window, or one that spans the data's cycle."
        )
