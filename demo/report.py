"""The picture of an incident: lag, load and parallelism over time, with what happened when. Nothing is invented in
it: where nobody answered, the line has a gap."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from demo.incident import Incident

_COLOURS = {"lag": "#1f6fb2", "rate": "#7a7a7a", "parallelism": "#2a8a4a", "alert": "#d64541", "mark": "#555555"}
_WIDEST_NOTE = 118
# As text, not as paths: a reader can search the picture, and it stays small.
STYLE: dict[str, Any] = {"svg.fonttype": "none", "svg.hashsalt": "streaming-monitoring", "font.size": 9}


def timeline(incident: Incident) -> str:
    """What happened when, numbered as in the picture."""
    lines = [f"{number:3d}  {seconds:7.1f} s  {what}" for number, seconds, what in _marks(incident)]
    return "\n".join([*lines, ""])


def table(incident: Incident) -> str:
    """The samples as CSV; an empty cell is a question that nobody answered."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["seconds", "time", "lag", "parallelism", "rate", "alert", "remediation"])
    for s in incident.samples:
        seconds = round(_seconds(incident, s.time), 1)
        rows.writerow([seconds, s.time.isoformat(), s.lag, s.parallelism, s.rate, s.alert, s.remediation])
    return out.getvalue()


def draw(incident: Incident, *, limit: float, title: str) -> str:
    """Return the picture as SVG; ``limit`` is the alert's threshold."""
    marks = list(_marks(incident))
    with mpl.rc_context(STYLE):
        height = 6.2 + 0.19 * len(marks)
        figure = Figure(figsize=(10, height))
        grid = figure.add_gridspec(
            3, 1, height_ratios=[4, 1.2, 1.2], hspace=0.16, left=0.08, right=0.97, top=1 - 0.55 / height,
            bottom=(0.75 + 0.19 * len(marks)) / height,
        )  # fmt: skip
        lag = figure.add_subplot(grid[0])
        rate = figure.add_subplot(grid[1], sharex=lag)
        parallelism = figure.add_subplot(grid[2], sharex=lag)
        _lag(lag, incident, limit)
        _steps(rate, incident, "rate", "events/s")
        _steps(parallelism, incident, "parallelism", "parallelism")
        parallelism.yaxis.set_major_locator(MaxNLocator(integer=True))
        parallelism.set_xlabel("seconds")
        for axes in (lag, rate):
            axes.tick_params(labelbottom=False)
        for axes in (lag, rate, parallelism):
            _mark(axes, marks)
        _number(lag, marks)
        figure.suptitle(title, x=0.08, ha="left", fontsize=11, y=1 - 0.18 / height)
        for number, seconds, what in marks:
            note = what if len(what) <= _WIDEST_NOTE else what[: _WIDEST_NOTE - 1] + "…"
            y = (0.12 + 0.19 * (len(marks) - number)) / height
            figure.text(0.08, y, f"{number}.  {seconds:.0f} s  {note}", fontsize=8, parse_math=False)
        out = io.StringIO()
        # Without a date: the same incident is the same file.
        figure.savefig(out, format="svg", metadata={"Date": None, "Title": title})
    return out.getvalue()


def save(incident: Incident, folder: Path, *, limit: float, title: str) -> list[Path]:
    """Write picture, timeline and samples; return what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in (
        ("incident.svg", draw(incident, limit=limit, title=title)),
        ("timeline.txt", timeline(incident)),
        ("samples.csv", table(incident)),
    ):
        path = folder / name
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _seconds(incident: Incident, time: datetime) -> float:
    return (time - incident.start).total_seconds()


def _marks(incident: Incident) -> Iterator[tuple[int, float, str]]:
    for number, (time, what) in enumerate(sorted(incident.marks, key=lambda mark: mark[0]), start=1):
        yield number, _seconds(incident, time), " ".join(what.split())


def _series(incident: Incident, name: str) -> tuple[list[float], list[float]]:
    times = [_seconds(incident, sample.time) for sample in incident.samples]
    values = [getattr(sample, name) for sample in incident.samples]
    return times, [math.nan if value is None else float(value) for value in values]


def _lag(axes: Axes, incident: Incident, limit: float) -> None:
    times, values = _series(incident, "lag")
    axes.plot(times, values, color=_COLOURS["lag"], linewidth=1.6, marker=".", markersize=3, label="consumer lag")
    axes.axhline(limit, color=_COLOURS["alert"], linewidth=0.9, linestyle="--", label=f"threshold {limit:g}")
    for state, alpha in (("pending", 0.07), ("firing", 0.16)):
        for number, (begin, end) in enumerate(_spans(incident, state)):
            label = f"alert {state}" if number == 0 else None
            axes.axvspan(begin, end, color=_COLOURS["alert"], alpha=alpha, linewidth=0, label=label)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("records")
    axes.grid(alpha=0.25)
    axes.legend(loc="upper left", fontsize=8, framealpha=0.9)


def _steps(axes: Axes, incident: Incident, name: str, label: str) -> None:
    times, values = _series(incident, name)
    axes.step(times, values, where="post", color=_COLOURS[name], linewidth=1.6)
    highest = max((value for value in values if not math.isnan(value)), default=1.0)
    axes.set_ylim(0, max(1.0, highest) * 1.25)
    axes.set_ylabel(label)
    axes.grid(alpha=0.25)


def _spans(incident: Incident, state: str) -> Iterator[tuple[float, float]]:
    """The times during which the alert was in a state, from sample to sample."""
    for first, second in pairwise(incident.samples):
        if first.alert == state:
            yield _seconds(incident, first.time), _seconds(incident, second.time)


def _mark(axes: Axes, marks: Sequence[tuple[int, float, str]]) -> None:
    for _, seconds, _ in marks:
        axes.axvline(seconds, color=_COLOURS["mark"], linewidth=0.7, linestyle=":")


def _number(axes: Axes, marks: Sequence[tuple[int, float, str]]) -> None:
    """Numbers above the lines; those of one moment stand together."""
    left, right = axes.get_xlim()
    groups: list[tuple[float, list[int]]] = []
    for number, seconds, _ in marks:
        if groups and seconds - groups[-1][0] < 0.025 * (right - left):
            groups[-1][1].append(number)
        else:
            groups.append((seconds, [number]))
    for seconds, numbers in groups:
        text = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"
        place = axes.get_xaxis_transform()
        axes.text(seconds, 1.015, text, transform=place, ha="center", fontsize=8, color=_COLOURS["mark"])
