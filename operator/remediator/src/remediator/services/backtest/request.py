"""The options of a backtest, which ``remediator`` and ``kubectl frem`` share."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from remediator.core.backtest.outcomes import Assumed
from remediator.services.backtest.limits import Limit
from remediator.services.words import length, moment_or_ago

FORMATS = ("table", "json", "yaml")
HELPS, NO_EFFECT = "helps", "no-effect"
DESCRIPTION = (
    "Replay policies against past alerts: what would have been done, refused, waited for and asked, and how many "
    "people would have been woken. Nothing is written to a cluster."
)
EPILOG = "Exit code: 0 done, 1 a limit of --fail-if is exceeded, 2 bad input, no cluster or no Prometheus."


@dataclass(frozen=True)
class Request:
    """What is to be replayed."""

    policies: Sequence[Path]
    compared: Sequence[Path]
    targets: Sequence[Path]
    alerts: Sequence[Path]
    prometheus: str
    rules: Sequence[Path]
    start: datetime | None
    end: datetime | None
    step: timedelta
    assumed: Assumed
    output: str
    svg: Path | None
    limits: Sequence[Limit]


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of a backtest to a command."""

    def files(name: str, text: str) -> None:
        command.add_argument(
            f"--{name}", type=Path, action="append", default=[], metavar="FILE", help=f"{text}; may be repeated"
        )

    files("policy", "FlinkRemediationPolicies (YAML; default: those in the cluster)")
    files("compare", "FlinkRemediationPolicies to compare with: the report says what --policy changes")
    files("target", "FlinkDeployments (YAML; default: those in the cluster)")
    files("alerts", "past alerts: Alertmanager's webhooks or API, or Prometheus's answer about ALERTS (JSON)")
    command.add_argument("--prometheus", default="", metavar="URL", help="Prometheus that knows the past alerts")
    files("rules", "alerting rules (YAML) whose expressions are asked of Prometheus, instead of ALERTS")
    command.add_argument(
        "--from",
        dest="start",
        type=moment_or_ago,
        metavar="TIME",
        help="begin of the range: ISO 8601, or how long ago, such as 30d; default: 7d, or the first alert of the files",
    )
    command.add_argument(
        "--to",
        dest="end",
        type=moment_or_ago,
        metavar="TIME",
        help="end of the range; default: now, or an hour after the last alert of the files",
    )
    command.add_argument(
        "--step",
        type=length,
        default=timedelta(minutes=1),
        metavar="TIME",
        help="between two points; default: 1m",
    )
    command.add_argument(
        "--outcome",
        choices=(HELPS, NO_EFFECT),
        default=HELPS,
        help="what comes of an action: the alert ends by it (default), or when it did in history",
    )
    command.add_argument(
        "--takes",
        type=length,
        default=timedelta(minutes=2),
        metavar="TIME",
        help="how long until a job runs after an action; default: 2m",
    )
    command.add_argument(
        "--recovers",
        type=length,
        default=timedelta(minutes=5),
        metavar="TIME",
        help="how long after that the alert ends; default: 5m",
    )
    command.add_argument("-o", "--output", choices=FORMATS, default="table", help="default: table")
    command.add_argument("--svg", type=Path, metavar="FILE", help="draw a picture")
    command.add_argument(
        "--fail-if",
        dest="limits",
        type=_limit,
        action="append",
        default=[],
        metavar="LIMIT",
        help="end with exit code 1 if this holds, such as 'acts>20' or 'woken>=5'; may be repeated",
    )


def to_request(arguments: argparse.Namespace) -> Request:
    """Return what was asked for."""
    return Request(
        policies=arguments.policy,
        compared=arguments.compare,
        targets=arguments.target,
        alerts=arguments.alerts,
        prometheus=arguments.prometheus,
        rules=arguments.rules,
        start=arguments.start,
        end=arguments.end,
        step=arguments.step,
        assumed=Assumed(arguments.outcome == HELPS, arguments.takes, arguments.recovers),
        output=arguments.output,
        svg=arguments.svg,
        limits=arguments.limits,
    )


def _limit(text: str) -> Limit:
    try:
        return Limit.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
