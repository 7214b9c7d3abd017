"""The model: a small logistic regression with fixed weights. Its scores matter less than that they can drift."""

from __future__ import annotations

import math
import time
from typing import Any

from recommender.records import EVENT_ID, Event, dumps

VERSION = "logistic-1"
_BIAS = -1.2
_WEIGHTS = {
    "price_log": -0.25,
    "session_minutes": 0.05,
    "intent": 1.6,
    "user_propensity": 0.9,
    "user_years": 0.2,
}
_DEVICE = {"mobile": -0.1, "desktop": 0.2, "tablet": 0.0}


def score(features: dict[str, Any]) -> float:
    """How likely the user wants the item, 0 to 1."""
    total = _BIAS + _DEVICE[features["device"]] + sum(w * features[name] for name, w in _WEIGHTS.items())
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, total))))


def predict(event: Event, features: dict[str, Any], now_ms: int) -> str:
    """The record for the predictions topic."""
    began = time.perf_counter()
    value = score(features)
    inference_ms = (time.perf_counter() - began) * 1000
    return dumps(
        {
            EVENT_ID: event[EVENT_ID],
            "user_id": event["user_id"],
            "item_id": event["item_id"],
            "ts_ms": event["ts_ms"],
            "predicted_at_ms": now_ms,
            "inference_ms": round(inference_ms, 4),
            "model": VERSION,
            "score": round(value, 6),
            "features": features,
        }
    )
