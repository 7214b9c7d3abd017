"""Fixtures: the chart with its stand-in dependencies, and a control plane that knows every kind it renders."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import render
import yaml

from apiserver.control_plane import ControlPlane, control_plane

SCENARIOS = sorted(path.name for path in (render.CHART / "profiles").glob("*-values.yaml"))
NAMESPACE = "streaming"


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart as the cluster from packages gets it: stand-ins for the dependencies, with the real definitions."""
    from cluster import dependency_charts

    return dependency_charts.prepare(render.CHART, tmp_path_factory.mktemp("chart") / render.CHART.name)


@pytest.fixture(scope="session")
def informed_plane(tmp_path_factory: pytest.TempPathFactory, chart: Path) -> Iterator[ControlPlane]:
    """A control plane with the definitions of all custom resources, and the namespaces that scenarios name."""
    from cluster import tools

    found = tools.ensure(["etcd", "kube-apiserver", "kubectl"])
    folder = tmp_path_factory.mktemp("informed")
    with control_plane(found["etcd"], found["kube-apiserver"], folder) as plane:
        with plane.client() as client:
            names = [NAMESPACE]
            for values in SCENARIOS:
                names += yaml.safe_load((render.CHART / "profiles" / values).read_text()).get("targetNamespaces", [])
            for name in dict.fromkeys(names):
                client.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
        definitions = [path for path in chart.glob("**/crds") if path.is_dir()]
        arguments = [f"--filename={path}" for path in definitions]
        plane.kubectl("apply", "--server-side", *arguments)
        plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        yield plane


@pytest.fixture(scope="session")
def renderings(chart: Path) -> dict[str, list[render.Object]]:
    """Our objects of each scenario."""
    command = render.template_arguments(chart, "streaming-monitoring", NAMESPACE)
    return {
        name: render.objects(render.helm([*command, f"--values={render.CHART / 'profiles' / name}"]))
        for name in SCENARIOS
    }
