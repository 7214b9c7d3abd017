"""Every query of a dashboard, by Prometheus' own engine: it parses, and finds what the pipeline exports.

promtool evaluates them over world.yaml, which is made up; that real programs export these series is what
tests/e2e/test_dashboards.py shows.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from dashboards import queries

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def promtool() -> str:
    """Path of promtool, from the project's tools or from PATH."""
    local = ROOT / ".tools/bin/promtool"
    found = str(local) if local.exists() else shutil.which("promtool")
    if not found:
        pytest.skip("promtool is neither in .tools/bin nor in PATH (make setup builds it)")
    return found


def has_results(expr: str) -> dict[str, object]:
    """A unit test that a query has results, and numbers among them. A zero that stands for nothing does not count."""
    filled = queries.fill_in(expr).removesuffix(" or vector(0)")
    samples = [{"labels": "{}", "value": 1}]
    return {"expr": f"count(({filled}) >= -Inf) > bool 0", "eval_time": "55m", "exp_samples": samples}


def test_every_query_parses_and_has_results(promtool: str, tmp_path: Path) -> None:
    expressions = [expr for board in queries.boards().values() for _, expr in queries.expressions(board)]
    world = {
        "interval": "15s",
        "input_series": yaml.safe_load((Path(__file__).parent / "world.yaml").read_text()),
        "promql_expr_test": [has_results(expr) for expr in dict.fromkeys(expressions)],
    }
    rules = [str(path) for path in sorted((ROOT / "rules").glob("*.yaml"))]
    test = tmp_path / "world.test.yaml"
    test.write_text(yaml.safe_dump({"rule_files": rules, "evaluation_interval": "15s", "tests": [world]}))
    done = subprocess.run([promtool, "test", "rules", test], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
