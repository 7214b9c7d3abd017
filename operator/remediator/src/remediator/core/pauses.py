"""Requests to pause a policy, or to stop everything: a reason, and optionally ``until`` a moment, after which it counts
no more."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

LENGTH = 256
UNTOLD = "nobody says why"
_END = re.compile(r"\s+until\s+(\S+)\s*$")


def request(reason: str, until: datetime | None = None) -> str:
    """Write a request, as it stands in ``guards.pauseRequests``; a reason that is too long is cut."""
    end = f" until {until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if until else ""
    return f"{reason[: LENGTH - len(end)]}{end}"


def ends(text: str) -> datetime | None:
    """Return when a request ends; None for one without an end, or with one that cannot be read, which so never ends."""
    match = _END.search(text)
    try:
        moment = datetime.fromisoformat(match[1]) if match else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def in_force(requests: Iterable[str], now: datetime) -> tuple[str, ...]:
    """Return the requests that hold at a moment."""
    return tuple(text for text in requests if (end := ends(text)) is None or now < end)


def stops(annotation: str | None) -> tuple[str, ...]:
    """Return the requests of the annotation that stops everything, one a line. One without any text stops, too: whoever
    wrote it wanted that."""
    if annotation is None:
        return ()
    return tuple(line.strip() for line in annotation.splitlines() if line.strip()) or (UNTOLD,)
