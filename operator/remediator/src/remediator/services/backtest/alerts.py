"""Reads past alerts from files: Alertmanager's webhooks, its API, and Prometheus's answer about ALERTS."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from remediator.adapters.prometheus_history import Series, to_series
from remediator.api.alertmanager import Alert
from remediator.core.backtest.occurrences import NAME, STATE, Occurrence, Tracker, occurrence
from remediator.services.documents import BadInput, checked, text_of

Document = dict[str, Any]
FIRING: Final = "firing"
_EXPECTED: Final = (
    "Alertmanager's webhooks or list of alerts (/api/v2/alerts), or Prometheus's answer to a range query of ALERTS, is "
    "expected"
)


def alerts_in(path: Path, step: timedelta) -> list[Occurrence]:
    """Read a JSON file of one document or of many, such as one on each line; points of a series are so far apart where
    they do not tell by themselves. Raises BadInput."""
    found: list[Occurrence] = []
    for n, document in enumerate(_documents(path), 1):
        found += checked(path, partial(_occurrences, document, step), f"document {n}")
    return found


def _documents(path: Path) -> Iterator[Any]:
    text, decoder, place = text_of(path).strip(), json.JSONDecoder(), 0
    while place < len(text):
        try:
            document, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise BadInput(f"{path}: line {error.lineno}, column {error.colno}: no JSON: {error.msg}") from None
        yield document
        while place < len(text) and text[place].isspace():
            place += 1


def _occurrences(document: Any, step: timedelta) -> list[Occurrence]:
    if isinstance(document, list):
        return [_alert(alert) for alert in document]
    if isinstance(document, dict) and isinstance(document.get("alerts"), list):
        return [_alert(alert) for alert in document["alerts"]]
    if isinstance(document, dict) and isinstance(document.get("data"), dict):
        if (kind := document["data"].get("resultType")) != "matrix":
            raise ValueError(f"a range query is expected (query_range), not a {kind}" if kind else _EXPECTED)
        return list(_from_points(to_series(document["data"]["result"]), step))
    return [_alert(document)]


def _alert(raw: Any) -> Occurrence:
    if not isinstance(raw, dict) or "labels" not in raw:
        raise ValueError(_EXPECTED)
    if isinstance(raw.get("status"), dict):  # the API's form; the end of an alert that fires lies ahead
        over = "endsAt" in raw and _moment(raw["endsAt"]) <= _moment(raw.get("updatedAt") or raw["endsAt"])
        raw = {**raw, "status": "resolved" if over else FIRING}
    alert = Alert.model_validate({"fingerprint": "-", **raw})
    return occurrence(alert.labels, alert.starts_at, alert.ends_at if alert.status == "resolved" else None)


def _moment(text: Any) -> datetime:
    moment = datetime.fromisoformat(str(text))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _from_points(found: list[Series], step: timedelta) -> Iterator[Occurrence]:
    """Read the points of ALERTS, and of ALERTS_FOR_STATE where they are there too."""
    moments = sorted({moment for series in found for moment in series.points})
    apart = min((b - a for a, b in pairwise(moments)), default=step.total_seconds())
    tracker = Tracker(timedelta(seconds=apart))
    states = for_state(found)
    for series in found:
        if series.labels.get(STATE) == FIRING:
            yield from tracker.take(series.labels, series.points, states.get(series_key(series)))
    if moments:
        yield from tracker.finish(datetime.fromtimestamp(moments[-1], UTC))


def for_state(found: list[Series]) -> dict[frozenset[tuple[str, str]], dict[float, float]]:
    """Return the points of ALERTS_FOR_STATE by the labels of their alerts."""
    return {series_key(series): series.points for series in found if series.labels.get(NAME) == "ALERTS_FOR_STATE"}


def series_key(series: Series) -> frozenset[tuple[str, str]]:
    """Return the labels of the alert that a series is about."""
    return frozenset((name, value) for name, value in series.labels.items() if name not in (NAME, STATE))
