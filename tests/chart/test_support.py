"""docs/support.md says what is pinned."""

import re

import render
import yaml
from cluster import tools

TABLE = render.ROOT / "docs/support.md"


def rows() -> dict[str, tuple[str, str]]:
    """Supported and tested by what it is about."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.read_text().splitlines()]
    return {row[0]: (row[1], row[2]) for row in cells if len(row) == 3 and row[0] not in ("what", "---")}


def test_the_matrix_says_what_is_pinned() -> None:
    chart = yaml.safe_load((render.CHART / "Chart.yaml").read_text())
    values = yaml.safe_load((render.CHART / "values.yaml").read_text())
    versions = {dependency["name"]: dependency["version"] for dependency in chart["dependencies"]}
    builds = {build.name: build.version for build in tools.GO_BUILDS}
    locks = (render.ROOT / "examples/pipeline/flink").glob("*/requirements.txt")
    flinks = [re.findall(r"^apache-flink==(\S+)", lock.read_text(), re.MULTILINE)[0] for lock in sorted(locks)]
    minimum = chart["kubeVersion"].removeprefix(">=").removesuffix(".0-0")
    found = rows()
    assert found["Kubernetes"] == (f"{minimum} or newer", tools.KUBERNETES)
    assert found["Helm"] == ("3, 4", f"{builds['helm']}, {builds['helm4']}")
    minors = [flink.rpartition(".")[0] for flink in flinks]
    assert found["Flink (example job)"] == (", ".join(minors), ", ".join(flinks))
    assert found["kind (tests, demo)"] == (builds["kind"].rpartition(".")[0], builds["kind"])
    assert found["Flink Kubernetes Operator"][1] == f"chart {versions['flink-kubernetes-operator']}"
    assert found["Strimzi"][1] == f"chart {versions['strimzi-kafka-operator']}"
    assert found["kube-prometheus-stack"][1] == f"chart {versions['kube-prometheus-stack']}"
    assert found["Prometheus Operator of your own"][1] == builds["prometheus-operator"]
    assert found["kafka-exporter"][1] == values["kafka"]["existing"]["exporter"]["image"]["tag"]
