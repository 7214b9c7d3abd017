"""Which events are good enough to score, and what is wrong with the others."""

from __future__ import annotations

import json
import math
from typing import Any

from recommender.records import EVENT_ID, Event

MALFORMED = "malformed_json"
SCHEMA = "schema_violation"
RANGE = "value_out_of_range"

ACTIONS = ("view", "click", "cart", "buy")
DEVICES = ("mobile", "desktop", "tablet")
# A time outside is no time of an event: seconds or microseconds taken for milliseconds.
EARLIEST_MS = 1_577_836_800_000
LATEST_MS = 4_102_444_800_000


class InvalidEvent(Exception):
    """An event for the dead letter topic."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message


def parse(raw: str) -> Event:
    """The event in a record's text. Raises InvalidEvent."""
    try:
        event = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(MALFORMED, str(error)) from error
    if not isinstance(event, dict):
        raise InvalidEvent(SCHEMA, f"an event is an object, this is {type(event).__name__}")
    for field in (EVENT_ID, "user_id", "item_id"):
        _text(event, field)
    _one_of(event, "action", ACTIONS)
    _one_of(event, "device", DEVICES)
    _number(event, "ts_ms", EARLIEST_MS, LATEST_MS)
    _number(event, "price", 0, 1_000_000)
    _number(event, "session_seconds", 0, 86_400)
    return event


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _text(event: Event, field: str) -> None:
    value = event.get(field)
    if not isinstance(value, str) or not value:
        raise InvalidEvent(SCHEMA, f"{field}: {_seen(event, field)}, wanted a text")


def _one_of(event: Event, field: str, allowed: tuple[str, ...]) -> None:
    value = event.get(field)
    if not isinstance(value, str):
        raise InvalidEvent(SCHEMA, f"{field}: {_seen(event, field)}, wanted one of {', '.join(allowed)}")
    if value not in allowed:
        raise InvalidEvent(RANGE, f"{field}: {value[:40]!r}, wanted one of {', '.join(allowed)}")


def _number(event: Event, field: str, low: float, high: float) -> None:
    value = event.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidEvent(SCHEMA, f"{field}: {_seen(event, field)}, wanted a number")
    if not (low <= value <= high) or math.isinf(value):
        raise InvalidEvent(RANGE, f"{field}: {value} is not between {low} and {high}")


def _seen(event: Event, field: str) -> str:
    missing: Any = object()
    value = event.get(field, missing)
    return "missing" if value is missing else f"a {type(value).__name__}"
