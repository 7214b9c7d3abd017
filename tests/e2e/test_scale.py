"""The demo's scenario, for real: load past what parallelism 2 carries, the alert, the remediation, the recovery."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cluster import kind
from cluster.local import provider as local

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def provider() -> str:
    """The provider that CLUSTER names, or the one this machine can carry."""
    chosen = os.environ.get("CLUSTER")
    if chosen:
        return chosen
    if not kind.missing():
        return "kind"
    lacks = local.missing()
    if lacks:
        pytest.skip(f"no cluster here: kind needs {', '.join(kind.missing())}; local needs {', '.join(lacks)}")
    return "local"


def test_a_lag_that_parallelism_2_cannot_work_off_is_healed(provider: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "demo", f"--cluster={provider}", f"--out={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": "tests:."}, check=False)
    assert done.returncode == 0
    result = json.loads((tmp_path / "result.json").read_text())
    status = result["remediation"]["status"]
    assert (status["phase"], status["action"]) == ("Succeeded", "Scale 2 to 4")
    assert status["before"]["parallelism"] == 2
    assert result["parallelism"] == 4
    assert result["audit"]["produced"] > 0
    assert result["audit"]["lost"] == 0
    assert (tmp_path / "incident.svg").read_text().startswith("<?xml")
