#!/usr/bin/env python3
"""Draw panels of the dashboards from the Prometheus of a cluster that a demo has left: the README's pictures.

By default the last remediation that succeeded is shown, from five minutes before its first sign to five minutes after
its end.
"""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
from cluster.__main__ import KUBECONFIG

from dashboards import draw, queries
from dashboards.prometheus import Prometheus
from demo.install import NAMESPACE
from demo.kube import ROOT, Cluster

PICTURES = {
    "streaming-pipeline": (
        "Backlog by consumer group",
        "Produced and taken in",
        "Event time lag",
        "Backpressure by task",
        "Parallelism by task",
        "TaskManagers and slots",
        "Checkpoints",
        "CPU of Flink",
        "Dead letters by topic",
    ),
    "remediations": ("Backlog by consumer group", "Phases entered", "Alerts received"),
    "data-drift": ("Score by feature", "Prediction drift", "Events in the window"),
}
AROUND = 300
HOURS = 6
"""How far back a remediation is looked for."""


def incident(prometheus: Prometheus, now: float, name: str | None = None) -> draw.Span | None:
    """The time of a remediation (the last one that succeeded), with some before and after; None if there was none."""
    records = prometheus.range("remediator_remediation_phase_timestamp_seconds", now - HOURS * 3600, now, 15)
    if name is None:
        succeeded = [record for record in records if record.labels["phase"] == "Succeeded"]
        last = max(succeeded, key=lambda record: record.points[-1][1], default=None)
        name = last.labels["remediation"] if last else ""
    times = [value for record in records if record.labels["remediation"] == name for _, value in record.points]
    if not times:
        return None
    return draw.Span(min(times) - AROUND, min(max(times) + AROUND, now))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images", help="folder of the pictures (docs/images)")
    parser.add_argument("--prometheus", metavar="URL", help="ask this Prometheus instead of the cluster's")
    parser.add_argument("--remediation", metavar="NAME", help="show this FlinkRemediation")
    parser.add_argument("--minutes", type=float, help="show this long until now")
    arguments = parser.parse_args()
    if not arguments.prometheus and not KUBECONFIG.exists():
        print("No cluster runs here: make demo first, or name a --prometheus.", file=sys.stderr)
        return 1
    url = arguments.prometheus
    prometheus = Prometheus.at(url) if url else Prometheus.of(Cluster(KUBECONFIG, NAMESPACE))
    try:
        now = time.time()
        if arguments.minutes:
            span: draw.Span | None = draw.Span(now - arguments.minutes * 60, now)
        else:
            span = incident(prometheus, now, arguments.remediation)
        if span is None:
            print(f"No such remediation within {HOURS} hours; see --remediation and --minutes.", file=sys.stderr)
            return 1
        return pictures(prometheus, arguments.out, span)
    except httpx.HTTPError as error:
        print(f"Prometheus does not answer: {error}", file=sys.stderr)
        return 1


def pictures(prometheus: Prometheus, out: Path, span: draw.Span) -> int:
    """Draw what there is data for; returns the exit code."""
    out.mkdir(parents=True, exist_ok=True)
    written = 0
    began = datetime.fromtimestamp(span.start, UTC)
    for name, titles in PICTURES.items():
        board = queries.boards()[f"{name}.json"]
        shown = draw.look(prometheus, board, titles, span)
        if all(panel.empty for panel in shown):
            print(f"skipped: {name}, no panel has data")
            continue
        source = (
            f"Drawn by scripts/pictures.py from the Prometheus data of a run that is shown from {began:%Y-%m-%d %H:%M} "
            "UTC in minutes; not a screenshot of Grafana."
        )
        marks = draw.happened(prometheus, board, span)
        path = out / f"{name}.svg"
        path.write_text(draw.draw(shown, marks, span, board["title"], source))
        print(f"written: {path}")
        written += 1
    return 0 if written else 1


if __name__ == "__main__":
    sys.exit(main())
