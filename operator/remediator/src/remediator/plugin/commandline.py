"""The words of ``kubectl frem``: commands, options, and what they may be."""

import argparse
from datetime import timedelta
from pathlib import Path
from typing import Any

from remediator import __version__
from remediator.core import doctor as doctoring
from remediator.services import doctor
from remediator.services.backtest import request
from remediator.services.words import length, moment_ahead


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="kubectl frem", description="FlinkRemediations: what was done for whom, and what a person does about it."
    )
    top.add_argument("--version", action="version", version=__version__)
    subparsers = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_place(top, None)
    common = argparse.ArgumentParser(add_help=False)
    add_place(common, argparse.SUPPRESS)  # what was given before the command stays

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return subparsers.add_parser(name, parents=[common], help=text, description=f"{text[0].upper()}{text[1:]}.")

    listing = add("list", "list FlinkRemediations, the latest last")
    _add_selection(listing)
    listing.add_argument("-o", "--output", choices=("table", "wide", "json", "yaml"), default="table")
    watching = add("watch", "print a line for each change, until interrupted")
    _add_selection(watching)
    watching.add_argument("--every", type=length, default=timedelta(seconds=2), metavar="TIME", help="default: 2s")
    show = add("show", "show one: what was seen, planned and done, and what came of it")
    show.add_argument("name", metavar="NAME")
    show.add_argument("-o", "--output", choices=("text", "json", "yaml"), default="text")
    approve = add("approve", "approve the plan that is asked about")
    approve.add_argument("name", metavar="NAME")
    approve.add_argument("--plan", default="", help="approve this plan only, such as the one that you have read about")
    add("deny", "deny any plan of one that has not acted").add_argument("name", metavar="NAME")
    for name, text in (
        ("retry", "let one that was refused or did not help begin anew"),
        ("cancel", "stop one that has not ended; what was patched stays"),
    ):
        command = add(name, text)
        command.add_argument("name", metavar="NAME")
        command.add_argument("reason", nargs="*", metavar="REASON", help="for those who read the record")
    pause = add("pause", "pause policies: nothing new begins, what is in flight is finished")
    pause.add_argument("name", nargs="*", metavar="POLICY", help="default: all of the namespace")
    _add_request(pause)
    resume = add("resume", "take pauses of policies back")
    resume.add_argument("name", nargs="*", metavar="POLICY", help="default: all of the namespace")
    resume.add_argument("--reason", default="", help="only those that begin with this; default: all")
    _add_request(add("stop", "stop everything: nothing new begins, whatever the policies say"))
    start = add("start", "take stops of everything back")
    start.add_argument("--reason", default="", help="only those that begin with this; default: all")
    explain = add("explain", "say what would be decided now, and why; nothing is written")
    explain.add_argument(
        "what", nargs="+", metavar="NAME | LABEL=VALUE", help="a FlinkRemediation, or the labels of an alert"
    )
    _add_doctor(add("doctor", "say what FlinkDeployments lack to be watched and remediated, with the YAML to add"))
    request.add_options(add("backtest", "replay policies against past alerts"))
    return top


def add_place(command: argparse.ArgumentParser, default: str | None) -> None:
    def add(*names: str, **options: Any) -> None:
        command.add_argument(*names, default=default, **options)

    add("-n", "--namespace", help="where the chart is installed; default: the context's namespace")
    add("--context", help="context of the kubeconfig; default: the current one")
    add("--kubeconfig", type=Path, metavar="FILE", help="file to connect by; default: the usual ones")


def _add_selection(command: argparse.ArgumentParser) -> None:
    command.add_argument("--open", action="store_true", help="only those that have not ended")
    command.add_argument("--target", metavar="NAME", help="only those of this FlinkDeployment")


def _add_request(command: argparse.ArgumentParser) -> None:
    command.add_argument("--reason", required=True, help="who wants it, and why")
    end = command.add_mutually_exclusive_group()
    end.add_argument("--for", dest="length", type=length, metavar="TIME", help="end by itself after this, such as 2h")
    end.add_argument(
        "--until", type=moment_ahead, metavar="TIME", help="end by itself then (ISO 8601, UTC without a zone)"
    )


def _add_doctor(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", nargs="*", metavar="FLINKDEPLOYMENT", help="default: all of the namespace")
    command.add_argument("--release-namespace", help="where the chart is installed; default: --namespace")
    command.add_argument("--skip", action="append", default=[], choices=doctoring.CHECKS, help="may be repeated")
    command.add_argument("-o", "--output", choices=doctor.FORMATS, default="table")


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    subparsers = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(subparsers.choices)
