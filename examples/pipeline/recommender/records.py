"""The records that cross topics, and how each keeps the identity of the event it came from."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

Event = dict[str, Any]

EVENT_ID = "event_id"
# The first key of what we write ourselves; found without parsing the rest.
_LEADING_ID = re.compile(r'\{"event_id": ?"([^"\\]+)"')
# Anywhere in text that is not JSON any more, such as a record cut short.
_ANY_ID = re.compile(r'"event_id"\s*:\s*"([^"\\]+)"')


def event_id_of(raw: str) -> str | None:
    """The event id in a record's text, even if the text is damaged; None where there is none."""
    leading = _LEADING_ID.match(raw)
    if leading:
        return leading.group(1)
    try:
        record = json.loads(raw)
    except ValueError:
        anywhere = _ANY_ID.search(raw)
        return anywhere.group(1) if anywhere else None
    found = record.get(EVENT_ID) if isinstance(record, dict) else None
    return found if isinstance(found, str) and found else None


def identity(raw: str) -> str:
    """What a record is counted as: its event id, or a digest of its text when it has none."""
    return event_id_of(raw) or "sha256:" + hashlib.sha256(raw.encode(errors="replace")).hexdigest()


def dumps(record: dict[str, Any]) -> str:
    """JSON as the topics hold it: compact, keys in the order given."""
    return json.dumps(record, separators=(",", ":"))


def loads(text: str) -> Any:
    """The inverse of dumps."""
    return json.loads(text)


def dead_letter(raw: str, error_type: str, message: str, now_ms: int) -> str:
    """The record for the dead letter topic: why, and the rejected text as it came."""
    return dumps(
        {
            EVENT_ID: event_id_of(raw),
            "error_type": error_type,
            "error": message,
            "rejected_at_ms": now_ms,
            "raw": raw,
        }
    )


def dead_letter_identity(text: str) -> str:
    """The identity of the event inside a dead letter."""
    leading = _LEADING_ID.match(text)
    if leading:
        return leading.group(1)
    try:
        raw = json.loads(text).get("raw")
    except (ValueError, AttributeError):
        raw = None
    return identity(raw if isinstance(raw, str) else text)
