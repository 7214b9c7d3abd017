"""The runbooks: one for each alert, whole, and true to the remediator's own words and to the chart's policies."""

import re

import pytest
import yaml
from remediator.api.reasons import Phase, Reason
from rules.conftest import ALERTS, ROOT, RULES

RUNBOOKS = ROOT / "docs" / "runbooks"
SECTIONS = ["Meaning", "Impact", "What the remediator does", "Diagnosis", "Mitigation", "Escalation"]
RESPONSE = {
    "critical": r"Respond within 15 minutes: DevOps and backend\.",
    "warning": r"Respond within 60 minutes: (ML engineer and data engineer|DevOps( and backend)?)\.",
    "info": r"Look at it within 24 hours: tech lead\.",
}
OVERVIEW = (RUNBOOKS / "README.md").read_text()


def first_cells(text: str, heading: str) -> list[str]:
    """Return the names in the first column of the tables whose first column has this heading."""
    cells, inside = [], False
    for line in text.splitlines():
        first = line.strip("| ").split("|")[0].strip()
        if not line.startswith("|"):
            inside = False
        elif inside and not first.startswith("---"):
            cells += first.split(", ")
        elif first == heading:
            inside = True
    return cells


@pytest.fixture(scope="module")
def policies() -> dict[str, str]:
    """Return the alert that each policy of the chart's defaults answers."""
    values = yaml.safe_load((ROOT / "charts/streaming-monitoring/values.yaml").read_text())
    enabled = {name: policy["spec"] for name, policy in values["remediator"]["policies"].items() if policy["enabled"]}
    return {
        name: matcher["value"]
        for name, spec in enabled.items()
        for matcher in spec["match"]
        if "alertname" in matcher["label"]
    }


def test_one_runbook_for_each_alert() -> None:
    there = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert there == {rule["alert"] for _, rule in RULES if "alert" in rule}


@pytest.mark.parametrize(("path", "rule"), ALERTS)
def test_sections_and_response(path, rule: dict, policies: dict[str, str]) -> None:
    text = (RUNBOOKS / f"{rule['alert']}.md").read_text()
    title, _, first = text.partition("\n\n")
    assert title == f"# {rule['alert']}"
    assert first.startswith(f"**{rule['labels']['severity']}**, category {rule['labels']['category']}. ")
    assert re.search(RESPONSE[rule["labels"]["severity"]], first.split("\n\n")[0])
    parts = dict(zip(*[iter(re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:])] * 2, strict=True))
    assert [heading for heading in parts if heading in SECTIONS] == SECTIONS
    assert all(part.strip() for part in parts.values())
    assert "```" in parts["Diagnosis"], "exact commands and queries"
    answering = [name for name, alert in policies.items() if alert == rule["alert"]]
    does = parts["What the remediator does"]
    for name in answering:
        assert f"`{name}`" in does, f"it is answered by the policy {name}"
        assert first_cells(does, "reason"), "it may be refused: with which reasons?"
    if not answering and rule["labels"]["category"] != "remediation":
        assert does.startswith("Nothing"), "no policy answers it"


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_reasons_and_phases_are_the_remediators(page) -> None:
    text = page.read_text()
    assert set(first_cells(text, "reason")) <= {*map(str, Reason)}
    assert set(first_cells(text, "phase")) <= {*map(str, Phase)}


def test_the_overview_tells_every_reason_once() -> None:
    told = [*first_cells(OVERVIEW, "reason"), *re.findall(r"^`(\w+)` is a warning", OVERVIEW, flags=re.MULTILINE)]
    assert sorted(told) == sorted(Reason)


def test_the_overview_lists_every_alert() -> None:
    listed = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \| ([\w-]+) \|$", OVERVIEW, flags=re.MULTILINE)
    wanted = [
        (rule["alert"], rule["labels"]["severity"], rule["labels"]["category"]) for _, rule in RULES if "alert" in rule
    ]
    assert sorted((name, severity, category) for name, _, severity, category in listed) == sorted(wanted)
    assert all(name == page for name, page, _, _ in listed)


def test_alerts_that_are_mentioned_exist() -> None:
    """A word in CamelCase that ends like our alerts is one of them, or something known of others."""
    alerts = {rule["alert"] for _, rule in RULES if "alert" in rule}
    looks_like = re.compile(
        r"\b(?:High|Kafka|Flink|Remediat(?:or|ion)|DataMonitor|MLModel|MLInference|LateData)[A-Z]\w+\b"
    )
    others = {"FlinkDeployment", "FlinkDeployments", "FlinkRemediation", "FlinkRemediations", "FlinkRemediationPolicy"}
    for page in RUNBOOKS.glob("*.md"):
        mentioned = set(looks_like.findall(page.read_text())) - others - {"KafkaConsumer"}
        assert mentioned <= alerts, page.name
