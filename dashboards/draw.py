"""Draws panels of a dashboard with matplotlib from what a Prometheus answers: pictures for documents, without Grafana.

The queries, titles, units, limits and marks are those of the written JSON; the look is only similar.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from dashboards import queries, units
from dashboards.prometheus import Prometheus, Series

# As text, not as paths: a reader can search the picture, and it stays small.
_STYLE: dict[str, Any] = {"svg.fonttype": "none", "svg.hashsalt": "streaming-monitoring", "font.size": 8}
_COLOURS = mpl.colormaps["tab10"].colors  # type: ignore[attr-defined]
_RED, _BLUE, _GREY = "#d64541", "#1f6fb2", "#666666"
_LEGEND = 5
_COLUMNS = 3
_WIDEST = 60


@dataclass(frozen=True)
class Span:
    """The time that a picture shows, in seconds since 1970."""

    start: float
    end: float

    @property
    def step(self) -> float:
        """Seconds between two points: a few hundred in all, no more than Prometheus has scraped."""
        return max(5.0, math.ceil((self.end - self.start) / 300))

    def minutes(self, time: float) -> float:
        """Where a time stands on the axis."""
        return (time - self.start) / 60


@dataclass
class Shown:
    """A panel and what Prometheus answered to its queries: the name of each series, and its points."""

    panel: queries.Panel
    lines: list[tuple[str, Series]] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(math.isfinite(value) for _, series in self.lines for _, value in series.points)


@dataclass(frozen=True)
class Marks:
    """What happened: when alerts fired, and what a remediation did."""

    firing: list[tuple[float, float]]
    """First and last moments of the times in which any alert fired."""
    events: list[tuple[float, str]]


def look(prometheus: Prometheus, board: queries.Board, titles: Sequence[str], span: Span) -> list[Shown]:
    """Ask for what panels show, in the order of their titles. Raises KeyError for a title that the board has not."""
    panels = {panel["title"]: panel for panel in queries.panels(board) if panel["type"] in ("timeseries", "stat")}
    values = {**queries.DEFAULTS, "__range": f"{span.end - span.start:.0f}s"}
    found = []
    for title in titles:
        shown = Shown(panels[title])
        for target in shown.panel["targets"]:
            expr = queries.fill_in(target["expr"], values)
            for series in prometheus.range(expr, span.start, span.end, span.step):
                shown.lines.append((_name(target["legendFormat"], series.labels), series))
        found.append(shown)
    return found


def happened(prometheus: Prometheus, board: queries.Board, span: Span) -> Marks:
    """Ask for what the board's annotations mark."""
    firing: set[float] = set()
    events = set()
    for annotation in board["annotations"]["list"]:
        expr = queries.fill_in(annotation["expr"])
        for series in prometheus.range(expr, span.start, span.end, span.step):
            # What has no action ends in a colon.
            title = _name(annotation["titleFormat"], series.labels).rstrip(":")
            if annotation["useValueForTime"]:
                times = {value // 1000 for _, value in series.points}
                events |= {(time, f"{title}, {_name(annotation['textFormat'], series.labels)}") for time in times}
            else:
                firing |= {time for time, _ in series.points}
    return Marks(_runs(sorted(firing), span), sorted(event for event in events if span.start <= event[0] <= span.end))


def draw(shown: Sequence[Shown], marks: Marks, span: Span, title: str, source: str) -> str:
    """Return a picture as SVG. The source says where the data is from, and is written below it."""
    rows = math.ceil(len(shown) / _COLUMNS)
    events = (f"{number}  {_clock(time)}  {what}" for number, (time, what) in enumerate(marks.events, start=1))
    notes = [*events, "Red: an alert fires. Dashed: its threshold. Dotted: a remediation.", source]
    height = 0.6 + 2.9 * rows + 0.16 * len(notes)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(13, height))
        grid = figure.add_gridspec(
            rows, _COLUMNS, left=0.05, right=0.985, hspace=0.7, wspace=0.2,
            top=1 - 0.75 / height, bottom=(0.95 + 0.16 * len(notes)) / height,
        )  # fmt: skip
        for place, panel in enumerate(shown):
            _graph(figure.add_subplot(grid[place // _COLUMNS, place % _COLUMNS]), panel, marks, span)
        figure.suptitle(title, x=0.05, y=1 - 0.12 / height, ha="left", va="top", fontsize=12, fontweight="bold")
        for number, note in enumerate(reversed(notes)):
            style = "italic" if number == 0 else "normal"
            y = (0.08 + 0.16 * number) / height
            figure.text(0.05, y, note, fontsize=7.5, color=_GREY, style=style, parse_math=False)
        out = io.StringIO()
        # Without a date: the same data is the same file.
        figure.savefig(out, format="svg", metadata={"Date": None, "Title": title})
    return out.getvalue()


def with_gaps(series: Series, span: Span) -> tuple[list[float], list[float]]:
    """Minutes and values, with a break where there were no points."""
    times, values = [], []
    before = None
    for time, value in series.points:
        if before is not None and time - before > 1.5 * span.step:
            times.append(span.minutes(before))
            values.append(math.nan)
        times.append(span.minutes(time))
        values.append(value)
        before = time
    return times, values


def _graph(axes: Axes, shown: Shown, marks: Marks, span: Span) -> None:
    defaults = shown.panel["fieldConfig"]["defaults"]
    unit = defaults["unit"]
    axes.set_title(shown.panel["title"], loc="left", fontsize=9, fontweight="bold", pad=9)
    axes.set_xlim(0, span.minutes(span.end))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: units.text(value, unit)))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    for first, last in marks.firing:
        axes.axvspan(span.minutes(first), span.minutes(last), color=_RED, alpha=0.1, linewidth=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda minutes, _: f"{minutes:g} min"))
    _number(axes, marks, span)
    if shown.empty:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=_GREY)
        axes.set_yticks([])
        return
    ordered = sorted(shown.lines, key=lambda line: -_highest(line[1]))
    for number, (name, series) in enumerate(ordered):
        times, values = with_gaps(series, span)
        short = name if len(name) <= _WIDEST else name[: _WIDEST - 1] + "…"
        label = f"{short}: {units.text(series.points[-1][1], unit)}" if number < _LEGEND else None
        axes.plot(times, values, linewidth=1.2, color=_COLOURS[number % len(_COLOURS)], label=label)
    highest = max(_highest(series) for _, series in shown.lines)
    limit = _limit(defaults)
    # A limit far above everything would flatten what there is to see.
    if limit is not None and limit <= 4 * highest:
        axes.axhline(limit, color=_RED, linewidth=0.9, linestyle="--")
    if defaults.get("min") == 0:
        axes.set_ylim(bottom=0, top=None if highest > 0 else 1)
    more = len(shown.lines) - _LEGEND
    axes.legend(
        loc="upper left", bbox_to_anchor=(-0.02, -0.13), ncols=1, fontsize=6.5, frameon=False, borderaxespad=0,
        labelspacing=0.15, handlelength=1.2, title=f"and {more} more" if more > 0 else None, title_fontsize=6,
        alignment="left",
    )  # fmt: skip


