"""Panes for the data monitor: how often the events of a short span of time met each bin of its reference.

Records as docs/data-monitor.md describes them ("Panes from elsewhere"). Nothing of the data monitor is imported: it is
another program, and the reference's file says all that is needed. Segments are left out.
"""

from __future__ import annotations

import math
import zlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from recommender.records import dumps, identity

FORMAT = "streaming-monitoring.dev/drift-pane/v1"
REFERENCE_FORMAT = "streaming-monitoring.dev/drift-reference/v1"
# Fixed, whatever the job's parallelism: an event that is read again after a restart is of the same part as before.
PARTS = 4


class Numeric:
    """Bins between edges, each with its lower edge; then one for what is no finite number."""

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = [float(edge) for edge in edges]
        self.size = len(edges) + 2

    def __call__(self, value: Any) -> int:
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return bisect_right(self._edges, value) if number else self.size - 1


class Categorical:
    """A bin for each category, then one for others, then one for what is missing."""

    def __init__(self, categories: Sequence[str]) -> None:
        self.size = len(categories) + 2
        self._codes: dict[Any, int] = {None: self.size - 1, "": self.size - 1}
        for code, category in enumerate(categories):
            self._codes[category] = code
            # Numbers and booleans are categories by their text.
            if category in ("true", "false"):
                self._codes.setdefault(category == "true", code)
            else:
                try:
                    self._codes.setdefault(float(category), code)
                except ValueError:
                    continue

    def __call__(self, value: Any) -> int:
        known = value is None or isinstance(value, str | int | float)
        return self._codes.get(value, self.size - 2) if known else self.size - 1


@dataclass
class Pane:
    """What has been counted of one span."""

    counts: list[list[int]]
    """By feature, the prediction at the end, and bin."""
    events: int = 0
    """Events that arrived while this pane was the newest."""
    late: int = 0
    """Those of them that were late."""
    latencies_ms: Counter[float] = field(default_factory=Counter)
    changed: bool = True
    """Since it was sent."""


class Panes(Protocol):
    """Panes by their start, such as a MapState of Flink."""

    def get(self, start_ms: int, /) -> Pane | None: ...
    def __setitem__(self, start_ms: int, pane: Pane, /) -> None: ...


class PaneCounter:
    """Counts predictions by the bins of a reference."""

    def __init__(self, reference: Mapping[str, Any], length_ms: int, keep_ms: int) -> None:
        """``keep_ms``: panes that are older change no more. Raises ValueError for what is no reference."""
        if reference.get("format") != REFERENCE_FORMAT:
            raise ValueError(f"not a drift reference: wanted format {REFERENCE_FORMAT}")
        self.digest = str(reference["digest"])
        self.length_ms = length_ms
        self._keep_ms = keep_ms
        self._features = {one["name"]: _bins(one) for one in reference["features"]}
        prediction = reference.get("prediction")
        self._prediction = {prediction["name"]: _bins(prediction)} if prediction else {}

    def start_ms(self, time_ms: int) -> int:
        """The start of the pane that a time is in."""
        return time_ms - time_ms % self.length_ms

    def expired(self, start_ms: int, newest_ms: int) -> bool:
        """Whether a pane changes no more, by the start of the newest one."""
        return start_ms <= newest_ms - self._keep_ms

    def add(self, panes: Panes, prediction: Mapping[str, Any], watermark_ms: int) -> int:
        """Count a prediction, late if it is older than the watermark.

        Returns the start of the pane that it arrived in: when that one is complete, all that changed is to be sent.
        """
        time_ms = prediction["ts_ms"]
        start = self.start_ms(time_ms)
        arrived = max(start, self.start_ms(watermark_ms))
        if not self.expired(start, arrived):
            pane = self._pane(panes, start)
            features = prediction["features"]
            values = [*map(features.get, self._features), *map(prediction.get, self._prediction)]
            for counts, bin_of, value in zip(pane.counts, self._bins, values, strict=True):
                counts[bin_of(value)] += 1
            # Three digits: so there are few different ones, and the monitor's bins are wider.
            pane.latencies_ms[float(f"{prediction['inference_ms']:.3g}")] += 1
            panes[start] = pane
        newest = self._pane(panes, arrived)
        newest.events += 1
        newest.late += time_ms < watermark_ms
        panes[arrived] = newest
        return arrived

    def record(self, start_ms: int, pane: Pane, part: str) -> str:
        """A pane's record: all of it each time, so that the last one of a part is right whatever came before."""
        return dumps(
            {
                "format": FORMAT,
                "reference": self.digest,
                "part": part,
                "startMs": start_ms,
                "lengthMs": self.length_ms,
                "events": pane.events,
                "late": pane.late,
                "counts": dict(zip([*self._features, *self._prediction], pane.counts, strict=True)),
                "latenciesMs": sorted(pane.latencies_ms.items()),
            }
        )

    @property
    def _bins(self) -> list[Numeric | Categorical]:
        return [*self._features.values(), *self._prediction.values()]

    def _pane(self, panes: Panes, start_ms: int) -> Pane:
        pane = panes.get(start_ms) or Pane([[0] * bins.size for bins in self._bins])
        pane.changed = True
        return pane


def part_of(prediction: str) -> str:
    """Which part of all predictions a record belongs to."""
    return str(zlib.crc32(identity(prediction).encode()) % PARTS)


def _bins(described: Mapping[str, Any]) -> Numeric | Categorical:
    return Numeric(described["edges"]) if described["kind"] == "numeric" else Categorical(described["categories"])
