"""What a window is compared with where the reference goes by the hour of the day: what its own hours are like.

Hours are those of UTC, as the times of events are: where clocks are put forward, people's habits move by an hour.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

HOURS: Final = 24
HOUR_MS: Final = 3_600_000


def hour_of(times_ms: NDArray[np.integer[Any]] | int) -> Any:
    """The hour of the day, 0 to 23, of milliseconds since 1970."""
    return times_ms // HOUR_MS % HOURS


def mixed(
    whole: NDArray[np.integer], by_hour: NDArray[np.integer], features: int, weights: NDArray[np.integer]
) -> NDArray[np.float64]:
    """The counts that a window with so much of each hour is expected to be like.

    ``whole`` (layout) are the reference's counts, in which each row counts once for each of ``features``; ``by_hour``
    (24, layout) those of each hour, for which the whole stands in where they are zero; ``weights`` (24) is not zero.
    The shares p of the hours weigh as the window's events do: Σ w p. Their noise is that of Σ w² / m samples' inverse,
    so that is how many samples the result has.
    """
    counts = np.where(by_hour.any(1, keepdims=True), by_hour, whole).astype(np.float64)
    samples = counts.sum(1) / features
    w = weights / weights.sum()
    return np.asarray(w @ (counts / samples[:, None]) / (w**2 / samples).sum())
