"""The rule files: promtool's own checks and unit tests, and what promtool does not check."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RULE_FILES = sorted((ROOT / "rules").glob("*.yaml"))
UNIT_TESTS = sorted(Path(__file__).parent.glob("*.test.yaml"))

RUNBOOK_BASE = "https://streaming-monitoring.dev/runbooks/"
SEVERITIES = {"critical": "15 minutes", "warning": "60 minutes", "info": "24 hours"}
CATEGORIES = {
    "kafka.yaml": {"kafka"},
    "flink.yaml": {"flink"},
    "data-quality.yaml": {"data-quality"},
    "ml.yaml": {"ml"},
    "remediation.yaml": {"remediation"},
    "trends.yaml": {"kafka", "flink", "data-quality", "ml"},
}
# What finds the FlinkDeployment: an alert on Flink names the deployment, one on Kafka the group.
TARGET_LABELS = {"flink.yaml": {"namespace", "app"}, "kafka.yaml": {"namespace", "consumergroup"}}


def load(path: Path) -> list[dict]:
    """Rules of a file in their order."""
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


ALERTS = [pytest.param(path, rule, id=rule["alert"]) for path in RULE_FILES for rule in load(path) if "alert" in rule]
RECORDS = {rule["record"]: rule["expr"] for path in RULE_FILES for rule in load(path) if "record" in rule}


def by_labels(expr: str) -> set[str]:
    """Labels that survive an expression: those of its first `by`, which the layout makes the outermost one."""
    for name, recorded in RECORDS.items():
        if expr.startswith(name):
            return by_labels(recorded)
    found = re.search(r"\bby \(([^)]*)\)", expr)
    assert found, f"no aggregation `by (...)` in: {expr}"
    return {label.strip() for label in found.group(1).split(",")}


@pytest.fixture(scope="session")
def promtool() -> str:
    """Path of promtool, from the project's tools or from PATH."""
    local = ROOT / ".tools" / "bin" / "promtool"
    found = str(local) if local.exists() else shutil.which("promtool")
    if not found:
        pytest.skip("promtool is neither in .tools/bin nor in PATH")
    return found


def run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.name)
def test_promtool_accepts_the_rules(promtool: str, path: Path) -> None:
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", path)


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.name)
def test_alerts_behave(promtool: str, path: Path) -> None:
    run(promtool, "test", "rules", path)


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.name)
def test_every_rule_file_has_unit_tests_that_name_each_alert(path: Path) -> None:
    tests = path.parent.parent / "tests" / "rules" / f"{path.stem}.test.yaml"
    assert tests in UNIT_TESTS
    for rule in load(path):
        if "alert" in rule:
            shown = [t for t in yaml.safe_load(tests.read_text())["tests"] for t in t.get("alert_rule_test", [])]
            fires = [t for t in shown if t["alertname"] == rule["alert"] and t.get("exp_alerts")]
            assert fires, f"no test shows {rule['alert']} firing with its labels and annotations"


def test_names_are_unique() -> None:
    names = [rule["alert"] for path in RULE_FILES for rule in load(path) if "alert" in rule]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("path", "rule"), ALERTS)
def test_labels(path: Path, rule: dict) -> None:
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["labels"]["category"] in CATEGORIES[path.name]


@pytest.mark.parametrize(("path", "rule"), ALERTS)
def test_annotations(path: Path, rule: dict) -> None:
    annotations = rule["annotations"]
    assert set(annotations) >= {"summary", "description", "runbook_url"}
    assert annotations["runbook_url"] == RUNBOOK_BASE + rule["alert"]
    assert "$value" in annotations["description"], "the description tells the value"


@pytest.mark.parametrize(("path", "rule"), ALERTS)
def test_runbook(path: Path, rule: dict) -> None:
    text = (ROOT / "docs" / "runbooks" / f"{rule['alert']}.md").read_text()
    assert text.startswith(f"# {rule['alert']}\n")
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    wanted = ["Meaning", "Impact", "What the remediator does", "Diagnosis", "Mitigation", "Escalation"]
    assert [heading for heading in headings if heading in wanted] == wanted
    severity = rule["labels"]["severity"]
    assert f"**{severity}**" in text
    assert SEVERITIES[severity] in text


@pytest.mark.parametrize(("path", "rule"), ALERTS)
def test_expression_ends_in_its_threshold(path: Path, rule: dict) -> None:
    """Values of the chart override a threshold by replacing the number at the end."""
    assert re.search(r"(?<![<>=!])(>|<|>=|<=|==) [0-9]+(\.[0-9]+)?$", rule["expr"]), rule["expr"]


@pytest.mark.parametrize(("path", "rule"), ALERTS)
def test_target_labels_survive(path: Path, rule: dict) -> None:
    assert by_labels(rule["expr"]) >= TARGET_LABELS.get(path.name, {"namespace"})


@pytest.mark.parametrize(("path", "rule"), ALERTS)
def test_labels_of_templates_survive(path: Path, rule: dict) -> None:
    used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]) + str(rule["labels"])))
    assert used <= by_labels(rule["expr"]) | set(rule["labels"])


@pytest.mark.parametrize(("path", "rule"), ALERTS)
def test_absent_is_not_used(path: Path, rule: dict) -> None:
    """absent() loses the namespace, and with it the route and the target."""
    assert "absent" not in rule["expr"]


def test_metrics_of_the_remediator_exist() -> None:
    source = ROOT / "operator" / "remediator" / "src" / "remediator" / "telemetry" / "metrics.py"
    exported = set(re.findall(r'"(remediator_\w+)"', source.read_text()))
    used = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for path in RULE_FILES
        for rule in load(path)
        for name in re.findall(r"(?<![\w:])remediator_\w+(?![\w:])", rule["expr"])
    }
    assert used <= exported
