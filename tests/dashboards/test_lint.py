"""What dashboard-linter asks for, checked here because its module cannot be had everywhere, and what it does not ask.

Its rules on the variables ``job`` and ``instance`` do not fit: jobs have fixed names, and what people choose here is a
namespace, a Flink job, a consumer group. target-promql is in test_queries.py.
"""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards import __main__ as generator
from dashboards import queries

ROOT = Path(__file__).resolve().parents[2]
BOARDS = queries.boards()
PANELS = [
    pytest.param(panel, id=f"{board['title']}/{panel['title']}")
    for board in BOARDS.values()
    for panel in queries.panels(board)
]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
RULES = [
    rule
    for path in sorted((ROOT / "rules").glob("*.yaml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))
each_panel = pytest.mark.parametrize("panel", PANELS)


@pytest.mark.parametrize("name", generator.BOARDS)
def test_json_is_fresh(name: str) -> None:
    assert (ROOT / "dashboards" / name).read_text() == generator.render(generator.BOARDS[name]()), "run: make generate"


def test_there_is_no_json_that_nothing_generates() -> None:
    assert set(BOARDS) == set(generator.BOARDS)


@each_board
def test_datasource_is_a_variable(board: dict[str, Any]) -> None:
    """template-datasource"""
    (found,) = (variable for variable in board["templating"]["list"] if variable["type"] == "datasource")
    assert (found["name"], found["label"], found["query"]) == ("datasource", "Data Source", "prometheus")
    assert "__inputs" not in board


@each_board
def test_variables_ask_for_labels_and_follow_the_time_range(board: dict[str, Any]) -> None:
    """template-label-promql, template-on-time-change-reload"""
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            assert re.fullmatch(r"label_values\(.+, \w+\)", variable["query"])
            assert variable["refresh"] == 2
            assert variable["datasource"] == DATASOURCE
            assert variable["description"]


@each_board
def test_every_variable_is_used_and_every_used_one_exists(board: dict[str, Any]) -> None:
    names = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board)))
    assert names <= used
    assert {name for name in used if not name.startswith("__")} <= names


@each_board
def test_it_cannot_be_edited_in_place(board: dict[str, Any]) -> None:
    """uneditable: what is saved over a provisioned dashboard is lost"""
    assert board["editable"] is False


@each_board
def test_links_lead_to_the_other_dashboards_and_to_the_runbooks(board: dict[str, Any]) -> None:
    others, runbooks = board["links"]
    assert others["type"] == "dashboards"
    assert others["tags"] == board["tags"] == ["streaming-monitoring"]
    assert (others["includeVars"], others["keepTime"]) == (True, True)
    assert runbooks["url"] == RULES[0]["annotations"]["runbook_url"].replace(RULES[0]["alert"], "README")


@each_board
def test_panels_do_not_overlap(board: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for a, b in combinations(places, 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert apart or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]


def test_identities_are_unique() -> None:
    uids = [board["uid"] for board in BOARDS.values()]
    assert len(set(uids)) == len(uids)
    assert all(len(uid) <= 40 for uid in uids)
    for board in BOARDS.values():
        numbers = [panel["id"] for panel in board["panels"]]
        titles = [panel["title"] for panel in board["panels"] if panel["type"] == "timeseries"]
        assert len(set(numbers)) == len(numbers)
        assert len(set(titles)) == len(titles)


def test_the_pipeline_has_its_five_groups() -> None:
    rows = [panel["title"] for panel in BOARDS["streaming-pipeline.json"]["panels"] if panel["type"] == "row"]
    assert [row.split(":")[0] for row in rows] == ["Kafka", "Flink", "Machine learning", "Errors", "System"]


@each_panel
def test_panel_says_what_it_is(panel: dict[str, Any]) -> None:
    """panel-title-description, panel-units, panel-no-targets, panel-datasource"""
    assert panel["title"]
    assert panel["description"].endswith((".", "NAME"))
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    for part in (panel, *panel["targets"]):
        assert part["datasource"] == DATASOURCE
    assert all(target["legendFormat"] for target in panel["targets"] if panel["type"] == "timeseries")


@each_panel
def test_windows_follow_the_scrape_interval(panel: dict[str, Any]) -> None:
    """target-rate-interval; a figure about the whole time shown takes that instead"""
    for target in panel["targets"]:
        expr = re.sub('"[^"]*"', "", target["expr"])
        windows = re.findall(r"\b(?:rate|irate|increase|deriv|delta)\([^\[]*\[([^\]]+)\]", expr)
        allowed = "$__range" if target.get("instant") else "$__rate_interval"
        assert set(windows) <= {allowed}


@each_panel
def test_counters_are_not_shown_as_they_are(panel: dict[str, Any]) -> None:
    """target-counter-agg"""
    for target in panel["targets"]:
        counters = re.findall(r"\b\w+_(?:total|bucket|sum|count)\{", target["expr"])
        wrapped = re.findall(r"\b(?:rate|increase)\((\w+_(?:total|bucket|sum|count)\{)", target["expr"])
        assert len(counters) == len(wrapped)


@each_panel
def test_series_of_other_namespaces_can_be_left_out(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        if "node_" not in target["expr"]:  # a node belongs to no namespace
            selectors = re.findall(r"\{([^}]*)\}", target["expr"])
            assert selectors
            assert all(re.search(r'\b(namespace|resourcens)=~"\$namespace"', selector) for selector in selectors)


@each_panel
def test_runbook_exists_and_the_red_line_is_where_the_alert_fires(panel: dict[str, Any]) -> None:
    for link in panel.get("links", []):
        name = link["title"].removeprefix("Runbook of ")
        (rule,) = (rule for rule in RULES if rule["alert"] == name)
        assert link["url"] == rule["annotations"]["runbook_url"]
        assert (ROOT / "docs/runbooks" / f"{name}.md").is_file()
        steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
        red = [step["value"] for step in steps if step["color"] == "red" and step["value"] is not None]
        if panel["type"] == "timeseries" and red:
            assert rule["expr"].endswith(f" {red[0]:g}")


def test_every_urgent_alert_has_a_panel_that_links_to_its_runbook() -> None:
    linked = {
        link["title"].removeprefix("Runbook of ")
        for board in BOARDS.values()
        for panel in queries.panels(board)
        for link in panel.get("links", [])
    }
    urgent = {rule["alert"] for rule in RULES if rule["labels"]["severity"] in ("critical", "warning")}
    assert urgent - linked == set()


@each_board
def test_alerts_and_remediations_are_marked(board: dict[str, Any]) -> None:
    marks = {annotation["name"]: annotation for annotation in board["annotations"]["list"]}
    assert "Alerts" in marks
    assert ("Remediations" in marks) == (board["uid"] != "streaming-data-drift")
    for mark in marks.values():
        assert mark["datasource"] == DATASOURCE
        # The value is a time in seconds, Grafana wants milliseconds.
        assert mark["useValueForTime"] == mark["expr"].endswith(" * 1000")


@pytest.mark.parametrize("name", BOARDS)
def test_it_fits_into_a_config_map(name: str) -> None:
    """The API server's limit is 1 MiB, and client-side kubectl apply repeats the object within 256 KiB."""
    assert (ROOT / "dashboards" / name).stat().st_size < 200_000
