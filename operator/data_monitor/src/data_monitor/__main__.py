"""Command line of the data monitor."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from data_monitor import __version__, config
from data_monitor.adapters.kafka import Source
from data_monitor.commands import reference, report, run, score, serve_reports, state
from data_monitor.errors import InputError


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="data-monitor", description="Data drift and quality of a Kafka topic.")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True)
    for command in (run, reference, score, report, serve_reports, state):
        command.add_arguments(commands)
    check = commands.add_parser("check", help="say whether a configuration file is right")
    check.add_argument("--config", type=Path, required=True, help="configuration file (YAML)")
    check.set_defaults(run=_check)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader, such as head, has seen enough; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _check(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config)
    # Names and values of the client's settings are known to the client alone.
    Source(settings.kafka, lambda text: None).close()
    print(f"{arguments.config}: good")
    return 0


if __name__ == "__main__":
    sys.exit(main())
