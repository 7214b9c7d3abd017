"""``remediator backtest`` over a generated history: 30 days of 1,000 targets, evaluated once a minute.

A stand-in of Prometheus answers each page with the points of ALERTS that it holds. Measured is the whole command, in a
process of its own: reading pages, two simulations (every action helps, none does), and the report as JSON.
BENCH_QUICK=1 takes 100 targets.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import yaml

TARGETS = 100 if os.environ.get("BENCH_QUICK") else 1000
DAYS = 30
DAY = 24 * 60
BEGIN = 1_772_323_200  # 2026-03-01 00:00 UTC
STORMS = (7, 17, 27)
LIMITS = {"seconds": 60, "peak_rss_mib": 500}

Spans = list[tuple[int, int]]


def history() -> dict[str, Spans]:
    """Return when the alert of each target fires, in minutes: once a day for up to an hour, and three storms, in which
    the alerts of half of them begin within five minutes and end within three hours."""
    chance = random.Random(1)
    found: dict[str, Spans] = {}
    for n in range(TARGETS):
        spans = [
            (begin, begin + chance.randrange(3, 60))
            for day in range(DAYS)
            for begin in [day * DAY + chance.randrange(DAY - 60)]
        ]
        if n % 2:
            spans += [
                (begin, begin + chance.randrange(60, 180))
                for day in STORMS
                for begin in [day * DAY + 180 + chance.randrange(5)]
            ]
        found[f"job-{n}"] = sorted(spans)
    return found


class Prometheus(BaseHTTPRequestHandler):
    """Answers range queries of ALERTS; of ALERTS_FOR_STATE it knows nothing."""

    alerts: dict[str, Spans]

    def do_GET(self) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlparse(self.path).query).items()}
        first, last = (int((float(asked[name]) - BEGIN) // 60) for name in ("start", "end"))
        series = []
        for app, spans in self.alerts.items() if asked["query"].startswith("ALERTS{") else ():
            at = max(bisect_left(spans, (first - 240, 0)), 0)
            minutes = sorted({m for a, b in spans[at:] if a <= last for m in range(max(a, first), min(b, last + 1))})
            if minutes:
                labels = {"alertname": "Lag", "namespace": "streaming", "app": app, "severity": "critical"}
                metric = {"__name__": "ALERTS", "alertstate": "firing", **labels}
                series.append({"metric": metric, "values": [[BEGIN + 60 * m, "1"] for m in minutes]})
        body = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": series}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def write(folder: Path) -> None:
    """Write a policy, whose storms are those of the history, and the FlinkDeployments."""
    spec = {
        "match": [{"label": "alertname", "value": "Lag"}],
        "target": {"nameLabel": "app"},
        "actions": [{"type": "Scale", "scale": {"max": 16}}, {"type": "Restart"}],
        "verify": {"query": "lag < 1000"},
        "guards": {"storm": {"maxTargets": 50, "per": "10m"}},
        "revert": {"after": {"query": "lag < 10", "quietFor": "30m"}},
    }
    policy = {"kind": "FlinkRemediationPolicy", "metadata": {"name": "lag"}, "spec": spec}
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
    labels = {"remediation.streaming-monitoring.dev/enabled": "true"}
    job = {"flinkVersion": "v1_20", "job": {"parallelism": 2, "upgradeMode": "last-state"}}
    targets = [
        {
            "kind": "FlinkDeployment",
            "metadata": {"namespace": "streaming", "name": f"job-{n}", "labels": labels},
            "spec": job,
        }
        for n in range(TARGETS)
    ]
    (folder / "targets.json").write_text(json.dumps({"kind": "List", "items": targets}))


def run(report: Callable[[str], None]) -> dict[str, Any]:
    """Measure the command in a process of its own."""
    Prometheus.alerts = history()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Prometheus)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        write(folder)
        command = [
            *(sys.executable, "-m", "remediator", "backtest"),
            f"--prometheus=http://127.0.0.1:{server.server_address[1]}",
            *("--from=2026-03-01T00:00:00Z", "--to=2026-03-31T00:00:00Z", "-o=json"),
            *(f"--policy={folder / 'policy.yaml'}", f"--target={folder / 'targets.json'}"),
        ]
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        with (folder / "out.json").open("wb") as out:
            subprocess.run(command, stdout=out, check=True)
        seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        found = json.loads((folder / "out.json").read_text())
    server.shutdown()
    figures = {
        "targets": TARGETS,
        "days": DAYS,
        "incidents": found["totals"]["incidents"],
        "acts": sum(found["totals"]["acts"].values()),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_rss_mib": round(after.ru_maxrss / 1024),
    }
    for name, limit in LIMITS.items():
        report(f"{name}: {figures[name]}, {limit} allowed")
    return figures
