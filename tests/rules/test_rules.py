"""The rule files: promtool's own checks and unit tests, and what promtool does not check."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from metrics_catalogue import catalogue, parse, possible_labels, sure_labels
from rules.conftest import ALERTS, ROOT, RULE_FILES, RULES

UNIT_TESTS = sorted(Path(__file__).parent.glob("*.test.yaml"))

RUNBOOK = "http://localhost:9090/user/{}.html"
SEVERITIES = {
    "brokers.yaml": {"critical", "warning"},
    "data-quality.yaml": {"warning"},
    "flink.yaml": {"critical", "warning"},
    "kafka.yaml": {"critical"},
    "ml.yaml": {"warning"},
    "model-quality.yaml": {"warning"},
    "platform.yaml": {"warning"},
    "remediation.yaml": {"critical", "warning", "info"},
    "trends.yaml": {"info"},
}
CATEGORIES = {
    "brokers.yaml": {"kafka"},
    "model-quality.yaml": {"ml"},
    "platform.yaml": {"kafka", "flink"},
    "trends.yaml": {"kafka", "flink", "data-quality", "ml"},
}
"""Of a file; the others have the category that they are named after."""
TARGET_LABELS = {"flink.yaml": {"namespace", "app"}, "kafka.yaml": {"namespace", "consumergroup"}}
"""What finds the FlinkDeployment: an alert on Flink names the deployment, one on Kafka the group."""
THRESHOLD = re.compile(r"(?<![<>=!])(>|<|>=|<=|==) [0-9]+(\.[0-9]+)?$")


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.name)
def test_promtool_accepts_the_rules(promtool: Callable[..., None], path: Path) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", path)


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.name)
def test_alerts_behave(promtool: Callable[..., None], path: Path) -> None:
    promtool("test", "rules", path)


@pytest.mark.parametrize(("path", "rule"), ALERTS)
def test_unit_tests_show_each_alert_firing_silent_and_resolved(path: Path, rule: dict) -> None:
    tests = yaml.safe_load((Path(__file__).parent / f"{path.stem}.test.yaml").read_text())["tests"]
    shown = [
        (moment["eval_time"], bool(moment.get("exp_alerts")))
        for test in tests
        for moment in test.get("alert_rule_test", [])
        if moment["alertname"] == rule["alert"]
    ]
    assert any(fires for _, fires in shown), "no test shows it firing, with its labels and annotations"
    assert any(not fires for _, fires in shown), "no test shows it silent"
    none_there = next(test for test in tests if test["name"].startswith("no series at all"))
    silent = {moment["alertname"] for moment in none_there["alert_rule_test"] if not moment.get("exp_alerts")}
    assert rule["alert"] in silent, f"not in the test {none_there['name']!r}"


def test_names_are_unique() -> None:
    names = [rule.get("alert") or (rule["record"], str(rule.get("labels"))) for _, rule in RULES]
    assert len(names) == len(set(names))


def test_nine_alerts_in_four_categories_and_how_many_there_are() -> None:
    nine = {
        "kafka": {"HighKafkaLag", "KafkaConsumerStalled"},
        "flink": {
            "HighFlinkProcessingLatency",
            "FlinkCheckpointFailures",
            "FlinkTaskManagerDown",
            "FlinkJobRestartLoop",
        },
        "data-quality": {"HighDLQRate", "DataMonitorStale"},
        "ml": {"MLModelPredictionDrift"},
    }
    categories = {rule["alert"]: rule["labels"]["category"] for _, rule in RULES if "alert" in rule}
    assert all(categories[name] == category for category, names in nine.items() for name in names)
    readme = (ROOT / "README.md").read_text()
    told = dict(re.findall(r"^\| ([\w-]+) \| ((?:\w+, )*\w+) \|$", readme.split("## Alerts")[1], flags=re.MULTILINE))
    assert {category: set(told[category].split(", ")) for category in nine} == nine
    assert set(re.findall(r"\b(\d+) alerts|There are (\d+)", readme)) == {
        (str(len(categories)), ""),
        ("", str(len(categories))),
    }


@pytest.mark.parametrize(
    ("alert", "severity", "threshold", "waits"),
    [
        ("HighKafkaLag", "critical", "> 1000", "5m"),
        ("HighFlinkProcessingLatency", "warning", "> 1000", "1m"),
        ("FlinkCheckpointFailures", "critical", "> 0", "2m"),
        ("FlinkTaskManagerDown", "critical", "> 0", "3m"),
        ("HighDLQRate", "warning", "> 1", "5m"),
        ("MLModelPredictionDrift", "warning", "> 0.2", "10m"),
    ],
)
def test_what_was_agreed_stays(alert: str, severity: str, threshold: str, waits: str) -> None:
    (rule,) = (rule for _, rule in RULES if rule.get("alert") == alert)
    assert rule["labels"]["severity"] == severity
    assert rule["expr"].endswith(f" {threshold}")
    assert rule["for"] == waits


@pytest.mark.parametrize(("path", "rule"), ALERTS)
def test_labels(path: Path, rule: dict) -> None:
    assert set(rule["labels"]) == {"severity", "category"}
    assert rule["labels"]["severity"] in SEVERITIES[path.name]
    assert rule["labels"]["category"] in CATEGORIES.get(path.name, {path.stem})


@pytest.mark.parametrize(("path", "rule"), ALERTS)
def test_annotations(path: Path, rule: dict) -> None:
    annotations = rule["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert annotations["runbook_url"] == RUNBOOK.format(rule["alert"])
    assert "$value" in annotations["description"], "the description tells the value"
    assert "$value" not in annotations["summary"], "a summary that changes is a new notification each time"


@pytest.mark.parametrize(("path", "rule"), ALERTS)
def test_expression_ends_in_its_threshold(path: Path, rule: dict) -> None:
    """Values of the chart override a threshold by replacing the number at the end."""
    assert THRESHOLD.search(rule["expr"]), rule["expr"]


@pytest.mark.parametrize(("path", "rule"), ALERTS)
def test_target_labels_survive(path: Path, rule: dict) -> None:
    wanted = TARGET_LABELS.get(path.name, set()) | {"cluster", "namespace"}
    assert sure_labels(rule["expr"]) >= wanted


def test_labels_that_tell_clusters_apart_are_in_every_aggregation() -> None:
    """One Prometheus may hold several Kubernetes clusters, and a namespace several Kafka clusters."""
    for _, rule in RULES:
        for by in re.findall(r"\b(?:by|on) \(([^)]+)\)", rule["expr"]):
            labels = set(by.split(", "))
            if labels != {"consumergroup"} and labels != {"namespace", "consumergroup"}:
                assert {"cluster", "namespace"} <= labels, rule
            if "topic" in labels:
                assert "strimzi_io_cluster" in labels, rule


@pytest.mark.parametrize(("path", "rule"), ALERTS)
def test_labels_of_templates_survive(path: Path, rule: dict) -> None:
    used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert used <= sure_labels(rule["expr"]) | set(rule["labels"])


@pytest.mark.parametrize(("path", "rule"), ALERTS)
def test_series_of_single_processes_are_aggregated(path: Path, rule: dict) -> None:
    """A restart gives them new labels, and the alert would wait anew."""
    transient = {"pod", "instance", "container", "tm_id", "job_id", "task_attempt_id", "task_attempt_num", "host"}
    assert not sure_labels(rule["expr"]) & transient


@pytest.mark.parametrize(("path", "rule"), ALERTS)
def test_absent_is_not_used(path: Path, rule: dict) -> None:
    """absent() loses the namespace, and with it the route and the target."""
    assert "absent" not in rule["expr"]


@pytest.mark.parametrize("record", [pytest.param(rule, id=rule["record"]) for _, rule in RULES if "record" in rule])
def test_recording_rules_are_in_the_catalogue_with_their_labels(record: dict) -> None:
    metric = catalogue()[record["record"]]
    assert metric.source.name == "Recording rules"
    assert sure_labels(record["expr"]) <= metric.labels <= possible_labels(parse(record["expr"]))


def test_every_rule_file_has_unit_tests() -> None:
    assert {path.name for path in UNIT_TESTS} >= {f"{path.stem}.test.yaml" for path in RULE_FILES}
    together = yaml.safe_load((Path(__file__).parent / "rescale.test.yaml").read_text())
    assert {Path(name).name for name in together["rule_files"]} == {path.name for path in RULE_FILES}
