"""Draws what a backtest has found: a row for each target, bars for alerts, marks for decisions."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from xml.sax.saxutils import escape

from remediator.core.backtest.records import Kind, Record
from remediator.services.backtest.run import Result

MOST_ROWS: Final = 40
_LEFT, _RIGHT, _TOP, _ROW, _WIDTH = 230, 20, 80, 22, 1200
_BAR: Final = "#c9ced6"
_MARKS: Final = {
    Kind.ACT: ("#1a7f37", "acts"),
    Kind.REFUSE: ("#cf222e", "refuses"),
    Kind.ASK: ("#8250df", "asks"),
    Kind.WAIT: ("#bf8700", "waits"),
    Kind.OBSERVE: ("#0969da", "would act, but only observes"),
    Kind.BACK: ("#57606a", "takes back"),
}
_TICKS: Final = [timedelta(minutes=m) for m in (5, 15, 30, 60, 180, 360, 720, 1440, 2 * 1440, 7 * 1440, 30 * 1440)]
_MOST_TICKS: Final = 10


def draw(result: Result) -> str:
    """Return the picture of a result, as SVG."""
    of_target: dict[tuple[str, str], list[Record]] = {}
    for record in result.replay.records:
        of_target.setdefault(record.key, []).append(record)
    busiest = sorted(of_target, key=lambda key: (-len(of_target[key]), key))[:MOST_ROWS]
    height = _TOP + _ROW * len(busiest) + 50
    axis = _Axis(result.start, result.end)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        _text(20, 24, f"Replayed {result.start:%Y-%m-%d %H:%M} to {result.end:%Y-%m-%d %H:%M} UTC", 'font-size="16"'),
        *_legend(),
        *axis.ticks(_TOP + _ROW * len(busiest)),
    ]
    for n, key in enumerate(sorted(busiest)):
        lines += _row(axis, _TOP + _ROW * n, "/".join(key), of_target[key])
    if len(of_target) > len(busiest):
        note = f"{len(of_target) - len(busiest)} targets with fewer incidents are left out."
        lines.append(_text(20, height - 12, note, 'fill="#57606a"'))
    return "\n".join([*lines, "</svg>", ""])


class _Axis:
    def __init__(self, start: datetime, end: datetime) -> None:
        self._start, self._end = start, end

    def x(self, moment: datetime) -> float:
        """Return where a moment is."""
        share = (moment - self._start) / (self._end - self._start)
        return round(_LEFT + min(max(share, 0), 1) * (_WIDTH - _LEFT - _RIGHT), 1)

    def ticks(self, bottom: int) -> Iterator[str]:
        """Draw lines at round moments, with their times."""
        length = self._end - self._start
        apart = next((tick for tick in _TICKS if length / tick <= _MOST_TICKS), _TICKS[-1])
        form = "%m-%d" if apart >= timedelta(days=1) else "%m-%d %H:%M"
        seconds = apart.total_seconds()
        moment = datetime.fromtimestamp(-(-self._start.timestamp() // seconds) * seconds, UTC)
        while moment <= self._end:
            x = self.x(moment)
            yield f'<line x1="{x}" y1="{_TOP - 6}" x2="{x}" y2="{bottom}" stroke="#eaeef2"/>'
            yield _text(x, bottom + 16, moment.strftime(form), 'text-anchor="middle" fill="#57606a"')
            moment += apart


def _row(axis: _Axis, y: int, name: str, records: Sequence[Record]) -> Iterator[str]:
    yield _text(20, y + 15, name if len(name) <= 32 else f"{name[:31]}…")
    middle = y + _ROW // 2
    for record in records:
        began, ended = axis.x(record.created), axis.x(record.ends_at) if record.ends_at else _WIDTH - _RIGHT
        told = _told(record.labels.get("alertname", ""), record.created, f"{record.phase} ({record.reason})")
        width = max(round(ended - began, 1), 1)
        yield f'<rect x="{began}" y="{middle - 4}" width="{width}" height="8" rx="2" fill="{_BAR}">{told}</rect>'
    for record in records:
        for step in record.steps:
            colour, _ = _MARKS[step.kind]
            told = _told(record.policy.name, step.time, step.text)
            place = f'cx="{axis.x(step.time)}" cy="{middle}" r="4"'
            yield f'<circle class="{step.kind}" {place} fill="{colour}">{told}</circle>'


def _legend() -> Iterator[str]:
    x = 20
    yield f'<rect x="{x}" y="41" width="24" height="8" rx="2" fill="{_BAR}"/>'
    yield _text(x + 32, 50, "alert fires")
    x += 120
    for colour, what in _MARKS.values():
        yield f'<circle class="legend" cx="{x}" cy="45" r="4" fill="{colour}"/>'
        yield _text(x + 10, 50, what)
        x += 40 + 7 * len(what)


def _told(what: str, moment: datetime, text: str) -> str:
    return f"<title>{_plain(f'{moment:%Y-%m-%d %H:%M:%S} {what}: {text}')}</title>"


def _text(x: float, y: float, text: str, how: str = "") -> str:
    return f'<text x="{x}" y="{y}"{" " if how else ""}{how}>{_plain(text)}</text>'


def _plain(text: str) -> str:
    """Return text as XML may hold it: no label of an alert makes the picture unreadable."""
    return escape("".join(letter if letter.isprintable() else " " for letter in text))
