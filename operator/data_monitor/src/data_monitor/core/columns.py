"""Columns of a table: the type of each is decided once, from all of its values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from data_monitor.core.values import (
    DEFAULT_MISSING,
    Missing,
    Type,
    Value,
    parse_boolean,
    parse_datetime,
    parse_number,
)

MOST: Final = 0.9
"""From this share of the values that are there on, a column is of a type; the others count as missing."""

# What no program writes for a number: leading zeros, digits in groups, hexadecimal, more digits than 64 bits hold.
_CODE: Final = re.compile(r"[+-]?0[0-9]+(?:\.[0-9]*)?|[+-]?[0-9]+(?:_[0-9]+)+|0[xX][0-9a-fA-F]+")
# Programs write 1e-05, 1e+16 or 1.0E5, and no plus sign: beside numbers with a decimal point these may be numbers.
_CODE_UNLESS_DECIMALS: Final = re.compile(r"[+-]?[0-9]+[eE][0-9]+|\+[0-9]+")
_DECIMALS: Final = re.compile(r"[+-]?[0-9]*\.[0-9]+")
_INTEGERS: Final = range(-(2**63), 2**64)
_GROUPED = r"[0-9]+(?:[.,' \u00a0\u202f][0-9]+)*"
_SIGN_OR_CODE = r"(?:[$€£¥₹]|[A-Z]{3})"
_FEW: Final = 20
# The second: how many distinct values may be categories, such as the steps of a discount.
_FOR_PEOPLE: Final = (
    ("a decimal comma or thousands separators", 0, re.compile(rf"[+-]?{_GROUPED}")),
    ("a percent sign", _FEW, re.compile(rf"[+-]?{_GROUPED}\s?%")),
    ("a currency", _FEW, re.compile(rf"[+-]?{_SIGN_OR_CODE}\s?[+-]?{_GROUPED}|[+-]?{_GROUPED}\s?{_SIGN_OR_CODE}")),
)
_PAIRS: Final = ({"true", "false"}, {"t", "f"}, {"yes", "no"}, {"y", "n"}, {"on", "off"})


class BadColumn(ValueError):
    """A column that cannot be read as what it seems to be; the message names it and a row."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column


@dataclass(frozen=True)
class Column:
    """The values of one field, raw."""

    name: str
    values: Sequence[Value]
    type: Type | None = None
    """As the user gave it; None: to be told from the values."""
    untyped: bool = False
    """Whether texts may be anything, as in CSV; a text of JSON or Parquet is one, but for booleans and times."""


def type_of(column: Column, missing: Missing = DEFAULT_MISSING) -> Type:
    """The type of a column. Raises BadColumn where most values are numbers as people, not programs, write them."""
    if column.type:
        return column.type
    # 1 and true are one key of a mapping.
    counted = Counter((isinstance(value, bool), value) for value in column.values)
    present = {value: count for value, count in counted.items() if value[1] not in missing}
    texts = {value: count for (_, value), count in present.items() if isinstance(value, str)}
    numbers = {
        value: count for (boolean, value), count in present.items() if isinstance(value, int | float) and not boolean
    }
    booleans = sum(count for (boolean, _), count in present.items() if boolean)
    total = sum(present.values())
    if not total:
        return Type.TEXT
    if _is_boolean(texts, numbers, booleans):
        return Type.BOOLEAN
    if sum(count for text, count in texts.items() if parse_datetime(text) is not None) >= MOST * total:
        return Type.DATETIME
    found = sum(numbers.values())
    if column.untyped and not _are_codes(texts):
        found += sum(count for text, count in texts.items() if parse_number(text) is not None)
    if column.untyped and found < total:
        _refuse_for_people(column, texts, total)
    return Type.NUMBER if found >= MOST * total else Type.TEXT


def _is_boolean(texts: Mapping[str, int], numbers: Mapping[int | float, int], booleans: int) -> bool:
    """Whether all values are of one way to write booleans; 0 and 1, or yes and no, only where both are there."""
    words = {text.strip().lower() for text in texts}
    if booleans:
        return set(numbers) <= {0, 1} and words <= {"true", "false"}
    if numbers:
        return not words and set(numbers) == {0, 1}
    said = {parse_boolean(word) for word in words}
    if None in said:
        return False
    return words <= _PAIRS[0] or words in _PAIRS or (said == {True, False} and words <= {"0", "1", "0.0", "1.0"})


def _are_codes(texts: Iterable[str]) -> bool:
    stripped = [text.strip() for text in texts]
    decimals = any(map(_DECIMALS.fullmatch, stripped))
    return any(
        _CODE.fullmatch(text)
        or (not decimals and _CODE_UNLESS_DECIMALS.fullmatch(text))
        or (len(text) > 18 and isinstance(number := parse_number(text), int) and number not in _INTEGERS)
        for text in stripped
    )


def _refuse_for_people(column: Column, texts: Mapping[str, int], total: int) -> None:
    numbers = {text for text in texts if parse_number(text) is not None}
    if _are_codes(numbers):
        return
    for what, few, pattern in _FOR_PEOPLE:
        matching = {text for text in texts if text not in numbers and pattern.fullmatch(text.strip())}
        if len(matching) > few and sum(texts[text] for text in matching | numbers) >= MOST * total:
            row, value = next((at, one) for at, one in enumerate(column.values, 1) if one in matching)
            message = f"column {column.name}, row {row}: {value!r} has {what}; write plain numbers such as 1234.5"
            raise BadColumn(column.name, message)
