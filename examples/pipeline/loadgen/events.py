"""Events of an imagined shop: most of them good, some bad on purpose, all with an id of their own."""

from __future__ import annotations

import math
import random
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from recommender.records import EVENT_ID, dumps
from recommender.validation import ACTIONS, DEVICES

_USERS = 5000
_ITEMS = 800
_ACTION_WEIGHTS = (60, 28, 8, 4)
_DEVICE_WEIGHTS = (60, 32, 8)


def new_run() -> str:
    """A name for a run that no other run has; sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}{secrets.token_hex(3)}"


@dataclass
class EventSource:
    """Makes the events of one run; ``shift`` moves the features by so many standard deviations."""

    run: str
    bad_fraction: float = 0.0
    late_fraction: float = 0.0
    late_seconds: float = 60.0
    shift: float = 0.0
    random: random.Random = field(default_factory=random.Random)
    count: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    late: int = 0

    def next(self, now_ms: int) -> str:
        """The next event's text."""
        event = self._good(now_ms)
        self.count += 1
        if self.random.random() >= self.bad_fraction:
            return dumps(event)
        kind = self.random.choice(tuple(_SPOILERS))
        self.bad[kind] += 1
        return _SPOILERS[kind](event)

    def _good(self, now_ms: int) -> dict[str, Any]:
        dice = self.random
        if dice.random() < self.late_fraction:
            self.late += 1
            now_ms -= int(self.late_seconds * 1000)
        # The shift of a campaign: dearer items, longer sessions, more of them on a phone.
        phones = _DEVICE_WEIGHTS[0] * (1 + max(-0.9, self.shift))
        return {
            EVENT_ID: f"{self.run}-{self.count}",
            "user_id": f"u{dice.randrange(_USERS)}",
            "item_id": f"i{dice.randrange(_ITEMS)}",
            "action": dice.choices(ACTIONS, _ACTION_WEIGHTS)[0],
            "device": dice.choices(DEVICES, (phones, *_DEVICE_WEIGHTS[1:]))[0],
            "price": round(min(1e6, math.exp(dice.gauss(3.0 + 0.8 * self.shift, 0.8))), 2),
            "session_seconds": round(min(86_400.0, math.exp(dice.gauss(5.0 + 0.9 * self.shift, 0.9))), 1),
            "ts_ms": now_ms,
        }


def _cut_short(event: dict[str, Any]) -> str:
    text = dumps(event)
    return text[: len(text) * 2 // 3]


def _without_user(event: dict[str, Any]) -> str:
    return dumps({name: value for name, value in event.items() if name != "user_id"})


def _time_as_text(event: dict[str, Any]) -> str:
    return dumps({**event, "ts_ms": str(event["ts_ms"])})


def _negative_price(event: dict[str, Any]) -> str:
    return dumps({**event, "price": -event["price"] - 0.01})


# Each is refused by the job's validation, and still carries the event id, so that the audit finds it again.
_SPOILERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "cut_short": _cut_short,
    "without_user": _without_user,
    "time_as_text": _time_as_text,
    "negative_price": _negative_price,
}
