"""Event times as records have them: numbers since 1970 in some unit, or texts by ISO 8601 and RFC 3339."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from data_monitor.config import UNITS_MS, Fields

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")
_LEAP_SECOND: Final = re.compile(r"(:[0-9]{2}):60(?=[.,Z+-]|$)")
_LONGEST: Final = 64


def milliseconds_of(value: Any, fields: Fields) -> float:
    """Milliseconds since 1970 of what the field of the time holds; NaN where it is no time."""
    if isinstance(value, str):
        return text_ms(value, fields)
    if isinstance(value, datetime):
        return _since_1970(value)
    unit = UNITS_MS.get(fields.time_unit)
    if unit is None or isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return value * unit
    except OverflowError:
        return math.nan


def text_ms(text: str, fields: Fields) -> float:
    """Milliseconds since 1970 of a text: a number in the unit of the field, or a date with or without a time.

    What names no zone is UTC. A leap second is the second after it. Week dates and ordinal dates are no times.
    """
    text = text.strip().upper()
    if len(text) > _LONGEST or not text.isascii():
        return math.nan
    unit = UNITS_MS.get(fields.time_unit)
    if unit is not None and _NUMBER.fullmatch(text):
        return float(text) * unit
    if "W" in text:
        return math.nan
    plain, leaps = _LEAP_SECOND.subn(r"\1:59", text)
    try:
        return _since_1970(datetime.fromisoformat(plain)) + 1000 * leaps
    except (ValueError, OverflowError):
        return math.nan


def _since_1970(moment: datetime) -> float:
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) / _MILLISECOND
