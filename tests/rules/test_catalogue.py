"""Whatever asks Prometheus asks for metrics and labels of the catalogue (docs/metrics.md)."""

import json
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from data_monitor.adapters.exporter import Exporter, Published
from data_monitor.core.truth import Measured, Quality
from metrics_catalogue import catalogue, metrics, mistakes
from prometheus_client.metrics import MetricWrapperBase
from remediator.telemetry import metrics as remediator_metrics
from rules.conftest import ROOT, RULES

from dashboards import queries

SUFFIXES = {"counter": "_total", "histogram": "_bucket"}
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def queries_of_dashboard(board: queries.Board) -> set[str]:
    """Return what panels, annotations and variables of a dashboard ask."""
    asked = {expr for _, expr in queries.expressions(board)}
    for variable in board["templating"]["list"]:
        # A variable asks for the values of a label of an expression.
        if values := re.search(r"label_values\((.+), *\w+\)", json.dumps(variable.get("query", ""))):
            asked.add(json.loads(f'"{values.group(1)}"'))
    return asked


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


@pytest.mark.parametrize("board", queries.boards().values(), ids=queries.boards())
def test_dashboards(board: queries.Board) -> None:
    assert {query: found for query in queries_of_dashboard(board) if (found := mistakes(query))} == {}


def test_policies() -> None:
    values = yaml.safe_load((ROOT / "charts/streaming-monitoring/values.yaml").read_text())
    asked = {
        name: re.sub(r"\{\{.*?\}\}", "x", policy["spec"]["verify"]["query"])
        for name, policy in values["remediator"]["policies"].items()
        if "query" in policy["spec"].get("verify", {})
    }
    assert asked
    assert {name: found for name, query in asked.items() if (found := mistakes(query))} == {}


@pytest.mark.parametrize("path", [page for page in PAGES if queries_of_page(page.read_text())], ids=lambda p: p.stem)
def test_pages(path: Path) -> None:
    assert {query: found for query in queries_of_page(path.read_text()) if (found := mistakes(query))} == {}


def test_every_metric_of_the_remediator_is_in_the_catalogue() -> None:
    single = [value for value in vars(remediator_metrics).values() if isinstance(value, MetricWrapperBase)]
    exported = {(c._name + SUFFIXES.get(c._type, ""), c._type, frozenset(c._labelnames)) for c in single}
    for collector in (remediator_metrics.RECORDS, remediator_metrics.CONSUMER_GROUPS):
        (family,) = collector.collect()
        exported.add((family.name, family.type, frozenset(family._labelnames)))
    assert exported == documented("Remediator")


def test_every_metric_of_the_data_monitor_is_in_the_catalogue() -> None:
    judgement = SimpleNamespace(
        score=0, features={"f": 0}, stability={"f": 0}, missing={"f": 0}, drifted=[], prediction=0, segments={"s": 0}
    )
    traffic = SimpleNamespace(late_percent=0, latency_ms={0.95: 0})
    evaluation = SimpleNamespace(
        judged_at=0, ready=True, samples=0, window_end_ms=0, traffic=traffic, judgement=judgement
    )
    exporter = Exporter("m", "digest", {"f": 0.2}, ["malformed_json"])
    quality = Quality(0, 1, 1, accuracy=1.0, absolute_error=0.0, rms_error=0.0, bias=0.0)
    measured = Measured(quality, {"prediction": 0, "label": 0}, 0, Counter())
    exporter.published = Published(evaluation=evaluation, measured=measured)  # type: ignore[arg-type]
    exported = {(f.name + SUFFIXES.get(f.type, ""), f.type, frozenset(f._labelnames)) for f in exporter.collect()}
    assert exported == documented("Data monitor")


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
