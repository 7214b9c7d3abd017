"""The drift report: the scores of the rows, and each feature's bins side by side. HTML with drawings, and no scripts.

Bins, counts and scores are those of the alert (core.bins, core.score), so the report shows what the alert has seen.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

import numpy as np

from data_monitor.core.bins import Categorical, Feature
from data_monitor.core.learn import column_for
from data_monitor.core.reference import Reference
from data_monitor.core.score import drift_score, stability_index
from data_monitor.core.values import Type
from data_monitor.report.drift_report import DriftReport, Rows

FORMAT: Final = "streaming-monitoring.dev/drift-report/v1"
_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Data drift</title>
<meta name="viewport" content="width=device-width">
<style>
body{{font:16px sans-serif;margin:2em;color:#222;background:#fff}}
td,th{{padding:.2em .8em;text-align:left}}.n{{text-align:right}}
svg{{max-width:100%;height:auto}}svg text{{font:11px sans-serif}}
.r{{fill:#8a94a6}}.c{{fill:#2f6fde}}.d{{fill:#c8452b}}b.d{{color:#c8452b}}
</style>
<h1>Data drift</h1>
<p>{rows:,} rows, compared with a reference of {reference_rows:,} rows.
A score of 0 is like the reference, 1 has nothing in common with it. {drifted} of {features} features are above their
threshold.</p>
<table><tr><th>Feature<th>Type<th class=n>Score<th>&nbsp;<th class=n>Threshold<th class=n>PSI
<th class=n>Missing before<th class=n>Missing now</tr>
{table}</table>
{charts}
<p>Bars are the share of the rows in each bin: grey in the reference, blue (red where it drifted) now.</p></html>
"""
_WIDTH: Final = 720
_HEIGHT: Final = 130
_LONGEST: Final = 16
_NARROW: Final = 1e-5


@dataclass(frozen=True)
class Bin:
    """A bin, with its share of the rows, 0 to 1."""

    label: str
    reference: float
    current: float


@dataclass(frozen=True)
class Shown:
    """What is said of a feature; scores, shares and thresholds are between 0 and 1."""

    name: str
    type: str
    prediction: bool
    score: float
    psi: float
    threshold: float
    bins: tuple[Bin, ...]
    """The last one holds missing values."""

    @property
    def drifted(self) -> bool:
        """Whether it is above its threshold."""
        return self.score > self.threshold


def make(reference: Reference, expected: Rows, current: Rows, thresholds: Mapping[str, float]) -> DriftReport:
    """Compare rows with a reference, highest score first.

    ``expected`` is not needed: what the reference was like is in its counts.
    """
    del expected
    found = []
    for at, (feature, part) in enumerate(zip(reference.features, reference.layout.slices, strict=True)):
        codes = feature.encode(column_for(feature, current[feature.name]))  # type: ignore[arg-type]
        counts = np.bincount(codes, minlength=feature.size)
        wanted = feature.expected(reference.counts[part], counts)
        shares = (wanted / max(1, wanted.sum()), counts / max(1, counts.sum()))
        found.append(
            Shown(
                feature.name,
                feature.type.value,
                reference.prediction and at == len(reference.features) - 1,
                float(drift_score(wanted, counts)),
                float(stability_index(wanted, counts)),
                thresholds[feature.name],
                tuple(
                    Bin(label, *pair)
                    for label, *pair in zip(labels(feature), *map(np.ndarray.tolist, shares), strict=True)
                ),
            )
        )
    found.sort(key=lambda one: -one.score)
    rows = max(map(len, current.values()), default=0)
    source = int(reference.counts[reference.layout.slices[0]].sum())
    document = {
        "format": FORMAT,
        "reference_rows": source,
        "rows": rows,
        "features": [{**asdict(one), "drifted": one.drifted} for one in found],
    }
    return DriftReport(_page(document, found), document, {one.name: one.score for one in found})


def labels(feature: Feature) -> list[str]:
    """What each bin of a feature holds, in words."""
    if isinstance(feature, Categorical):
        tail = [f"group {at + 1}" for at in range(feature.tail.groups)] if feature.tail else []
        return [*feature.categories, *tail, "other", "missing"]
    edges = feature.edges
    if not edges:
        return ["any", "missing"]
    write = _moment if feature.type is Type.DATETIME else "{:.4g}".format
    inside = [_between(low, high, edges[-1] - edges[0], write) for low, high in pairwise(edges)]
    return [f"below {write(edges[0])}", *inside, f"from {write(edges[-1])}", "missing"]


def _between(low: float, high: float, span: float, write: Callable[[float], str]) -> str:
    """A spike has a bin so narrow that its middle says it."""
    middle = low / 2 + high / 2
    if high - low < _NARROW * span or write(low) == write(high):
        return write(0.0 if abs(middle) < _NARROW * span else middle)
    return f"{write(low)} to {write(high)}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _page(document: Mapping[str, Any], found: Sequence[Shown]) -> str:
    return _PAGE.format(
        rows=document["rows"],
        reference_rows=document["reference_rows"],
        drifted=sum(one.drifted for one in found),
        features=len(found),
        table="".join(map(_row, found)),
        charts="\n".join(map(_chart, found)),
    )


def _row(one: Shown) -> str:
    name = html.escape(one.name) + (" (prediction)" if one.prediction else "")
    bar = f'<svg width="100" height="12"><rect class="{_class(one)}" width="{100 * one.score:.1f}" height="12"/></svg>'
    name = f"<b class=d>{name}</b>" if one.drifted else name
    missing = one.bins[-1]
    return (
        f"<tr><td>{name}<td>{one.type}<td class=n>{one.score:.3f}<td>{bar}<td class=n>{one.threshold:.3f}"
        f"<td class=n>{one.psi:.3f}<td class=n>{missing.reference:.2%}<td class=n>{missing.current:.2%}</tr>\n"
    )


def _chart(one: Shown) -> str:
    """Two bars for each bin."""
    width = _WIDTH / len(one.bins)
    scale = (_HEIGHT - 10) / max(max(part.reference, part.current) for part in one.bins)
    parts = []
    for at, part in enumerate(one.bins):
        title = f"{part.label}: {part.reference:.2%} in the reference, {part.current:.2%} now"
        parts.append(f"<g><title>{html.escape(title)}</title>")
        for side, (kind, share) in enumerate((("r", part.reference), (_class(one), part.current))):
            x, tall = at * width + width * (0.12 + 0.38 * side), scale * share
            parts.append(
                f'<rect class="{kind}" x="{x:.1f}" y="{_HEIGHT - tall:.1f}" width="{width * 0.36:.1f}" '
                f'height="{tall:.1f}"/>'
            )
        label = part.label if len(part.label) <= _LONGEST else part.label[: _LONGEST - 1] + "…"
        x = at * width + width / 2
        parts.append(
            f'<text x="{x:.1f}" y="{_HEIGHT + 12}" text-anchor="end" transform="rotate(-30 {x:.1f} {_HEIGHT + 12})">'
            f"{html.escape(label)}</text></g>"
        )
    return (
        f"<h2>{html.escape(one.name)}: {one.score:.3f}</h2>\n"
        f'<svg viewBox="-40 0 {_WIDTH + 60} {_HEIGHT + 80}" width="{_WIDTH + 60}" role="img">{"".join(parts)}</svg>'
    )


def _class(one: Shown) -> str:
    return "d" if one.drifted else "c"
