"""What a window of counts says: scores by feature, the headline, late events, latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from data_monitor.core import quantiles
from data_monitor.core.panes import Shape, Vector
from data_monitor.core.reference import Reference
from data_monitor.core.score import drift_score, stability_index

QUANTILES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Rules:
    """How scores are judged."""

    min_samples: int = 500
    headline: Literal["max", "mean", "weighted", "quantile"] = "max"
    quantile: float = 0.9
    weights: Mapping[str, float] = field(default_factory=dict)
    threshold: float = 0.2


@dataclass(frozen=True)
class Judgement:
    """The drift of one window."""

    samples: int
    score: float
    """The headline, 0 to 1."""
    features: dict[str, float]
    stability: dict[str, float]
    """Population stability index by feature, the prediction among them."""
    missing: dict[str, float]
    """Share of missing values by feature, the prediction among them."""
    drifted: tuple[str, ...]
    """Features above their threshold."""
    prediction: float | None
    segments: dict[str, float]
    """Headline by segment, where it has enough samples."""
    hours: tuple[int, ...] = ()
    """How much each hour of the day weighed in what the window was compared with (core.hours); empty: none."""


@dataclass(frozen=True)
class Traffic:
    """What a window says beside drift."""

    late_percent: float | None
    """None where nothing came in."""
    latency_ms: dict[float, float]
    """By quantile; empty where no event told its inference time."""


class Judge:
    """Judges windows against one reference."""

    def __init__(self, reference: Reference, rules: Rules) -> None:
        self.reference = reference
        self.rules = rules
        self.layout = reference.layout
        segments = reference.segments
        # The last group takes the values that the reference does not name.
        self.shape = Shape(self.layout.size, 1 + len(segments.values) if segments else 1)
        names = [feature.name for feature in self.layout.features]
        self._watched = names[:-1] if reference.prediction else names
        self.thresholds = {name: max(rules.threshold, reference.thresholds.get(name, 0.0)) for name in self._watched}

    def drift(self, window: Vector, hours: Sequence[int] = ()) -> Judgement | None:
        """The judgement; None where there are fewer samples than the rules ask for.

        ``hours`` weighs the hours of the day that the window spans, for a reference that goes by them.
        """
        groups = self.shape.counts(window)
        counts = groups.sum(0)
        samples = self._samples(counts)
        if samples < max(1, self.rules.min_samples):
            return None
        reference = self.reference.at(hours)
        scores, stability, missing = {}, {}, {}
        for feature, part in zip(self.layout.features, self.layout.slices, strict=True):
            found = counts[part]
            expected = feature.expected(reference.counts[part], found)
            scores[feature.name] = float(drift_score(expected, found))
            stability[feature.name] = float(stability_index(expected, found))
            missing[feature.name] = float(found[feature.missing] / samples)
        watched = {name: scores[name] for name in self._watched}
        return Judgement(
            samples,
            self.headline(watched),
            watched,
            stability,
            missing,
            tuple(name for name, score in watched.items() if score > self.thresholds[name]),
            scores[self.layout.features[-1].name] if self.reference.prediction else None,
            self._segments(groups),
            tuple(hours) if self.reference.hours is not None else (),
        )

    def traffic(self, window: Vector) -> Traffic:
        """Late events and latency quantiles of a window."""
        seen, late = self.shape.seen(window), self.shape.late(window)
        latencies = self.shape.latencies(window)
        found = {q: quantiles.quantile(latencies, q) for q in QUANTILES} if latencies.any() else {}
        return Traffic(100.0 * late / seen if seen else None, found)

    def headline(self, scores: Mapping[str, float]) -> float:
        """One score out of those of the features."""
        values = list(scores.values())
        if not values:
            return 0.0
        match self.rules.headline:
            case "max":
                return max(values)
            case "mean":
                return float(np.mean(values))
            case "quantile":
                return float(np.quantile(values, self.rules.quantile))
            case "weighted":
                weights = [self.rules.weights.get(name, 1.0) for name in scores]
                return float(np.average(values, weights=weights)) if sum(weights) else 0.0

    def _samples(self, counts: Vector) -> int:
        # Every event adds one to a bin of every feature.
        return int(counts[self.layout.slices[0]].sum())

    def _segments(self, groups: Vector) -> dict[str, float]:
        segments = self.reference.segments
        if not segments:
            return {}
        found = {}
        for value, expected, counts in zip(segments.values, segments.counts, groups, strict=False):
            if self._samples(counts) >= self.rules.min_samples:
                found[value] = self.headline(
                    {
                        feature.name: float(drift_score(feature.expected(expected[part], counts[part]), counts[part]))
                        for feature, part in zip(self.layout.features, self.layout.slices, strict=True)
                        if feature.name in self._watched
                    }
                )
        return found
