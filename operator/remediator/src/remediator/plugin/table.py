"""Text for a terminal: ages, and colours where a terminal shows them."""

import os
from datetime import datetime, timedelta
from typing import Final, TextIO

from remediator.api.reasons import Phase

_RED, _GREEN, _YELLOW, _CYAN = "31", "32", "33", "36"
_COLOURS: Final = {
    Phase.SUCCEEDED: _GREEN,
    Phase.FAILED: _RED,
    Phase.INEFFECTIVE: _RED,
    Phase.OVERRIDDEN: _RED,
    Phase.REFUSED: _YELLOW,
    Phase.AWAITING_APPROVAL: _YELLOW,
    Phase.EXECUTING: _CYAN,
    Phase.VERIFYING: _CYAN,
}


def in_colour(stream: TextIO) -> bool:
    """Tell whether a stream shows colours and its reader wants them (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def phase(text: str, colour: bool) -> str:
    """Write a phase, in its colour."""
    code = _COLOURS.get(Phase(text)) if colour and text in set(Phase) else None
    return f"\x1b[{code}m{text}\x1b[0m" if code else text


def age(since: datetime, now: datetime) -> str:
    """Write how long ago a moment was, as kubectl does: the two largest units that matter."""
    seconds = max(int((now - since) / timedelta(seconds=1)), 0)
    if seconds < 120:
        return f"{seconds}s"
    if seconds < 600:
        return f"{seconds // 60}m{f'{seconds % 60}s' if seconds % 60 else ''}"
    if seconds < 7200:
        return f"{seconds // 60}m"
    if seconds < 28_800:
        return f"{seconds // 3600}h{f'{seconds % 3600 // 60}m' if seconds % 3600 // 60 else ''}"
    if seconds < 172_800:
        return f"{seconds // 3600}h"
    return f"{seconds // 86_400}d"
