"""The commands of the runbooks name what the chart makes."""

import re

import pytest
import render
from chart.conftest import Render, Rendered

RUNBOOKS = sorted((render.ROOT / "docs" / "runbooks").glob("*.md"))
COMMANDS = [
    pytest.param(line.strip(), id=f"{page.stem}:{number}")
    for page in RUNBOOKS
    for number, line in enumerate(page.read_text().splitlines(), 1)
    if "kubectl -n streaming " in line
]
KINDS = {
    "deploy": "Deployment",
    "secret": "Secret",
    "frp": "FlinkRemediationPolicy",
    "flinkdeployment": "FlinkDeployment",
    "kafka": "Kafka",
    "serviceaccount": "ServiceAccount",
}
OF_OTHERS = {
    # Flink's operator makes a Deployment and a Service for a FlinkDeployment, Prometheus Operator a Secret.
    ("deploy", "ml-recommender"),
    ("secret", "alertmanager-kps-generated"),
    # Of the dependencies' charts.
    ("deploy", "flink-kubernetes-operator"),
    ("deploy", "strimzi-cluster-operator"),
}
LABELS_OF_OTHERS = {"app", "component", "strimzi.io/cluster", "strimzi.io/kind", "strimzi.io/name"}
SELECTORS_OF_OTHERS = [{"app.kubernetes.io/name": name} for name in ("alertmanager", "flink-kubernetes-operator")]


@pytest.fixture(scope="module")
def release(rendered: Render) -> Rendered:
    return rendered("pipeline-values.yaml")


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_command_names_is_there(release: Rendered, command: str) -> None:
    for kind, name in re.findall(rf"(?<![/\w])({'|'.join(KINDS)})[ /:](?:streaming:)?([a-z][\w.-]+)", command):
        if (kind, name) not in OF_OTHERS:
            release.one(KINDS[kind], name)


@pytest.mark.parametrize("command", [c for c in COMMANDS if " -l " in c.values[0] and "kubectl" in c.values[0]])
def test_what_a_command_selects_is_there(release: Rendered, command: str) -> None:
    pods = [*release.of("Deployment").values(), *release.of("StatefulSet").values()]
    templates = [o["spec"]["template"]["metadata"]["labels"] for o in pods]
    for selector in re.findall(r" -l ([\w./=,-]+)", command):
        wanted = dict(pair.split("=") for pair in selector.split(","))
        if set(wanted) <= LABELS_OF_OTHERS or wanted in SELECTORS_OF_OTHERS:
            continue
        assert any(wanted.items() <= labels.items() for labels in templates), selector
