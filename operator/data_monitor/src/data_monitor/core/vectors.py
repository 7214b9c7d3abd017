"""Fields that hold an array of numbers, of a fixed length: summed up as numbers, each a feature of its own."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_monitor.core.values import Missing, Type, as_float

# What typed records hold.
_PLAIN: Final = {float, type(None)}


class Summary(StrEnum):
    """What is judged of a vector."""

    NORM = "norm"
    """Its length in space, the square root of the sum of squares: one feature, NAME.norm."""
    ELEMENTS = "elements"
    """Each element: features NAME.0, NAME.1 and so on."""


@dataclass(frozen=True)
class Vector:
    """A field that holds vectors."""

    name: str
    """As features are named, and where the array is among them."""
    length: int
    """Elements; an array of another length counts as missing."""
    summary: Summary = Summary.NORM

    @property
    def features(self) -> tuple[str, ...]:
        """The names of its features."""
        if self.summary is Summary.NORM:
            return (f"{self.name}.norm",)
        return tuple(f"{self.name}.{at}" for at in range(self.length))

    def take(self, values: Sequence[Any], missing: Missing) -> tuple[NDArray[np.float64], list[int]]:
        """Raw values as (features, values) numbers, NaN where one is missing; and the positions of what is no vector.

        A norm is missing where an element is. A text may hold an array, as in CSV.
        """
        rows, wrong = np.full((len(values), self.length), math.nan), []
        numbers = sorted(missing.numbers)
        for at, value in enumerate(values):
            value = _array(value) if isinstance(value, str) and value not in missing else value
            if not isinstance(value, list):
                if isinstance(value, dict) or value not in missing:
                    wrong.append(at)
            elif len(value) != self.length:
                wrong.append(at)
            else:
                if not set(map(type, value)) <= _PLAIN:
                    value = [_number(one, missing) for one in value]
                    if None in value:
                        wrong.append(at)
                rows[at] = value
        rows[~np.isfinite(rows) | np.isin(rows, numbers)] = math.nan
        if self.summary is Summary.ELEMENTS:
            return rows.T, wrong
        with np.errstate(over="ignore"):
            norms = np.sqrt((rows**2).sum(1))[None]
        norms[~np.isfinite(norms)] = math.nan
        return norms, wrong


def _array(text: str) -> Any:
    try:
        return json.loads(text) if text.lstrip().startswith("[") else text
    except (ValueError, RecursionError):
        return text


def _number(value: Any, missing: Missing) -> float | None:
    return None if isinstance(value, list | dict) else as_float(value, Type.NUMBER, missing)