def _number(axes: Axes, marks: Marks, span: Span) -> None:
    """Lines where something happened, numbered; the numbers of one moment stand together."""
    groups: list[tuple[float, list[str]]] = []
    for number, (time, _) in enumerate(marks.events, start=1):
        minutes = span.minutes(time)
        axes.axvline(minutes, color=_BLUE, linewidth=0.8, linestyle=":")
        if groups and minutes - groups[-1][0] < 0.05 * span.minutes(span.end):
            groups[-1][1].append(str(number))
        else:
            groups.append((minutes, [str(number)]))
    for minutes, numbers in groups:
        place = axes.get_xaxis_transform()
        axes.text(minutes, 1.01, ",".join(numbers), transform=place, fontsize=6, color=_BLUE, ha="center")


def _runs(times: Sequence[float], span: Span) -> list[tuple[float, float]]:
    """First and last of those that follow each other without a gap."""
    runs: list[tuple[float, float]] = []
    for time in times:
        if runs and time - runs[-1][1] <= 1.5 * span.step:
            runs[-1] = (runs[-1][0], time)
        else:
            runs.append((time, time))
    return runs


def _name(template: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), template).strip()


def _limit(defaults: dict[str, Any]) -> float | None:
    steps = defaults.get("thresholds", {}).get("steps", [])
    return next((step["value"] for step in steps if step["color"] == "red" and step["value"] is not None), None)


def _highest(series: Series) -> float:
    return max((value for _, value in series.points if math.isfinite(value)), default=-math.inf)


def _clock(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%H:%M:%S")
