"""The picture of several courses of one overload: lag and parallelism over time, a line for each."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from demo.incident import Incident, Sample
from demo.report import STYLE


def save(course: Incident, file: Path) -> None:
    """Write a course, to be drawn with others later."""
    file.write_text(json.dumps(dataclasses.asdict(course), default=datetime.isoformat))


def saved(folder: Path) -> dict[str, Incident]:
    """Return the courses in a folder by their names, the longest last."""
    found = {}
    for file in folder.glob("*.json"):
        course = json.loads(file.read_text())
        samples = [Sample(**{**one, "time": datetime.fromisoformat(one["time"])}) for one in course["samples"]]
        found[file.stem] = Incident(datetime.fromisoformat(course["start"]), course["alert"], samples)
    return dict(sorted(found.items(), key=lambda item: len(item[1].samples)))


def draw(courses: Mapping[str, Incident], limit: float) -> str:
    """Return the picture as SVG; ``limit`` is the alert's threshold. Where nobody answered, a line has a gap. It ends a
    minute after the last of them was above the threshold: of who was watched longer there is nothing more to see."""
    end = 0.0
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 6))
        lag, parallelism = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        for name, course in courses.items():
            minutes = [(s.time - course.start).total_seconds() / 60 for s in course.samples]
            lags = [math.nan if s.lag is None else s.lag for s in course.samples]
            end = max([end, *(minute for minute, value in zip(minutes, lags, strict=True) if value >= limit)])
            lag.plot(minutes, lags, linewidth=1.4, label=name.replace("_", " "))
            sizes = [math.nan if s.parallelism is None else s.parallelism for s in course.samples]
            parallelism.step(minutes, sizes, where="post", linewidth=1.4)
        lag.axhline(limit, color="#d64541", linewidth=0.9, linestyle="--", label=f"threshold {limit:g}")
        lag.set_ylabel("records that wait")
        lag.legend(fontsize=8)
        parallelism.set_ylabel("parallelism")
        parallelism.set_xlabel("minutes from the overload")
        parallelism.yaxis.set_major_locator(MaxNLocator(integer=True))
        lag.set_xlim(0, end + 1)
        for axes in (lag, parallelism):
            axes.grid(alpha=0.25)
            axes.set_ylim(bottom=0)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Title": "Recovery from one overload"})
    return out.getvalue()
