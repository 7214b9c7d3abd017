"""Every metric of the catalogue (docs/metrics.md) is in the Prometheus that has watched the scenarios, with its labels.

Right after ``make demo``, on the cluster that it leaves: E2E_REUSE=1 .venv/bin/pytest tests/e2e/test_metrics.py
"""

import pytest
from cluster.__main__ import from_packages
from metrics_catalogue import Metric, catalogue

from demo.kube import Cluster

HOURS = 2
OF_MANY_CLUSTERS = {"cluster"}
"""Labels that are there only where somebody tells several clusters apart."""


def seen(cluster: Cluster, selector: str) -> list[dict[str, str]]:
    """Return the labels of the series that there have been."""
    return [series["metric"] for series in cluster.promql(f"last_over_time({selector}[{HOURS}h])")]


@pytest.mark.parametrize("metric", catalogue().values(), ids=catalogue())
def test_it_is_there_with_its_labels(cluster: Cluster, provider: str, metric: Metric) -> None:
    if "packages" in metric.source.not_in and from_packages(provider):
        pytest.skip(f"{metric.source.name}: not in a cluster from packages")
    job = f'{{job=~"{metric.source.job}"}}' if metric.source.job else ""
    found = seen(cluster, metric.name + job)
    if not found and metric.source.name == "Data monitor" and not seen(cluster, f"up{job}"):
        pytest.skip("no data monitor is installed")
    if not found and metric.appears.startswith("only "):
        pytest.skip(f"appears {metric.appears}")
    assert found, f"no series of {metric.name}{job}"
    if metric.name == "ALERTS":
        return  # it has the labels of all alerts there are, others' too
    has = frozenset().union(*found) - {"__name__"}
    assert has <= metric.labels, f"labels that docs/metrics.md does not tell of: {sorted(has - metric.labels)}"
    own = metric.labels - metric.source.labels - OF_MANY_CLUSTERS
    assert own <= has, f"labels that it does not have: {sorted(own - has)}"
