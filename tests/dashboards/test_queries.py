"""Every query of a dashboard, by Prometheus' own engine: it parses, and finds what the pipeline exports.

promtool evaluates them over world.yaml, which is made up; that real programs export these series is what
tests/e2e/test_dashboards.py shows.
"""

from collections.abc import Callable
from pathlib import Path

import yaml

from dashboards import queries

ROOT = Path(__file__).resolve().parents[2]


def has_results(expr: str) -> dict[str, object]:
    """A unit test that a query has results, and numbers among them. A zero that stands for nothing does not count."""
    filled = queries.fill_in(expr).removesuffix(" or vector(0)")
    samples = [{"labels": "{}", "value": 1}]
    return {"expr": f"count(({filled}) >= -Inf) > bool 0", "eval_time": "55m", "exp_samples": samples}


def test_every_query_parses_and_has_results(promtool: Callable[..., None], tmp_path: Path) -> None:
    expressions = [expr for board in queries.boards().values() for _, expr in queries.expressions(board)]
    world = {
        "interval": "15s",
        "input_series": yaml.safe_load((Path(__file__).parent / "world.yaml").read_text()),
        "promql_expr_test": [has_results(expr) for expr in dict.fromkeys(expressions)],
    }
    rules = [str(path) for path in sorted((ROOT / "rules").glob("*.yaml"))]
    test = tmp_path / "world.test.yaml"
    test.write_text(yaml.safe_dump({"rule_files": rules, "evaluation_interval": "15s", "tests": [world]}))
    promtool("test", "rules", test)
