"""``data-monitor report``: what drifted, as a page with the monitor's scores."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

import msgspec
import numpy as np

from data_monitor import config
from data_monitor.adapters import references, tables
from data_monitor.commands.common import bad_column_in, columns_of, fields_of, hours_of, read_table
from data_monitor.commands.reference import choose
from data_monitor.core.hours import HOURS
from data_monitor.core.judge import Judge, Rules
from data_monitor.core.learn import learn
from data_monitor.core.reference import Reference
from data_monitor.core.values import DEFAULT_MISSING
from data_monitor.errors import InputError
from data_monitor.report.drift_report import DriftReport, Rows
from data_monitor.report.folder import Folder, Sample, Summary, name_of

_SUFFIXES = (".html", ".json")
_KINDS = ("summary", "evidently")


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    report = commands.add_parser(
        "report",
        help="show what drifted",
        description="Compares rows with a reference and writes a page whose scores are the monitor's. "
        "With --config: the monitor's latest sample of its window; otherwise two files.",
    )
    report.add_argument(
        "--reference-data",
        type=Path,
        nargs="+",
        help=f"rows of the training data: files or a folder ({tables.FORMATS})",
    )
    report.add_argument("--current-data", type=Path, nargs="+", help="rows to compare, likewise")
    report.add_argument("--reference", type=Path, help="a reference (default: one learned from --reference-data)")
    report.add_argument("--config", type=Path, help="configuration file of a monitor; with files: the names of fields")
    report.add_argument("--output", type=Path, help="file to write: .html or .json (default: the monitor's reports)")
    report.add_argument(
        "--kind", choices=_KINDS, help="by whom: the monitor itself or Evidently (default: report.kind, or summary)"
    )
    report.add_argument("--reason", default="on demand", help="why, for the list of reports (on demand)")
    report.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make a report; returns the exit code."""
    output: Path | None = arguments.output
    if output and output.suffix not in _SUFFIXES:
        raise InputError(f"{output}: the name must end in {' or '.join(_SUFFIXES)}")
    if arguments.reference_data or arguments.current_data:
        return _from_files(arguments, output)
    if not arguments.config:
        raise InputError("either --config, for the monitor's sample, or --reference-data and --current-data")
    return _from_sample(config.load(arguments.config), arguments, output)


def _from_files(arguments: argparse.Namespace, output: Path | None) -> int:
    if not (arguments.reference_data and arguments.current_data and output):
        raise InputError("--reference-data, --current-data and --output belong together")
    fields = fields_of(arguments.config)
    known = references.load(arguments.reference) if arguments.reference else None
    missing = known.missing if known else DEFAULT_MISSING
    expected = read_table(arguments.reference_data, fields, missing)
    if known:
        reference = known
    else:
        with bad_column_in(expected.source):
            features, prediction = choose(expected, fields)
            reference = learn(features, prediction=prediction)
    current = read_table(arguments.current_data, fields, missing)
    weights: list[int] = []
    if reference.hours is not None:
        weights = np.bincount(hours_of(current, fields), minlength=HOURS).tolist()
    made = _make(
        reference.at(weights),
        columns_of(reference, expected, fields),
        columns_of(reference, current, fields),
        Rules(),
        _kind(arguments),
    )
    _write(made, output)
    return 0


def _kind(arguments: argparse.Namespace) -> str:
    """As the option says, or else the configuration."""
    settings = config.load(arguments.config).report if arguments.config else None
    return arguments.kind or (settings.kind if settings else _KINDS[0])


def _from_sample(configuration: config.Config, arguments: argparse.Namespace, output: Path | None) -> int:
    if not configuration.report:
        raise InputError("report.directory is not set: the monitor takes no sample")
    reference = references.load(configuration.reference)
    kind = arguments.kind or configuration.report.kind
    if kind == "evidently" and not reference.sample:
        raise InputError(f"{configuration.reference} holds no rows to show: build it with --sample")
    folder = Folder(configuration.report.directory)
    sample = _sample(folder, reference)
    rules = Rules(threshold=configuration.score.threshold)
    made = _make(reference.at(sample.hours), reference.sample, sample.columns, rules, kind)
    if output:
        _write(made, output)
        return 0
    head = {name: getattr(sample, name) for name in ("model", "score", "threshold", "features", "reference", "events")}
    summary = Summary(
        **head,
        evaluated_at=sample.evaluated_at,
        name=name_of(sample.evaluated_at),
        reason=arguments.reason,
        rows=sample.rows,
    )
    try:
        print(folder.add(made.html, summary, configuration.report.keep))
    except OSError as error:
        raise InputError(f"{folder.reports}: {error.strerror}") from error
    return 0


def _sample(folder: Folder, reference: Reference) -> Sample:
    try:
        sample = folder.sample()
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(f"{folder.path}: the monitor's sample cannot be read: {error}") from error
    if sample is None:
        raise InputError(f"{folder.path}: no sample yet; the monitor writes one once its window holds enough events")
    if sample.reference != reference.digest:
        raise InputError(f"the sample goes with reference {sample.reference}, the file holds {reference.digest}")
    return sample


def _make(reference: Reference, expected: Rows, current: Rows, rules: Rules, kind: str) -> DriftReport:
    try:
        make = importlib.import_module(f"data_monitor.report.{kind}_report").make
    except ImportError as error:
        raise InputError(
            f"a report of this kind needs Evidently ({error}): pip install 'streaming-monitoring-data-monitor[report]' "
            "or take the image data-monitor-report; --kind=summary needs neither"
        ) from error
    thresholds = {feature.name: rules.threshold for feature in reference.features}
    made: DriftReport = make(reference, expected, current, {**thresholds, **Judge(reference, rules).thresholds})
    return made


def _write(made: DriftReport, output: Path) -> None:
    try:
        output.write_text(made.html if output.suffix == ".html" else json.dumps(made.json, indent=1))
    except OSError as error:
        raise InputError(f"{output}: {error.strerror}") from error
    top = sorted(made.scores.items(), key=lambda item: -item[1])
    print(f"{output}: {', '.join(f'{name} {score:.3f}' for name, score in top)}")
