"""The catalogue of metrics in docs/metrics.md, and what it says about an expression in PromQL."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import promql_parser as promql

PAGE = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"
Labels = frozenset[str]

KEEPS_SERIES = ("topk", "bottomk", "limitk", "limit_ratio")
FILTERS = ("and", "unless")


@dataclass(frozen=True)
class Source:
    """Who exports metrics."""

    name: str
    job: str
    """A regular expression; empty for what Prometheus makes itself."""
    labels: Labels
    """That its series may have because of the job, besides their own."""
    not_in: Labels
    """Where it does not run: in `packages`, clusters of the tests that pull nothing and have stand-ins."""


@dataclass(frozen=True)
class Metric:
    """One row of the catalogue; a histogram is three metrics."""

    name: str
    source: Source
    type: str
    unit: str
    labels: Labels
    appears: str
    meaning: str


@cache
def catalogue() -> dict[str, Metric]:
    """All metrics by name. Raises ValueError for a page that is not as its first part says."""
    sections = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    tables = {title: list(_rows(text)) for title, text in zip(sections[::2], sections[1::2], strict=True)}
    sources = {
        name: Source(name, job, _names(labels), frozenset(not_in.split()))
        for name, job, labels, not_in in tables.pop("Sources")
    }
    if set(sources) != set(tables):
        raise ValueError(f"sources and sections differ: {sorted(set(sources) ^ set(tables))}")
    found: dict[str, Metric] = {}
    for title, rows in tables.items():
        source = sources[title]
        for name, kind, unit, labels, appears, meaning in rows:
            metric = Metric(name.strip("`"), source, kind, unit, _names(labels) | source.labels, appears, meaning)
            for part in _parts(metric):
                if part.name in found:
                    raise ValueError(f"{part.name} stands twice")
                found[part.name] = part
    return found


def _rows(text: str) -> Iterator[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    for line in lines[2:]:
        cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
        yield [cell.strip().replace("\\|", "|") for cell in cells]


def _names(cell: str) -> Labels:
    return frozenset(re.findall(r"`([^`]+)`", cell))


def _parts(metric: Metric) -> list[Metric]:
    if metric.type != "histogram":
        return [metric]
    bucket = replace(metric, name=f"{metric.name}_bucket", labels=metric.labels | {"le"})
    return [bucket, *(replace(metric, name=f"{metric.name}_{part}") for part in ("sum", "count"))]


def parse(expr: str) -> promql.Expr:
    """Parse an expression of a rule or of a panel, whose intervals Grafana fills in. Raises ValueError."""
    return promql.parse(re.sub(r"\$__(rate_interval|interval|range)", "5m", expr))


def metrics(expr: str) -> set[str]:
    """Names of the metrics that an expression asks for. Raises ValueError."""
    return {selector.name for selector in _nodes(parse(expr), promql.VectorSelector) if selector.name}


def mistakes(expr: str) -> list[str]:
    """What in an expression the catalogue does not know: metrics, and labels that the asked for series cannot have.

    Raises ValueError for what is not PromQL.
    """
    tree = parse(expr)
    found = []
    for selector in _nodes(tree, promql.VectorSelector):
        metric = catalogue().get(selector.name or "")
        if metric is None:
            found.append(f"unknown metric {selector.name or selector.matchers}")
            continue
        asked = {m.name for m in selector.matchers.matchers} - {"__name__"}
        found += [f"{metric.name} has no label {label}" for label in sorted(asked - metric.labels)]
    if found:
        return found
    for aggregation in _nodes(tree, promql.AggregateExpr):
        if aggregation.modifier is not None:
            lost = set(aggregation.modifier.labels) - possible_labels(aggregation.expr)
            found += [f"no label {label} in {aggregation.expr}" for label in sorted(lost)]
    for binary in _nodes(tree, promql.BinaryExpr):
        if binary.modifier is not None and binary.modifier.matching is not None:
            there = possible_labels(binary.lhs) & possible_labels(binary.rhs)
            lost = set(binary.modifier.matching.labels) - there
            found += [f"no label {label} on both sides of {binary}" for label in sorted(lost)]
    return found


def possible_labels(tree: promql.Expr) -> Labels:
    """Labels that some series of a result may have."""
    return _labels(tree, frozenset.union)


def sure_labels(expr: str) -> Labels:
    """Labels that each series of a result has, whichever branch of an ``or`` it comes from. Raises ValueError."""
    return _labels(parse(expr), frozenset.intersection)


def _labels(tree: promql.Expr, either: Callable[[Labels, Labels], Labels]) -> Labels:
    match tree:
        case promql.VectorSelector():
            return catalogue()[tree.name].labels
        case promql.MatrixSelector():
            return _labels(tree.vector_selector, either)
        case promql.SubqueryExpr() | promql.ParenExpr() | promql.UnaryExpr():
            return _labels(tree.expr, either)
        case promql.Call():
            found = frozenset().union(*(_labels(argument, either) for argument in tree.args))
            if tree.func.name == "label_replace":
                return found | {tree.args[1].val}
            return found - {"le"} if tree.func.name == "histogram_quantile" else found
        case promql.AggregateExpr():
            inner = _labels(tree.expr, either)
            if tree.modifier is None:
                return inner if str(tree.op) in KEEPS_SERIES else frozenset()
            named = frozenset(tree.modifier.labels)
            return inner & named if tree.modifier.type == promql.AggModifierType.By else inner - named
        case promql.BinaryExpr():
            return _labels_of_binary(tree, either)
    return frozenset()  # a number or a text


def _labels_of_binary(tree: promql.BinaryExpr, either: Callable[[Labels, Labels], Labels]) -> Labels:
    left, right = _labels(tree.lhs, either), _labels(tree.rhs, either)
    if str(tree.op) in FILTERS or _is_number(tree.rhs):
        return left
    if _is_number(tree.lhs):
        return right
    if str(tree.op) == "or":
        return either(left, right)
    modifier = tree.modifier
    if modifier is None:
        return left
    extra = frozenset(modifier.group_labels or ())
    if modifier.card == promql.VectorMatchCardinality.ManyToOne:
        return left | extra
    if modifier.card == promql.VectorMatchCardinality.OneToMany:
        return right | extra
    if modifier.matching is None:
        return left
    named = frozenset(modifier.matching.labels)
    return left & named if modifier.matching.type == promql.LabelModifierType.Include else left - named


def _is_number(tree: promql.Expr) -> bool:
    """Whether it is a scalar, which has no series to match."""
    if isinstance(tree, promql.ParenExpr | promql.UnaryExpr):
        return _is_number(tree.expr)
    if isinstance(tree, promql.BinaryExpr):
        return _is_number(tree.lhs) and _is_number(tree.rhs)
    return isinstance(tree, promql.NumberLiteral) or (
        isinstance(tree, promql.Call) and tree.func.return_type == promql.ValueType.Scalar
    )


def _nodes(tree: promql.Expr, kind: type) -> list:
    found = []

    def visit(node: promql.Expr) -> None:
        if isinstance(node, kind):
            found.append(node)

    promql.walk(tree, visit)
    return found
