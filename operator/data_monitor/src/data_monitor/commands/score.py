"""``data-monitor score``: the scores of a file, window by window, by the code that judges the stream."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from data_monitor.adapters import references, tables
from data_monitor.commands.common import columns_of, fields_of, hours_of, read_table, say
from data_monitor.core.hours import HOURS
from data_monitor.core.judge import Judge, Judgement, Rules
from data_monitor.core.learn import column_for
from data_monitor.errors import InputError

_MIN_SAMPLES = 500
_TOP = 3


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    score = commands.add_parser(
        "score",
        help="score a file against a reference, window by window",
        description="Prints one line for each window of consecutive rows: its score from 0 (like the reference) to 1 "
        "(nothing in common), by the code that judges the stream. Rows that do not fill a last window are left out.",
    )
    score.add_argument("--reference", type=Path, required=True, help="made by `data-monitor reference build`")
    score.add_argument(
        "--input", type=Path, nargs="+", required=True, help=f"rows: files or a folder ({tables.FORMATS})"
    )
    score.add_argument("--window", type=int, required=True, help="rows of a window")
    score.add_argument("--min-samples", type=int, help=f"judge no smaller windows (default: {_MIN_SAMPLES} or WINDOW)")
    score.add_argument("--json", action="store_true", help="one JSON object for each window, on a line of its own")
    score.add_argument("--config", type=Path, help="configuration file, for the names of fields")
    score.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Score a file; returns the exit code."""
    window: int = arguments.window
    if window < 1:
        raise InputError(f"--window {window}: a window has at least one row")
    fewest = arguments.min_samples or min(_MIN_SAMPLES, window)
    if fewest > window:
        raise InputError(f"--min-samples {fewest} is more than --window {window}: no window would be judged")
    if window < _MIN_SAMPLES:
        say(f"warning: scores of fewer than {_MIN_SAMPLES} rows are noisy; the monitor itself does not judge them")
    reference = references.load(arguments.reference)
    fields = fields_of(arguments.config)
    table = read_table(arguments.input, fields, reference.missing)
    found = columns_of(reference, table, fields)
    judge = Judge(reference, Rules(min_samples=fewest))
    codes = judge.layout.encode([column_for(feature, found[feature.name]) for feature in reference.features])
    if len(codes) < window:
        raise InputError(f"{table.source}: {len(codes)} rows do not fill a window of {window}")
    hours = hours_of(table, fields) if reference.hours is not None else None
    vector = np.zeros(judge.shape.size, np.int64)
    if not arguments.json:
        print(f"{'window':>6}  {'first row':>10}  {'score':>6}  highest")
    for number, first in enumerate(range(0, len(codes) - window + 1, window)):
        rows = slice(first, first + window)
        vector[: judge.layout.size] = np.bincount(codes[rows].ravel(), minlength=judge.layout.size)
        judgement = judge.drift(vector, np.bincount(hours[rows], minlength=HOURS).tolist() if hours is not None else ())
        assert judgement, "a window holds the samples that it was checked for"
        print(_as_json(number, first, judgement) if arguments.json else _as_text(number, first, judgement))
    return 0


def _as_json(number: int, first: int, judgement: Judgement) -> str:
    return json.dumps({"window": number, "first_row": first, **asdict(judgement)})


def _as_text(number: int, first: int, judgement: Judgement) -> str:
    top = sorted(judgement.features.items(), key=lambda item: -item[1])[:_TOP]
    return f"{number:>6}  {first:>10}  {judgement.score:6.3f}  " + ", ".join(
        f"{name} {value:.3f}" for name, value in top
    )
