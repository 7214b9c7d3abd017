"""Quantiles with a bounded relative error and bounded memory: counts in bins that grow geometrically.

DDSketch with fixed bounds (Masson, Rim and Lee, VLDB 2019): merged by addition, exact up to the width of a bin.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

RELATIVE_ERROR: Final = 0.01
SMALLEST_MS: Final = 1e-3
LARGEST_MS: Final = 60_000.0
_GAMMA: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA: Final = math.log(_GAMMA)
SIZE: Final = math.ceil(math.log(LARGEST_MS / SMALLEST_MS) / _LOG_GAMMA) + 1


def encode(milliseconds: NDArray[np.float64]) -> NDArray[np.intp]:
    """The bin of each time; times outside the bounds go to the first or the last bin, what is none to bin SIZE."""
    clipped = np.clip(milliseconds, SMALLEST_MS, LARGEST_MS)
    bins = np.ceil(np.log(clipped / SMALLEST_MS) / _LOG_GAMMA - 1e-9).clip(0, SIZE - 1)
    return np.where(np.isfinite(milliseconds), bins, SIZE).astype(np.intp)


def count(bins: NDArray[np.intp]) -> NDArray[np.intp]:
    """How often each bin occurs; what is no time is not counted."""
    return np.bincount(bins, minlength=SIZE + 1)[:SIZE]


def values_ms() -> NDArray[np.float64]:
    """The time that each bin stands for: the middle of its bounds, in the sense of the relative error."""
    return np.asarray(SMALLEST_MS * 2 * _GAMMA ** np.arange(SIZE) / (_GAMMA + 1))


def quantile(counts: NDArray[np.integer], q: float) -> float:
    """The q-quantile in milliseconds; NaN without counts."""
    total = int(counts.sum())
    if not total:
        return math.nan
    # The smallest bin that holds the value of that rank.
    return float(values_ms()[np.searchsorted(np.cumsum(counts), max(1, math.ceil(q * total)))])
