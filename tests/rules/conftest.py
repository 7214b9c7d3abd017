"""What the tests of the rules share: the rule files, and promtool."""

import shutil
import subprocess
from collections.abc import Callable
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


@pytest.fixture(scope="session")
def promtool() -> Callable[..., None]:
    """Run promtool, from the project's tools or from PATH; it must succeed."""
    local = ROOT / ".tools" / "bin" / "promtool"
    found = str(local) if local.exists() else shutil.which("promtool")
    if not found:
        pytest.skip("promtool is neither in .tools/bin nor in PATH")

    def run(*arguments: str | Path) -> None:
        command = [found, *(str(argument) for argument in arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr

    return run
