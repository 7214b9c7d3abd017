"""What the dashboards take from the alerts, so that a line on a graph is where the alert fires."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).resolve().parent.parent / "rules"


@cache
def _alerts() -> dict[str, dict[str, Any]]:
    files = [yaml.safe_load(path.read_text()) for path in sorted(RULES.glob("*.yaml"))]
    rules = [rule for file in files for group in file["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in rules if "alert" in rule}


def limit(alert: str) -> float:
    """Return the threshold of an alert: every expression ends in it. Raises KeyError for an unknown alert."""
    found = re.search(r"([0-9.]+)$", _alerts()[alert]["expr"])
    assert found, f"{alert} does not end in its threshold"
    return float(found[1])


def runbook(alert: str) -> str:
    """Return the address of an alert's runbook. Raises KeyError for an unknown alert."""
    return str(_alerts()[alert]["annotations"]["runbook_url"])


def runbooks(name: str = "README") -> str:
    """Return the address of the page with all runbooks, or what Grafana makes of a name in it, such as a variable."""
    return runbook("HighKafkaLag").replace("HighKafkaLag", name)
