"""The reference artefact: frozen bins and what the training data put into them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_monitor.core.bins import Categorical, Feature, Layout, Numeric, Tail
from data_monitor.core.hours import HOURS, mixed
from data_monitor.core.values import DEFAULT_MISSING, Missing, Type, Value, category_of

FORMAT: Final = "streaming-monitoring.dev/drift-reference/v2"
UNTYPED_FORMAT: Final = "streaming-monitoring.dev/drift-reference/v1"
"""Before features had types."""
MAX_FEATURES: Final = 200


class BadReference(ValueError):
    """A reference that cannot be used; the message says why."""


@dataclass(frozen=True)
class Segments:
    """The values of one label, each with its own reference counts; other values share the last group."""

    label: Categorical
    """Its categories are the values; its name is where the label is."""
    counts: NDArray[np.int64]
    """One row for each value, as long as the layout."""

    @property
    def path(self) -> str:
        """Where the label is."""
        return self.label.name

    @property
    def values(self) -> tuple[str, ...]:
        """Those that are judged apart."""
        return self.label.categories

    def groups(self, labels: Sequence[Value]) -> NDArray[np.intp]:
        """Which row each label belongs to; one more for all others."""
        return self.label.encode(labels).clip(max=len(self.values))


@dataclass(frozen=True)
class Reference:
    """Features with their counts, at the end the prediction if there is one."""

    features: tuple[Feature, ...]
    counts: NDArray[Any]
    """Of each bin; whole numbers but for a mixture of hours."""
    prediction: bool = False
    """Whether the last feature is the model's prediction, judged apart from the headline."""
    segments: Segments | None = None
    hours: NDArray[np.int64] | None = None
    """(24, layout): counts by the hour of the day (UTC), zeros where rows were too few; None: as a whole."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Learned by feature (docs/data-monitor.md)."""
    sample: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    """Rows for the report, by feature: nothing is scored with them."""
    missing: Missing = DEFAULT_MISSING
    """What stands for a missing value, in files and in records."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """Where it came from, for people."""
    format: str = FORMAT

    def at(self, weights: Sequence[int]) -> Reference:
        """What a window with so much of each hour of the day is compared with (core.hours)."""
        if self.hours is None or not any(weights):
            return self
        counts = mixed(self.counts, self.hours, len(self.features), np.asarray(weights))
        return replace(self, counts=counts, hours=None)

    @property
    def layout(self) -> Layout:
        """Where the bins lie."""
        return Layout(self.features)

    @property
    def digest(self) -> str:
        """Identifies what scores depend on: equal for equal bins and counts."""
        judged = {key: value for key, value in self.to_document().items() if key not in ("sample", "source", "digest")}
        text = json.dumps(judged, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_document(self) -> dict[str, Any]:
        """As JSON."""
        typed = self.format == FORMAT
        described = [
            _describe(feature, self.counts[part], typed)
            for feature, part in zip(self.features, self.layout.slices, strict=True)
        ]
        document: dict[str, Any] = {
            "format": self.format,
            **({"missing": sorted(self.missing.texts)} if typed else {}),
            "features": described[:-1] if self.prediction else described,
            "prediction": described[-1] if self.prediction else None,
        }
        if self.segments:
            document["segments"] = {
                "path": self.segments.path,
                **({"type": self.segments.label.type.value} if typed else {}),
                "values": [
                    {"value": value, "counts": counts.tolist()}
                    for value, counts in zip(self.segments.values, self.segments.counts, strict=True)
                ],
            }
        if self.hours is not None:
            document["hours"] = self.hours.tolist()
        if self.thresholds:
            document["thresholds"] = dict(self.thresholds)
        if self.source:
            document["source"] = dict(self.source)
        if self.sample:
            document["sample"] = {name: list(values) for name, values in self.sample.items()}
        return document

    @classmethod
    def from_document(cls, document: Any) -> Reference:
        """The inverse of to_document; types that an older one does not name are told from its bins.

        Raises BadReference.
        """
        if not isinstance(document, dict) or document.get("format") not in (FORMAT, UNTYPED_FORMAT):
            raise BadReference(f"not a drift reference: wanted format {FORMAT}")
        try:
            missing = Missing.of(map(str, document["missing"])) if "missing" in document else DEFAULT_MISSING
            described = [*document["features"], *([document["prediction"]] if document.get("prediction") else [])]
            read = [_read(one, missing) for one in described]
            features = tuple(feature for feature, _ in read)
            segments = None
            if document.get("segments"):
                values = document["segments"]["values"]
                label = {**document["segments"], "name": document["segments"]["path"]}
                label["categories"] = [one["value"] for one in values]
                segments = Segments(
                    _categorical(label, missing), np.asarray([one["counts"] for one in values], dtype=np.int64)
                )
            found = cls(
                features,
                np.concatenate([counts for _, counts in read]) if read else np.zeros(0, np.int64),
                prediction=bool(document.get("prediction")),
                segments=segments,
                hours=np.asarray(document["hours"], dtype=np.int64) if document.get("hours") else None,
                thresholds={str(name): float(value) for name, value in document.get("thresholds", {}).items()},
                sample=document.get("sample", {}),
                missing=missing,
                source=document.get("source", {}),
                format=document["format"],
            )
        except BadReference:
            raise
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BadReference(f"damaged: {type(error).__name__}: {error}") from error
        found._check()
        return found

    def _check(self) -> None:
        names = [feature.name for feature in self.features]
        if not names:
            raise BadReference("no features")
        if len(names) > MAX_FEATURES:
            raise BadReference(f"{len(names)} features, at most {MAX_FEATURES} are watched")
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise BadReference(f"twice: {', '.join(twice)}")
        if (self.counts < 0).any():
            raise BadReference("negative counts")
        for feature, part in zip(self.features, self.layout.slices, strict=True):
            if not self.counts[part].sum():
                raise BadReference(f"feature {feature.name} has no counts")
        if self.sample and (set(self.sample) != set(names) or len({len(one) for one in self.sample.values()}) > 1):
            raise BadReference("the sample does not fit the features")
        if self.hours is not None and (self.hours.shape != (HOURS, self.layout.size) or (self.hours < 0).any()):
            raise BadReference("the hours' counts do not fit the features")
        if self.segments and self.segments.counts.shape != (len(self.segments.values), self.layout.size):
            raise BadReference("the segments' counts do not fit the features")


def _describe(feature: Feature, counts: NDArray[np.int64], typed: bool) -> dict[str, Any]:
    described: dict[str, Any] = {"name": feature.name, **({"type": feature.type.value} if typed else {})}
    if isinstance(feature, Numeric):
        described |= {"kind": "numeric", "edges": list(feature.edges)}
    else:
        described |= {"kind": "categorical", "categories": list(feature.categories)}
        if feature.tail:
            known = base64.b64encode(feature.tail.known.astype("<u4").tobytes()).decode()
            described["tail"] = {"groups": feature.tail.groups, "known": known}
    return described | {"counts": counts.tolist()}


def _read(described: Mapping[str, Any], missing: Missing) -> tuple[Feature, NDArray[np.int64]]:
    name = described["name"]
    feature: Feature
    match described["kind"]:
        case "numeric":
            edges = tuple(float(edge) for edge in described["edges"])
            if any(not a < b for a, b in pairwise(edges)) or not all(map(math.isfinite, edges)):
                raise BadReference(f"feature {name}: edges must rise")
            feature = Numeric(name, edges, Type(described.get("type", Type.NUMBER)), missing)
        case "categorical":
            feature = _categorical(described, missing)
        case kind:
            raise BadReference(f"feature {name}: kind {kind!r}, wanted numeric or categorical")
    counts = np.asarray(described["counts"], dtype=np.int64)
    if counts.shape != (feature.size,):
        raise BadReference(f"feature {name}: {counts.size} counts for {feature.size} bins")
    return feature, counts


def _categorical(described: Mapping[str, Any], missing: Missing) -> Categorical:
    categories = tuple(str(one) for one in described["categories"])
    type_ = Type(described["type"]) if "type" in described else _type_of(categories)
    return Categorical(described["name"], categories, type_, _tail(described), missing)


def _type_of(categories: Sequence[str]) -> Type:
    """What categories of a reference without types were made from."""
    if categories and set(categories) <= {"true", "false"}:
        return Type.BOOLEAN
    numbers = all(category_of(name, Type.NUMBER) == name and name[-1:].isdigit() for name in categories)
    return Type.NUMBER if categories and numbers else Type.TEXT


def _tail(described: Mapping[str, Any]) -> Tail | None:
    if not (found := described.get("tail")):
        return None
    try:
        known = np.frombuffer(base64.b64decode(found["known"], validate=True), "<u4").astype(np.uint32)
    except binascii.Error as error:
        raise BadReference(f"feature {described['name']}: tail.known is not base64: {error}") from error
    groups = int(found["groups"])
    if groups < 1 or not len(known) or (np.diff(known.astype(np.int64)) <= 0).any():
        raise BadReference(f"feature {described['name']}: tail needs groups, and hashes that rise")
    return Tail(known, groups)
