"""Rules and routing: what of the rule files reaches Prometheus, and what Alertmanager does with an alert."""

import json

import pytest
import render
import yaml
from chart.conftest import Object, Render

LAG = {"rules": {"overrides": {"HighKafkaLag": {}}}}


def alerts(rules: dict[str, Object]) -> dict[str, Object]:
    """All alerts of PrometheusRules, by name."""
    return {
        rule["alert"]: rule
        for o in rules.values()
        for group in o["spec"]["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }


def lag(rendered: Render, **override: object) -> Object:
    values = {"rules": {"overrides": {"HighKafkaLag": override}}}
    return alerts(rendered(values=values).of("PrometheusRule"))["HighKafkaLag"]


def test_rules_are_the_files_unchanged(rendered: Render) -> None:
    off_by_default = {"DataMonitorStale": {"enabled": True}, "MLModelErrorHigh": {"enabled": True}}
    on = {"files": {"trends": True, "brokers": True, "model-quality": True}, "overrides": off_by_default}
    # Where there is a Grafana, RemediationEnded links to it.
    without_grafana = {"grafana": {"enabled": False}}
    rules = rendered(values={"rules": on, "kube-prometheus-stack": without_grafana}).of("PrometheusRule")
    files = sorted((render.CHART / "files/rules").glob("*.yaml"))
    assert files
    assert len(rules) == len(files)
    for path in files:
        groups = yaml.safe_load(path.read_text())["groups"]
        assert rules[f"streaming-monitoring-{path.stem}"]["spec"]["groups"] == groups


@pytest.mark.parametrize(
    ("threshold", "text"), [(5000, "> 5000"), (1_000_000, "> 1000000"), (0.5, "> 0.5"), (0, "> 0"), (-1, "> -1")]
)
def test_threshold(rendered: Render, threshold: float, text: str) -> None:
    assert lag(rendered, threshold=threshold)["expr"].endswith(f"}} {text}")


def test_other_overrides(rendered: Render) -> None:
    rule = lag(
        rendered,
        **{"for": "10m", "keepFiringFor": "1m", "severity": "warning", "labels": {"team": "data"}},
        annotations={"summary": "Lag"},
    )
    assert rule["for"] == "10m"
    assert rule["keep_firing_for"] == "1m"
    assert rule["labels"] == {"severity": "warning", "category": "kafka", "team": "data"}
    assert rule["annotations"]["summary"] == "Lag"
    assert "{{ $labels.consumergroup }}" in rule["annotations"]["description"]


def test_alert_and_file_can_be_off(rendered: Render) -> None:
    off = {"rules": {"overrides": {"HighKafkaLag": {"enabled": False}}}}
    rules = rendered(values=off).of("PrometheusRule")
    assert "HighKafkaLag" not in alerts(rules)
    assert "streaming-monitoring-kafka" in rules  # the recording rule stays
    assert "streaming-monitoring-kafka" not in rendered(values={"rules": {"files": {"kafka": False}}}).of(
        "PrometheusRule"
    )
    assert not rendered(values={"rules": {"enabled": False}}).of("PrometheusRule")


@pytest.mark.parametrize(
    ("kafka", "there"), [({}, False), ({"replicas": 3}, True), ({"replicas": 3, "enabled": False}, False)]
)
def test_alerts_on_brokers_are_on_where_there_are_several(rendered: Render, kafka: Object, there: bool) -> None:
    existing = {"existing": {"bootstrapServers": "kafka:9092"}}
    rules = rendered(values={"kafka": existing | kafka}).of("PrometheusRule")
    assert ("streaming-monitoring-brokers" in rules) == there
    other = rendered(values={"kafka": existing | kafka, "rules": {"files": {"brokers": not there}}})
    assert ("streaming-monitoring-brokers" in other.of("PrometheusRule")) != there


def test_a_data_monitor_that_is_not_installed_is_not_missed(rendered: Render) -> None:
    assert "DataMonitorStale" not in alerts(rendered().of("PrometheusRule"))
    wanted = {"rules": {"overrides": {"DataMonitorStale": {"enabled": True}}}}
    assert "DataMonitorStale" in alerts(rendered(values=wanted).of("PrometheusRule"))
    assert "DataMonitorStale" in alerts(rendered(values={"pipeline": {"enabled": True}}).of("PrometheusRule"))


@pytest.mark.parametrize(
    "values",
    [
        {"pipeline": {"enabled": True}, "dataMonitor": {"groundTruth": {"topic": "labels"}}},
        {"pipeline": {"enabled": True}, "dataMonitor": {"config": {"groundTruth": {"topic": "labels"}}}},
        {"rules": {"files": {"model-quality": True}}},
    ],
)
def test_alerts_on_the_models_quality_are_on_with_ground_truth(rendered: Render, values: Object) -> None:
    without = rendered(values={"pipeline": {"enabled": True}}).of("PrometheusRule")
    assert "streaming-monitoring-model-quality" not in without
    found = alerts(rendered(values=values).of("PrometheusRule"))
    assert found["MLModelQualityLow"]["expr"].endswith(") < 0.8")
    assert "MLModelErrorHigh" not in found, "its threshold depends on the unit of the prediction"
    rules = values.get("rules", {}) | {"overrides": {"MLModelErrorHigh": {"threshold": 12.5}}}
    found = alerts(rendered(values={**values, "rules": rules}).of("PrometheusRule"))
    assert found["MLModelErrorHigh"]["expr"].endswith(") > 12.5")


@pytest.mark.parametrize(
    ("values", "matcher"),
    [
        ({}, '!~"data-monitor"'),
        ({"dataMonitor": {"kafka": {"groupId": "a.b"}}}, '!~"a\\\\.b"'),
        (
            {"rules": {"ignoredConsumerGroups": ["console-.*", 'x"y', "data-monitor"]}},
            '!~"data-monitor|console-.*|x\\"y"',
        ),
    ],
)
def test_groups_that_no_alert_is_about(rendered: Render, values: Object, matcher: str) -> None:
    groups = rendered(values=values).one("PrometheusRule", "streaming-monitoring-kafka")["spec"]["groups"]
    text = json.dumps(groups)
    assert text.count(json.dumps(f"consumergroup{matcher}")[1:-1]) == 3
    assert text.count("consumergroup!~") == 3


def test_runbooks_may_lie_elsewhere(rendered: Render) -> None:
    values = {"rules": {"runbookUrl": "https://git.example.com/runbooks/{alert}.md"}}
    for name, rule in alerts(rendered(values=values).of("PrometheusRule")).items():
        assert rule["annotations"]["runbook_url"] == f"https://git.example.com/runbooks/{name}.md"


def test_unknown_file_is_an_error(rendered: Render) -> None:
    with pytest.raises(render.RenderError, match=r"rules\.files\.kafak: no such file; there are .*kafka"):
        rendered(values={"rules": {"files": {"kafak": False}}})


def test_unknown_alert_is_an_error(rendered: Render) -> None:
    with pytest.raises(render.RenderError, match=r"rules\.overrides\.HighKafkaLagg: no such alert.*HighKafkaLag"):
        rendered(values={"rules": {"overrides": {"HighKafkaLagg": {"threshold": 1}}}})


def test_rules_of_ones_own_stand_beside_ours(rendered: Render) -> None:
    result = rendered("observe-values.yaml")
    (group,) = result.one("PrometheusRule", "streaming-monitoring-additional-payments")["spec"]["groups"]
    # Braces of Prometheus are left alone.
    assert group["rules"][0]["annotations"]["summary"] == "Nobody writes to {{ $labels.topic }}"
    assert "HighKafkaLag" in alerts(result.of("PrometheusRule"))


def test_critical_alerts_reach_the_remediator(rendered: Render) -> None:
    result = rendered()
    spec = result.one("AlertmanagerConfig", "streaming-monitoring-remediator")["spec"]
    assert spec["route"]["matchers"] == [{"name": "severity", "matchType": "=", "value": "critical"}]
    assert spec["route"]["groupWait"] == "5s"
    (receiver,) = spec["receivers"]
    assert receiver["name"] == spec["route"]["receiver"]
    (webhook,) = receiver["webhookConfigs"]
    assert webhook["sendResolved"] is True
    assert webhook["url"] == "http://streaming-monitoring-remediator-receiver.streaming.svc:8080/alerts"
    secret = result.one("Secret", "streaming-monitoring-remediator-webhook")
    assert webhook["httpConfig"]["authorization"] == {
        "type": "Bearer",
        "credentials": {"name": secret["metadata"]["name"], "key": "token"},
    }
    port = result.one("Service", "streaming-monitoring-remediator-receiver")["spec"]["ports"][0]
    assert port["port"] == 8080
    assert all("namespace" in rule["equal"] for rule in spec["inhibitRules"])


def test_inhibition_names_alerts_that_exist(rendered: Render) -> None:
    result = rendered()
    known = set(alerts(result.of("PrometheusRule")))
    for rule in result.one("AlertmanagerConfig", "streaming-monitoring-remediator")["spec"]["inhibitRules"]:
        sources, targets = (set(rule[key][0]["value"].split("|")) for key in ("sourceMatch", "targetMatch"))
        assert sources.isdisjoint(targets)
        assert {"cluster", "namespace"} < set(rule["equal"]), "a job is one of a namespace"
        assert sources | targets <= known


def test_people_are_told_by_severity(rendered: Render) -> None:
    configs = rendered("existing-values.yaml").of("AlertmanagerConfig")
    assert "streaming-monitoring-info" not in configs
    spec = configs["streaming-monitoring-warning"]["spec"]
    assert spec["receivers"][0]["name"] == spec["route"]["receiver"] == "warning"
    assert spec["receivers"][0]["slackConfigs"][0]["channel"] == "#streaming"


def test_watchdog_reaches_the_remediator_every_minute(rendered: Render) -> None:
    route = rendered().one("AlertmanagerConfig", "streaming-monitoring-watchdog")["spec"]["route"]
    assert route["matchers"][0]["value"] == "Watchdog"
    assert route["repeatInterval"] == "1m"


def test_dashboards_are_found_by_grafanas_sidecar(rendered: Render) -> None:
    maps = rendered().of("ConfigMap")
    files = sorted((render.ROOT / "dashboards").glob("*.json"))
    assert len(files) == 3
    for file in files:
        board = maps[f"streaming-monitoring-dashboard-{file.stem}"]
        assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert board["metadata"]["annotations"]["grafana_folder"] == "Streaming"
        assert {name: json.loads(text) for name, text in board["data"].items()} == {
            file.name: json.loads(file.read_text())
        }
