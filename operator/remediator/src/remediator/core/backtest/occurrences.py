"""When alerts fired: from the points of a range query to occurrences."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from remediator.core.naming import digest

NAME, STATE = "__name__", "alertstate"
_GAP: Final = 1.5
"""Steps between two points from which on a point is missing between them."""

Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An alert that fired once."""

    labels: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None = None
    """None: it fired until the end of what is known."""
    fingerprint: str = ""
    """Names the labels."""


def occurrence(labels: Mapping[str, str], starts_at: datetime, ends_at: datetime | None) -> Occurrence:
    """Make an occurrence, with the fingerprint of its labels."""
    return Occurrence(labels, starts_at, ends_at, digest(*(f"{name}={labels[name]}" for name in sorted(labels))))


def merge(found: Iterable[Occurrence]) -> list[Occurrence]:
    """Return the occurrences in the order in which they began, each once. Several sources may tell of the same ones; a
    later notice of an alert that has not ended belongs to it, and an end that is known counts."""
    merged: dict[str, list[Occurrence]] = {}
    # Where two begin together, the one whose end is known comes first.
    for one in sorted(found, key=lambda o: (o.starts_at, o.ends_at is None)):
        known = merged.setdefault(one.fingerprint, [])
        last = known[-1] if known else None
        if last is None or (last.ends_at is not None and one.starts_at > last.ends_at):
            known.append(one)
        elif last.ends_at is None or (one.ends_at is not None and one.ends_at > last.ends_at):
            known[-1] = replace(last, ends_at=one.ends_at)
    return sorted((o for known in merged.values() for o in known), key=lambda o: (o.starts_at, o.fingerprint))


@dataclass(frozen=True)
class Rule:
    """An alerting rule, as far as it decides when its alerts fire."""

    alert: str
    expression: str
    hold_for: timedelta = timedelta(0)
    """Its ``for``."""
    keep_firing_for: timedelta = timedelta(0)
    labels: Mapping[str, str] = field(default_factory=dict)

    def labels_of(self, series: Mapping[str, str]) -> dict[str, str]:
        """Return the labels of the alert that a series of the expression leads to."""
        return {**{k: v for k, v in series.items() if k != NAME}, **self.labels, "alertname": self.alert}


@dataclass(slots=True)
class _Series:
    active: float
    """When it became active: pending, at first."""
    last: float
    fired: float | None
    active_at: float | None
    """What ALERTS_FOR_STATE said at its last point."""


class Tracker:
    """Turns points, which come page by page and in the order of time, into occurrences.

    A point is a moment, in seconds since 1970, at which the alert fires, or, with ``hold_for`` and ``keep_firing_for``
    of its rule, at which the rule's expression returned its series. Alerts that lack a point have ended, unless
    ALERTS_FOR_STATE has the same value before and after: Prometheus keeps that, and nothing else, over a restart.
    """

    def __init__(self, step: timedelta, rule: Rule | None = None) -> None:
        self._step = step.total_seconds()
        self._hold = rule.hold_for.total_seconds() if rule else 0.0
        self._keep = rule.keep_firing_for.total_seconds() if rule else 0.0
        self._series: dict[Key, _Series] = {}

    def take(
        self, labels: Mapping[str, str], points: Iterable[float], active_at: Mapping[float, float] | None = None
    ) -> Iterator[Occurrence]:
        """Take the next points of a series; yields the occurrences that have ended. ``active_at`` are the values of
        ALERTS_FOR_STATE by their moments."""
        key = tuple(sorted((k, v) for k, v in labels.items() if k not in (NAME, STATE)))
        values = active_at or {}
        series = self._series.get(key)
        for point in points:
            value = values.get(point)
            if series is not None and not self._goes_on(series, point, value):
                yield from self._ended(key, series)
                series = None
            if series is None:
                series = self._series[key] = _Series(point, point, None, value)
            if series.fired is None and point - series.active >= self._hold:
                series.fired = point
            series.last, series.active_at = point, value

    def finish(self, end: datetime) -> Iterator[Occurrence]:
        """Yield what is left when all pages are there; ``end`` is the last moment that was asked about."""
        for key, series in self._series.items():
            if self._end(series) > end.timestamp():
                series = replace(series, last=math.inf)
            yield from self._ended(key, series)

    def _goes_on(self, series: _Series, point: float, active_at: float | None) -> bool:
        if point - series.last < _GAP * self._step:
            return True
        if active_at is not None and active_at == series.active_at:
            return True
        return series.fired is not None and self._keep > 0 and point <= self._end(series)

    def _end(self, series: _Series) -> float:
        """The evaluation that finds it over: the first without a point, or when keep_firing_for is over since then."""
        return series.last + self._step + math.ceil(self._keep / self._step) * self._step

    def _ended(self, key: Key, series: _Series) -> Iterator[Occurrence]:
        if series.fired is not None:
            end = None if series.last == math.inf else _moment(self._end(series))
            yield occurrence(dict(key), _moment(series.fired), end)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
