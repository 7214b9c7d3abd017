"""Panes for the data monitor: how often the events of a short span of time met each bin of its reference.

Records as docs/data-monitor.md describes them ("Panes from elsewhere"). Nothing of the data monitor is imported: it is
another program, and the reference's file says all that is needed. Segments are left out.
"""

from __future__ import annotations

import base64
import math
import re
import struct
import zlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from recommender.records import dumps, identity

FORMAT = "streaming-monitoring.dev/drift-pane/v1"
REFERENCE_FORMATS = tuple(f"streaming-monitoring.dev/drift-reference/v{version}" for version in (1, 2))
# Fixed, whatever the job's parallelism: an event that is read again after a restart is of the same part as before.
PARTS = 4
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TRUE = ("true", "t", "yes", "y", "on", "1", "1.0")
_FALSE = ("false", "f", "no", "n", "off", "0", "0.0")


class Numeric:
    """Bins between edges, each with its lower edge; then one for what is no finite number."""

    def __init__(self, edges: Sequence[float], missing: Collection[str] = ("",)) -> None:
        self._edges = [float(edge) for edge in edges]
        self._missing = {number for text in missing if (number := _number(text)) is not None}
        self.size = len(edges) + 2

    def __call__(self, value: Any) -> int:
        if isinstance(value, str):
            value = _number(value.strip())
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return bisect_right(self._edges, value) if number and value not in self._missing else self.size - 1


class Categorical:
    """A bin for each category, then groups of further ones, then one for others, then one for what is missing."""

    def __init__(
        self,
        categories: Sequence[str],
        type_: str = "text",
        tail: Mapping[str, Any] | None = None,
        missing: Collection[str] = ("",),
    ) -> None:
        self._codes = {name: code for code, name in enumerate(categories)}
        self._type = type_
        self._missing = {*missing, ""} - set(categories)
        self._numbers = {number for text in missing if (number := _number(text)) is not None}
        self._groups = tail["groups"] if tail else 0
        known = base64.b64decode(tail["known"]) if tail else b""
        self._known = frozenset(hash_ for (hash_,) in struct.iter_unpack("<I", known))
        self.size = len(categories) + self._groups + 2

    def __call__(self, value: Any) -> int:
        if value is None or not isinstance(value, str | int | float) or self._stands_for_nothing(value):
            return self.size - 1
        name = _category(value, self._type)
        code = self._codes.get(name)
        if code is None:
            hash_ = zlib.crc32(name.encode(errors="surrogatepass"))
            code = len(self._codes) + hash_ % self._groups if hash_ in self._known else self.size - 2
        return code

    def _stands_for_nothing(self, value: str | int | float) -> bool:
        if isinstance(value, str):
            return value.strip() in self._missing
        return not isinstance(value, bool) and (not math.isfinite(value) or value in self._numbers)


def _number(text: str) -> int | float | None:
    if not _NUMBER.fullmatch(text):
        return None
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _category(value: str | int | float, type_: str) -> str:
    """The name of a value's category: numbers and booleans by their text, texts by what they say in this type."""
    if type_ == "boolean" and (word := _category(value, "text").strip().lower()) in (*_TRUE, *_FALSE):
        return "true" if word in _TRUE else "false"
    if type_ == "number" and isinstance(value, str):
        number = _number(value.strip())
        return value.strip() if number is None else _category(number, type_)
    if isinstance(value, bool):
        return str(int(value) if type_ == "number" else value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


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
        if reference.get("format") not in REFERENCE_FORMATS:
            raise ValueError(f"not a drift reference: wanted format {' or '.join(REFERENCE_FORMATS)}")
        self.digest = str(reference["digest"])
        self.length_ms = length_ms
        self._keep_ms = keep_ms
        missing = reference.get("missing", ("",))
        self._features = {one["name"]: _bins(one, missing) for one in reference["features"]}
        prediction = reference.get("prediction")
        self._prediction = {prediction["name"]: _bins(prediction, missing)} if prediction else {}

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


def _bins(described: Mapping[str, Any], missing: Collection[str]) -> Numeric | Categorical:
    type_ = described.get("type")
    if type_ == "datetime":
        raise ValueError(f"feature {described['name']}: times are not counted here")
    if described["kind"] == "numeric":
        return Numeric(described["edges"], missing)
    names = described["categories"]
    if type_ is None:
        # An older reference: what its categories look like.
        numbers = all(name[-1:].isdigit() and _category(name, "number") == name for name in names)
        type_ = "boolean" if {*names} and {*names} <= {"true", "false"} else "number" if numbers else "text"
    return Categorical(names, type_, described.get("tail"), missing)
