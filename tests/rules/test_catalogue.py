"""Whatever asks Prometheus asks for metrics and labels of the catalogue (docs/metrics.md)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from metrics_catalogue import catalogue, metrics, mistakes
from prometheus_client.metrics import MetricWrapperBase
from remediator.telemetry import metrics as remediator_metrics
from rules.conftest import ROOT, RULES

SUFFIXES = {"counter": "_total", "histogram": "_bucket"}
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def queries_of_dashboard(part: Any) -> Iterator[str]:
    """Return what panels, annotations and variables of a dashboard ask."""
    if isinstance(part, list):
        for item in part:
            yield from queries_of_dashboard(item)
    elif isinstance(part, dict):
        for key, value in part.items():
            # A variable asks for the values of a label of an expression.
            asked = re.fullmatch(r"label_values\((.+), *\w+\)", value) if isinstance(value, str) else None
            if key == "expr" and isinstance(value, str):
                yield value
            elif key == "query" and asked:
                yield asked.group(1)
            else:
                yield from queries_of_dashboard(value)


def queries_of_page(text: str) -> list[str]:
    """Return the lines of a page's blocks of PromQL."""
    blocks = re.findall(r"^ *```promql\n(.+?)^ *```", text, flags=re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def documented(source: str) -> set[tuple[str, str, frozenset[str]]]:
    """Return name, type and own labels of the metrics of a source; a histogram is its buckets."""
    return {
        (metric.name, metric.type, metric.labels - metric.source.labels - {"le"})
        for metric in catalogue().values()
        if metric.source.name == source and (metric.type != "histogram" or metric.name.endswith(SUFFIXES["histogram"]))
    }


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.get("alert") or rule["record"]) for _, rule in RULES])
def test_rules(rule: dict) -> None:
    assert mistakes(rule["expr"]) == []


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards(path: Path) -> None:
    queries = sorted(set(queries_of_dashboard(json.loads(path.read_text()))))
    assert queries
    assert {query: found for query in queries if (found := mistakes(query))} == {}


@pytest.mark.parametrize("path", [page for page in PAGES if queries_of_page(page.read_text())], ids=lambda p: p.stem)
def test_pages(path: Path) -> None:
    assert {query: found for query in queries_of_page(path.read_text()) if (found := mistakes(query))} == {}


def test_every_metric_of_the_remediator_is_in_the_catalogue() -> None:
    single = [value for value in vars(remediator_metrics).values() if isinstance(value, MetricWrapperBase)]
    exported = {(c._name + SUFFIXES.get(c._type, ""), c._type, frozenset(c._labelnames)) for c in single}
    (records,) = remediator_metrics.RECORDS.collect()
    exported.add((records.name, records.type, frozenset(remediator_metrics.Records._LABELS)))
    assert exported == documented("Remediator")


@pytest.mark.parametrize(
    ("expr", "wrong"),
    [
        ("kafka_consumergroup_lagg > 1", "unknown metric kafka_consumergroup_lagg"),
        ('kafka_consumergroup_lag{group="g"}', "kafka_consumergroup_lag has no label group"),
        ("sum by (group) (kafka_consumergroup_lag)", "no label group in kafka_consumergroup_lag{}"),
        ("sum by (consumergroup) (kafka_consumergroup_lag) unless on (app) up", "no label app on both sides"),
    ],
)
def test_a_mistake_is_found(expr: str, wrong: str) -> None:
    (found,) = mistakes(expr)
    assert found.startswith(wrong)


def test_metrics_of_an_expression() -> None:
    expr = 'sum(rate(up{job="flink"}[$__rate_interval])) / on () group(kafka_brokers offset 5m)'
    assert metrics(expr) == {"up", "kafka_brokers"}


def test_every_metric_is_described() -> None:
    for metric in catalogue().values():
        assert metric.type in ("gauge", "counter", "histogram"), metric.name
        assert metric.unit, metric.name
        assert metric.appears, metric.name
        assert metric.meaning.endswith("."), metric.name
        assert (metric.type == "counter") == metric.name.endswith("_total"), metric.name
