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

CATCH_UP_SECONDS = 0.05
_HANG_STEP_SECONDS = 0.5
_ACTION_WEIGHT = {"view": 0.1, "click": 0.3, "cart": 0.7, "buy": 1.0}


class SlowFeatureStore:
    """Stands in for a remote store whose connection answers one request every so many seconds.

    The same user gets the same answer. A machine that is busy wakes sleepers late; that is caught up with, so that
    what a subtask carries depends on this store and not on who else uses the machine.

    Of the time between an answer and the next request, up to ``overlap`` seconds count as the store's. With all that
    can be caught up with, a subtask waits only where it asks for more than the store gives; with less it also waits
    where it has little to do, as for a store that begins with the request.

    While ``hangs()`` holds, no request is answered: a connection without a time limit whose other end has gone.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        hangs: Callable[[], bool] = lambda: False,
        overlap: float = CATCH_UP_SECONDS,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._hangs = hangs
        self._overlap = overlap
        self._free_at = -math.inf
        self._credit = overlap

    def __call__(self, user_id: str) -> Profile:
        while self._hangs():
            self._sleep(_HANG_STEP_SECONDS)
        now = self._clock()
        self._free_at = max(self._free_at, now - self._credit) + self._seconds
        if self._free_at > now:
            self._sleep(self._free_at - now)
        late = max(self._clock() - self._free_at, 0.0)
        self._credit = min(late + self._overlap, CATCH_UP_SECONDS)
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
