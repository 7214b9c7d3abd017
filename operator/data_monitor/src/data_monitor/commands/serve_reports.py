"""``data-monitor serve-reports``: the reports over HTTP, and a new one when the data drifts."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from pathlib import Path

from data_monitor import config
from data_monitor.errors import InputError
from data_monitor.report import server
from data_monitor.report.folder import Folder


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    serve = commands.add_parser(
        "serve-reports",
        help="serve the reports, and have them made when the data drifts",
        description="Serves the monitor's reports read-only over HTTP. While the score is above its threshold, it "
        "runs `data-monitor report` in a process of its own.",
    )
    serve.add_argument("--config", type=Path, required=True, help="configuration file of the monitor")
    serve.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop; returns the exit code."""
    settings = config.load(arguments.config).report
    if not settings:
        raise InputError(f"{arguments.config}: report.directory is not set")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    reports = server.reports_of(arguments.config, Folder(settings.directory), settings.every)
    try:
        bound = server.http_server(reports, settings.address, settings.port)
    except OSError as error:
        raise InputError(
            f"report: cannot listen on address {settings.address!r}, port {settings.port}: {error.strerror}"
        ) from error
    server.serve(reports, bound, stop)
    return 0
