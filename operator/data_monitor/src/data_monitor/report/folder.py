"""The folder that the monitor and the report's process share: the monitor's sample, and the reports made of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

Value = str | float | bool | None

_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z")


def name_of(moment: float) -> str:
    """A report's name: the time of its sample, so that names sort by time."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y%m%dT%H%M%SZ}"


class Finding(msgspec.Struct, rename="camel", kw_only=True):
    """What the monitor found when it wrote the sample. Times are Unix seconds."""

    model: str
    evaluated_at: float
    score: float
    """The headline: data_drift_score."""
    threshold: float
    features: dict[str, float]
    """Score of each feature, the prediction among them."""
    reference: str
    """Digest of the reference."""
    events: int
    """In the window."""

    @property
    def drifted(self) -> bool:
        """Whether a report is worth its while."""
        return self.score > self.threshold


class Sample(Finding, rename="camel", kw_only=True):
    """Rows drawn evenly from the window: each feature's values, all of one length; None where one was missing."""

    columns: dict[str, list[Value]]
    hours: list[int] = []
    """How much each hour of the day weighs in the window, where the reference goes by them."""

    @property
    def rows(self) -> int:
        """How many there are."""
        return max(map(len, self.columns.values()), default=0)


class Summary(Finding, rename="camel", kw_only=True):
    """What the list of reports says of one."""

    name: str
    reason: str
    rows: int
    """Of the sample."""


class Folder:
    """Files are put into place as a whole, so a reader never sees half of one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reports = path / "reports"
        self._sample = path / "sample.json"

    def write_sample(self, sample: Sample) -> None:
        """Replace the sample. Raises OSError."""
        _put(self._sample, msgspec.json.encode(sample))

    def sample(self) -> Sample | None:
        """The latest sample; None before the first. Raises OSError or msgspec.ValidationError."""
        return msgspec.json.decode(self._sample.read_bytes(), type=Sample) if self._sample.exists() else None

    def finding(self) -> Finding | None:
        """What the latest sample goes with; None before the first. Raises OSError or msgspec.ValidationError."""
        return msgspec.json.decode(self._sample.read_bytes(), type=Finding) if self._sample.exists() else None

    def add(self, page: str, summary: Summary, keep: int) -> Path:
        """Store a report and remove the oldest beyond ``keep``; returns where the page is."""
        # The summary last: a report is listed once it is there.
        _put(self.page(summary.name), page.encode())
        _put(self.reports / f"{summary.name}.json", msgspec.json.encode(summary))
        for old in self._names()[keep:]:
            for suffix in ("json", "html"):
                (self.reports / f"{old}.{suffix}").unlink(missing_ok=True)
        return self.page(summary.name)

    def page(self, name: str) -> Path:
        """Where the report of that name is. Raises ValueError for what is no name."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a report")
        return self.reports / f"{name}.html"

    def summaries(self) -> Iterator[Summary]:
        """The reports, newest first. One that was removed meanwhile is left out."""
        for name in self._names():
            try:
                yield msgspec.json.decode((self.reports / f"{name}.json").read_bytes(), type=Summary)
            except (FileNotFoundError, msgspec.MsgspecError):
                continue

    def _names(self) -> list[str]:
        return sorted((path.stem for path in self.reports.glob("*.json") if _NAME.fullmatch(path.stem)), reverse=True)


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    part.replace(path)
