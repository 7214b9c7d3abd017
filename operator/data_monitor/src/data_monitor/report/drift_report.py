"""A drift report, however it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_monitor.report.folder import Value

Rows = Mapping[str, Sequence[Value]]
"""Each feature's values by name, all of one length; None is missing."""


@dataclass(frozen=True)
class DriftReport:
    """A self-contained page, and the same as JSON."""

    html: str
    json: dict[str, Any]
    scores: dict[str, float]
    """What the page shows for each feature."""
