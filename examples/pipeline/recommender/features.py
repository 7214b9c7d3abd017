"""The features of an event, some of which come from a feature store that takes its time."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

from recommender.records import Event

# A user's profile as the feature store answers: how often they buy, and how long they have been a customer.
Profile = tuple[float, float]
Lookup = Callable[[str], Profile]

_ACTION_WEIGHT = {"view": 0.1, "click": 0.3, "cart": 0.7, "buy": 1.0}


class SlowFeatureStore:
    """Stands in for a remote store: each lookup takes a fixed time and gives the same answer for the same user."""

    def __init__(self, seconds: float, sleep: Callable[[float], None]) -> None:
        self._seconds = seconds
        self._sleep = sleep

    def __call__(self, user_id: str) -> Profile:
        if self._seconds > 0:
            self._sleep(self._seconds)
        # Not hash(): Python salts it, so two TaskManagers would disagree.
        code = zlib.crc32(user_id.encode())
        return (code % 1000) / 1000, (code // 1000 % 730) / 365


def extract(event: Event, lookup: Lookup) -> dict[str, Any]:
    """The model's input."""
    propensity, years = lookup(event["user_id"])
    return {
        "price_log": round(math.log1p(event["price"]), 4),
        "session_minutes": round(event["session_seconds"] / 60, 4),
        "intent": _ACTION_WEIGHT[event["action"]],
        "device": event["device"],
        "user_propensity": propensity,
        "user_years": round(years, 4),
    }
