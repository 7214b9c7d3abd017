"""Pictures of panels: what is asked, and that nothing is drawn that was not answered."""

import math
from typing import Any
from xml.etree import ElementTree

import pictures
import pytest

from dashboards import draw, queries, units
from dashboards.prometheus import Prometheus

PIPELINE = queries.boards()["streaming-pipeline.json"]
SPAN = draw.Span(1000, 1600)
LAG = {"namespace": "streaming", "consumergroup": "ml-recommender"}
RECORD = {"phase": "Succeeded", "action": "Scale 2 to 4", "alert": "HighKafkaLag", "remediation": "high-kafka-lag-1"}
SOURCE = "Drawn from made-up data; not a screenshot of Grafana."


class Answers:
    """The HTTP API of a Prometheus that knows a lag with a gap in it, an alert and a remediation."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []

    def __call__(self, path: str, query: dict[str, str]) -> Any:
        assert path == "/api/v1/query_range"
        self.asked.append(query)
        expr, found = query["query"], []
        if expr.startswith("streaming:kafka_consumergroup_lag:sum"):
            values = [[time, str(time)] for time in range(1000, 1605, 5) if not 1200 < time < 1300]
            found = [{"metric": LAG, "values": values}]
        elif expr.startswith("ALERTS"):
            found = [{"metric": {"alertname": "HighKafkaLag"}, "values": [[1100, "1"], [1105, "1"], [1200, "1"]]}]
        elif "phase_timestamp" in expr:
            found = [{"metric": RECORD, "values": [[1400, "1350000"], [1405, "1350000"], [1600, "900000"]]}]
        return {"data": {"result": found}}


def texts(svg: str) -> list[str]:
    return [text for element in ElementTree.fromstring(svg).iter() if (text := (element.text or "").strip())]


def picture(*titles: str) -> list[str]:
    prometheus = Prometheus(Answers())
    shown = draw.look(prometheus, PIPELINE, titles, SPAN)
    return texts(draw.draw(shown, draw.happened(prometheus, PIPELINE, SPAN), SPAN, "Streaming pipeline", SOURCE))


def test_a_picture_says_what_it_shows_and_that_it_is_not_grafana() -> None:
    found = picture("Backlog by consumer group")
    assert "Streaming pipeline" in found
    assert "Backlog by consumer group" in found
    assert "streaming/ml-recommender: 1.6 K" in found
    assert SOURCE in found


def test_what_happened_is_numbered_and_explained_once() -> None:
    found = picture("Backlog by consumer group")
    (event,) = (text for text in found if "Scale 2 to 4" in text)
    assert event.startswith("1  00:22:30  Succeeded: Scale 2 to 4, HighKafkaLag on ")
    assert found.count("1") == 1


def test_alerts_fire_as_long_as_prometheus_says_so() -> None:
    marks = draw.happened(Prometheus(Answers()), PIPELINE, SPAN)
    assert marks.firing == [(1100, 1105), (1200, 1200)]


def test_a_panel_without_data_says_so() -> None:
    found = picture("Backlog by consumer group", "Restarts")
    assert found.count("no data") == 1


def test_a_gap_in_the_data_is_a_gap_in_the_line() -> None:
    (shown,) = draw.look(Prometheus(Answers()), PIPELINE, ["Backlog by consumer group"], SPAN)
    times, values = draw.with_gaps(shown.lines[0][1], SPAN)
    assert times == sorted(times)
    assert [time for time, value in zip(times, values, strict=True) if math.isnan(value)] == [SPAN.minutes(1200)]


def test_the_queries_are_those_of_the_panel_for_everything() -> None:
    answers = Answers()
    draw.look(Prometheus(answers), PIPELINE, ["Checkpoints"], SPAN)
    assert len(answers.asked) == 2
    assert all("$" not in query["query"] for query in answers.asked)
    assert {(query["start"], query["end"], query["step"]) for query in answers.asked} == {("1000.000", "1600.000", "5")}


def test_the_last_remediation_is_shown_with_some_before_and_after() -> None:
    def ask(_: str, query: dict[str, str]) -> Any:
        assert query["query"] == "remediator_remediation_phase_timestamp_seconds"
        records = [
            {"metric": {"remediation": "a", "phase": "Succeeded"}, "values": [[9000, "5000"]]},
            {"metric": {"remediation": "b", "phase": "Verifying"}, "values": [[9000, "8000"]]},
            {"metric": {"remediation": "b", "phase": "Succeeded"}, "values": [[9000, "8100"]]},
            {"metric": {"remediation": "c", "phase": "Refused"}, "values": [[9000, "8900"]]},
        ]
        return {"data": {"result": records}}

    assert pictures.incident(Prometheus(ask), 9000) == draw.Span(7700, 8400)
    assert pictures.incident(Prometheus(ask), 9000, "a") == draw.Span(4700, 5300)
    assert pictures.incident(Prometheus(ask), 9000, "d") is None
    assert pictures.incident(Prometheus(ask), 8200) == draw.Span(7700, 8200)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1234, "short", "1.23 K"),
        (800, "cps", "800/s"),
        (0.05, "ms", "0.05 ms"),
        (1500, "ms", "1.5 s"),
        (5400, "s", "1.5 h"),
        (0.205, "percentunit", "20.5 %"),
        (3 * 2**20, "bytes", "3 MiB"),
        (2, "none", "2"),
        (math.nan, "short", "-"),
    ],
)
def test_units(value: float, unit: str, text: str) -> None:
    assert units.text(value, unit) == text


def test_every_unit_of_the_dashboards_can_be_written() -> None:
    for board in queries.boards().values():
        for panel in queries.panels(board):
            assert units.text(1, panel["fieldConfig"]["defaults"]["unit"])
