"""What the tests of the rules share: the rule files."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RULE_FILES = sorted((ROOT / "rules").glob("*.yaml"))


def load(path: Path) -> list[dict]:
    """Rules of a file in their order."""
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


RULES = [(path, rule) for path in RULE_FILES for rule in load(path)]
ALERTS = [pytest.param(path, rule, id=rule["alert"]) for path, rule in RULES if "alert" in rule]
