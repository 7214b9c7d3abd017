"""Every query of every dashboard, asked of a Prometheus that has watched the scenarios: each has had something to show.

Right after ``make demo``, on the cluster that it leaves: E2E_REUSE=1 .venv/bin/pytest tests/e2e/test_dashboards.py
"""

import math
import re
import time

import pytest

from dashboards import queries
from dashboards.prometheus import Prometheus
from demo.kube import Cluster

HOURS = 2
EXPRESSIONS = [found for board in queries.boards().values() for found in queries.expressions(board)]
OF_THE_DATA_MONITOR = re.compile("(data|prediction)_(drift|monitor)|late_data|ml_inference|dlq_|validation_")
# Panels that are empty while all is well, or for what a cluster lacks.
QUIET = {
    "Remediations / Refusals and waits by reason A": "nothing was refused and nothing had to wait",
    "Data drift / Score by segment A": "the example tells no segments apart",
    **{
        f"Data drift / {panel}": "the example has no ground truth"
        for panel in (
            "Accuracy A",
            "Error A",
            "Error B",
            "Error C",
            "Predictions with their label A",
            "Joined and dropped A",
            "Joined and dropped B",
        )
    },
    "Streaming pipeline / Disks of the brokers A": "kubelets are not scraped by the stand-in for kube-prometheus-stack",
    "Streaming pipeline / What Flink's operator cannot do B": "no reconciliation has failed",
}


@pytest.fixture(scope="module")
def prometheus(cluster: Cluster) -> Prometheus:
    """The Prometheus that has watched."""
    return Prometheus.of(cluster)


@pytest.mark.parametrize(("where", "expr"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_it_has_shown_something(prometheus: Prometheus, where: str, expr: str) -> None:
    values = {**queries.DEFAULTS, "__range": f"{HOURS}h"}
    now = time.time()
    series = prometheus.range(queries.fill_in(expr, values), now - HOURS * 3600, now, 15)
    if any(not math.isnan(value) for line in series for _, value in line.points):
        return
    if OF_THE_DATA_MONITOR.search(expr) and not prometheus.now('up{job="data-monitor"}', now):
        pytest.skip("no data monitor is installed")
    if where in QUIET:
        pytest.skip(QUIET[where])
    pytest.fail(f"no data for {expr}")
