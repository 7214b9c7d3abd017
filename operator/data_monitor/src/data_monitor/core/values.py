"""What a value is: missing, a number, a boolean, a time, a text. One set of rules for files and for the stream."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

Value = str | int | float | bool | None
"""As a file or a record holds it."""


class Type(StrEnum):
    """What the values of a feature are taken for."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    """Judged as a number: seconds since 1970, without a zone UTC."""
    TEXT = "text"


MISSING_TEXTS: Final = frozenset(
    "|- . ? NA N/A n/a #N/A #NA <NA> NULL null None NaN nan NAN -NaN -nan NaT \\N".replace("|", " ").split(" ")
)
"""What R, pandas, spreadsheets, SQL and Weka write for a missing value; the empty text is among them."""

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DATETIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}.*)?")
_INFINITE: Final = frozenset(("inf", "infinity"))
_TRUE: Final = frozenset(("true", "t", "yes", "y", "on", "1", "1.0"))
_FALSE: Final = frozenset(("false", "f", "no", "n", "off", "0", "0.0"))


@dataclass(frozen=True)
class Missing:
    """Which texts and numbers stand for a missing value."""

    texts: frozenset[str] = MISSING_TEXTS
    numbers: frozenset[float] = frozenset()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Missing:
        """From texts; one that is a number stands for the number, too."""
        found = frozenset(text.strip() for text in texts) | {""}
        return cls(found, frozenset(number for text in found if (number := parse_number(text)) is not None))

    def __contains__(self, value: Value) -> bool:
        """Whether a value is missing: null, not finite, one of the texts or of the numbers."""
        if isinstance(value, str):
            return value.strip() in self.texts
        if isinstance(value, float) and not math.isfinite(value):
            return True
        return value is None or (not isinstance(value, bool) and value in self.numbers)


DEFAULT_MISSING: Final = Missing()


def parse_number(text: str) -> int | float | None:
    """The number that a text holds, an integer as such; infinite for words such as ``inf``; None for another text."""
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return math.inf if text.lstrip("+-").lower() in _INFINITE else None
    try:
        # More digits than any double has are no integer that could be told from its neighbours.
        return int(text) if len(text) < 400 and text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        return None


def parse_boolean(text: str) -> bool | None:
    """What a word such as ``True``, ``t``, ``yes`` or ``1`` says, in any case; None for another text."""
    word = text.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def parse_datetime(text: str) -> float | None:
    """Seconds since 1970 of a date, or a date and time, as ISO 8601 and RFC 3339 write it; None for another text."""
    text = text.strip()
    if not _DATETIME.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def as_float(value: Value, type_: Type, missing: Missing) -> float | None:
    """A value as a finite number, NaN where it is missing; None where it is of another type."""
    if isinstance(value, bool):
        return None
    if value in missing:
        return math.nan
    if isinstance(value, str):
        found = parse_datetime(value) if type_ is Type.DATETIME else parse_number(value)
        if found is None:
            return None
        value = math.nan if found in missing else found
    # Beyond a double.
    return math.nan if value is None or abs(value) > sys.float_info.max else float(value)


def category_of(value: Value, type_: Type = Type.TEXT) -> str:
    """The text that names the category of a value that is not missing: 1 and 1.0 are the same, so are true and "true".

    In a number, a text counts as the number that it holds, and true as 1; in a boolean, a text as what it says.
    """
    if type_ is Type.BOOLEAN:
        said = parse_boolean(category_of(value))
        return category_of(value) if said is None else category_of(said)
    if type_ is Type.NUMBER and isinstance(value, str):
        number = parse_number(value)
        return value.strip() if number is None else category_of(number)
    if isinstance(value, bool):
        return str(int(value) if type_ is Type.NUMBER else value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
