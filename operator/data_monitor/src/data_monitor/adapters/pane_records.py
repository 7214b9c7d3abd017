"""Panes that somebody else counted, such as a Flink job: one JSON record for each pane and, if any, segment.

    {"format": "streaming-monitoring.dev/drift-pane/v1", "reference": "7e1632e5fe9f6278",
     "part": "job/3", "startMs": 1790000000000, "lengthMs": 10000, "events": 1000, "late": 3, "segment": "mobile",
     "counts": {"price_log": [98, 102, ...], "device": [...]}, "latenciesMs": [[0.04, 712], [0.05, 288]]}

Counts are those of the reference's bins in their order, for each feature and the prediction; their sum is the number
of events that are not late beyond the window. Records of one pane add up, so each subtask may send its own; one that
names its part takes the place of an earlier record of the same part, so a repeat changes nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
import numpy as np

from data_monitor.core import problems, quantiles
from data_monitor.core.judge import Judge
from data_monitor.core.panes import Vector

FORMAT: Final = "streaming-monitoring.dev/drift-pane/v1"


# Panes are kept as int32.
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_Moment = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
_Latency = Annotated[float, msgspec.Meta(ge=0)]


class PaneRecord(msgspec.Struct, rename="camel"):
    """The record."""

    format: str
    reference: str
    start_ms: _Moment
    length_ms: int
    counts: dict[str, list[_Count]]
    events: _Count
    late: _Count = 0
    segment: str | None = None
    part: str | None = None
    latencies_ms: list[tuple[_Latency, _Count]] = []


@dataclass(frozen=True)
class Pane:
    """A pane as the monitor adds it."""

    start_ms: int
    vector: Vector
    part: str | None
    """Whose count it is, of which segment."""


class PaneDecoder:
    """Decodes pane records made with one reference."""

    def __init__(self, judge: Judge, pane_ms: int) -> None:
        self._judge = judge
        self._digest = judge.reference.digest
        self._pane_ms = pane_ms
        self._decoder = msgspec.json.Decoder(PaneRecord)
        segments = judge.reference.segments
        self._groups = {value: code for code, value in enumerate(segments.values)} if segments else {}

    def decode(self, value: bytes | None, counters: Counter[str]) -> Pane | None:
        """A record's pane; None, and a count of the problem, where it is none or belongs to another reference."""
        try:
            record = self._decoder.decode(value or b"")
        except msgspec.ValidationError:
            counters[f"invalid.{problems.WRONG_TYPE}"] += 1
            return None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            counters[f"invalid.{problems.MALFORMED}"] += 1
            return None
        layout = self._judge.layout
        fits = (
            record.format == FORMAT
            and record.reference == self._digest
            and record.length_ms == self._pane_ms
            and record.start_ms % self._pane_ms == 0
            and {name: len(counts) for name, counts in record.counts.items()}
            == {feature.name: feature.size for feature in layout.features}
        )
        if not fits:
            counters[f"invalid.{problems.OTHER_REFERENCE}"] += 1
            return None
        part = None if record.part is None else f"{record.part}\n{record.segment or ''}"
        return Pane(record.start_ms, self._vector(record), part)

    def _vector(self, record: PaneRecord) -> Vector:
        shape = self._judge.shape
        vector = np.zeros(shape.size, np.int64)
        group = self._groups.get(record.segment or "", shape.groups - 1)
        for feature, part in zip(self._judge.layout.features, self._judge.layout.slices, strict=True):
            shape.counts(vector)[group, part] = record.counts[feature.name]
        if record.latencies_ms:
            times, counts = np.asarray(record.latencies_ms, np.float64).T
            np.add.at(shape.latencies(vector), quantiles.encode(times), counts.astype(np.int64))
        vector[-2:] = record.events, record.late
        return vector
