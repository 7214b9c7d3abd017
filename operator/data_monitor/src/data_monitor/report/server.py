"""Serves the reports read-only over HTTP and has one made when the data drifts.

Reports are made by `data-monitor report` in a process of its own, so that this one stays small.
"""

from __future__ import annotations

import html
import logging
import subprocess
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import msgspec

from data_monitor.adapters import http
from data_monitor.report.folder import Finding, Folder, Summary
from data_monitor.report.schedule import Schedule

LOOK_SECONDS = 5.0
REPORT_SECONDS = 600.0
_TOP = 5

log = logging.getLogger(__name__)

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Drift reports</title>
<style>body{{font:16px sans-serif;margin:2em}}td,th{{padding:.3em 1em;text-align:left}}.n{{text-align:right}}</style>
<h1>Drift reports</h1>
<p>{now}</p>
{trouble}<table><tr><th>Sample of (UTC)<th>Model<th>Why<th>Score<th>Features with the highest scores<th>Rows</tr>
{rows}</table>
<p>One now: <code>{command}</code></p></html>
"""


class Reports:
    """The folder, and what happens around it."""

    def __init__(self, folder: Folder, schedule: Schedule, command: list[str]) -> None:
        self.folder = folder
        self._schedule = schedule
        self._command = command
        self._trouble = ""

    def look(self, now: float) -> None:
        """Make a report if one is due; returns when it is made."""
        try:
            finding = self.folder.finding()
        except (OSError, msgspec.MsgspecError) as error:
            self._complain(f"the monitor's sample cannot be read: {error}")
            return
        if finding is None:
            return
        # A monitor that no longer writes is another alert's matter.
        fresh = now - finding.evaluated_at < self._schedule.every
        if self._schedule.due(now, finding.drifted and fresh):
            self._schedule.begun(now)
            self._make()

    def index(self) -> str:
        """The list of reports as a page."""
        try:
            finding = self.folder.finding()
        except (OSError, msgspec.MsgspecError):
            finding = None
        rows = "".join(map(_row, self.folder.summaries()))
        return _PAGE.format(
            now=html.escape(_describe(finding)),
            trouble=f"<p><b>The last report failed:</b> {html.escape(self._trouble)}</p>\n" if self._trouble else "",
            rows=rows or "<tr><td colspan=6>None yet: one is made when the score rises above the threshold.</tr>\n",
            command=html.escape(" ".join(self._command)),
        )

    def _make(self) -> None:
        log.info("making a report")
        try:
            done = subprocess.run(  # noqa: S603
                [*self._command, "--reason=drift"],
                capture_output=True,
                text=True,
                check=False,
                timeout=REPORT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            self._complain(f"not done within {REPORT_SECONDS:.0f} s")
            return
        if done.returncode == 0:
            self._trouble = ""
            log.info("report made: %s", done.stdout.strip())
        elif done.returncode < 0:
            self._complain(f"killed by signal {-done.returncode}; was its memory limit too low?")
        else:
            self._complain(done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}")

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("no report: %s", trouble)
        self._trouble = trouble


def _describe(finding: Finding | None) -> str:
    if finding is None:
        return "The monitor has not written a sample yet: it waits until its window holds enough events."
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(finding.evaluated_at))
    return (
        f"{finding.model}: score {finding.score:.3f} at {moment} UTC, threshold {finding.threshold:g}, "
        f"{finding.events} events in the window, reference {finding.reference}."
    )


def _row(summary: Summary) -> str:
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(summary.evaluated_at))
    top = sorted(summary.features.items(), key=lambda item: -item[1])[:_TOP]
    return (
        f'<tr><td><a href="reports/{summary.name}">{moment}</a><td>{html.escape(summary.model)}'
        f"<td>{html.escape(summary.reason)}<td class=n>{summary.score:.3f}"
        f"<td>{html.escape(', '.join(f'{name} {score:.2f}' for name, score in top))}<td class=n>{summary.rows}</tr>\n"
    )


class _Handler(BaseHTTPRequestHandler):
    reports: ClassVar[Reports]

    def do_GET(self) -> None:
        """Answer with the list, a report, or the newest one."""
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self._answer(HTTPStatus.OK, "text/plain", b"ok\n")
        elif path == "/":
            self._answer(HTTPStatus.OK, "text/html", self.reports.index().encode())
        elif path == "/latest":
            self._latest()
        elif path.startswith("/reports/"):
            self._report(path.removeprefix("/reports/"))
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"There are /, /latest and /reports/NAME.\n")

    do_HEAD = do_GET

    def _latest(self) -> None:
        newest = next(self.reports.folder.summaries(), None)
        self.send_response(HTTPStatus.FOUND)
        # Relative, so that it holds behind a proxy that adds a path.
        self.send_header("Location", f"reports/{newest.name}" if newest else "./")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _report(self, name: str) -> None:
        try:
            page = self.reports.folder.page(name).read_bytes()
        except (ValueError, OSError):
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"There is no such report; / lists those that are kept.\n")
        else:
            self._answer(HTTPStatus.OK, "text/html", page)

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        # Category names come from the data: whatever a report's scripts do, they reach nothing else.
        self.send_header("Content-Security-Policy", "sandbox allow-scripts allow-popups allow-downloads")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        log.debug(format, *args)


def http_server(reports: Reports, address: str, port: int) -> ThreadingHTTPServer:
    """A server that is bound but does not answer yet. Raises OSError."""
    handler = type("Handler", (_Handler,), {"reports": reports})
    return http.bind(address, port, handler)


def serve(reports: Reports, server: ThreadingHTTPServer, stop: threading.Event) -> None:
    """Answer, and look for drift, until told to stop."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    log.info("reports on port %d", server.server_port)
    while not stop.is_set():
        reports.look(time.time())
        stop.wait(LOOK_SECONDS)
    server.shutdown()
    server.server_close()


def reports_of(config: Path, folder: Folder, every: float) -> Reports:
    """What is to be served for a configuration file."""
    newest = next(folder.summaries(), None)
    schedule = Schedule(every, newest.evaluated_at if newest else None)
    return Reports(folder, schedule, [sys.executable, "-m", "data_monitor", "report", f"--config={config}"])
