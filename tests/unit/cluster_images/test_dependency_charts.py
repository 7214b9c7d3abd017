"""The copy of the umbrella chart that carries the stand-ins, and what the stand-ins render."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster import crds, dependency_charts

REPOSITORY = Path(__file__).resolve().parents[3]
UMBRELLA = REPOSITORY / "charts" / "streaming-monitoring"
HELM = shutil.which("helm", path=f"{REPOSITORY / '.tools' / 'bin'}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def chart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An umbrella chart with a dependency of each kind."""
    definitions = tmp_path / "definitions"
    definitions.mkdir()
    (definitions / "a.yaml").write_text("kind: CustomResourceDefinition\n")
    monkeypatch.setattr(crds, "generate", lambda name, cache: definitions)
    folder = tmp_path / "umbrella"
    (folder / "charts").mkdir(parents=True)
    (folder / "charts" / "old.tgz").write_text("")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text("groups: []\n")
    (folder / "rules").symlink_to(tmp_path / "rules")
    write(folder, {name: read(name)["version"] for name in crds.CHARTS})
    return folder


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((dependency_charts.STAND_INS / name / "Chart.yaml").read_text())


def write(folder: Path, dependencies: dict[str, str]) -> None:
    entries = [{"name": name, "version": version} for name, version in dependencies.items()]
    (folder / "Chart.yaml").write_text(yaml.safe_dump({"name": "umbrella", "dependencies": entries}))


def test_the_copy_carries_every_dependency_with_its_definitions(chart: Path, tmp_path: Path) -> None:
    out = dependency_charts.prepare(chart, tmp_path / "out")
    assert {path.name for path in (out / "charts").iterdir()} == set(crds.CHARTS)
    for name in crds.CHARTS:
        assert (out / "charts" / name / "crds" / "a.yaml").is_file()
    assert not (out / "rules").is_symlink()
    assert (out / "rules" / "a.yaml").is_file()


def test_a_second_copy_replaces_the_first(chart: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "stale.yaml").write_text("")
    out = dependency_charts.prepare(chart, tmp_path / "out")
    assert not (out / "stale.yaml").exists()


def test_another_version_than_the_umbrellas_is_refused(chart: Path, tmp_path: Path) -> None:
    write(chart, {"strimzi-kafka-operator": "9.9.9"})
    with pytest.raises(LookupError, match=r"strimzi-kafka-operator 9\.9\.9; the stand-in has version"):
        dependency_charts.prepare(chart, tmp_path / "out")


def test_a_dependency_without_a_stand_in_is_named(chart: Path, tmp_path: Path) -> None:
    write(chart, {"redis": "1.0.0"})
    with pytest.raises(LookupError, match="redis"):
        dependency_charts.prepare(chart, tmp_path / "out")


def test_the_stand_ins_have_the_versions_of_the_umbrella() -> None:
    wanted = dependency_charts.dependencies(UMBRELLA)
    assert wanted == {name: read(name)["version"] for name in crds.CHARTS}


def render(name: str, *settings: str) -> dict[tuple[str, str], dict[str, Any]]:
    if HELM is None:
        pytest.skip("helm is neither in .tools/bin nor on the PATH")
    arguments = [part for setting in settings for part in ("--set", setting)]
    command = [HELM, "template", "rel", str(dependency_charts.STAND_INS / name), "-n", "apps", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    documents = [each for each in yaml.safe_load_all(result.stdout) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in documents}


def test_prometheus_selects_as_the_real_chart_does() -> None:
    name = "kube-prometheus-stack"
    theirs = render(name)["Prometheus", "rel-kube-prometheus-stack-prometheus"]["spec"]
    assert theirs["podMonitorSelector"] == {"matchLabels": {"release": "rel"}}
    open_to_all = [
        f"prometheus.prometheusSpec.{kind}SelectorNilUsesHelmValues=false" for kind in ("rule", "podMonitor")
    ]
    found = render(name, "fullnameOverride=kps", "cleanPrometheusOperatorObjectNames=true", *open_to_all)
    spec = found["Prometheus", "kps"]["spec"]
    assert spec["ruleSelector"] == {}
    assert spec["podMonitorSelector"] == {}
    assert spec["podMonitorNamespaceSelector"] == {}
    assert found["Service", "kps-prometheus"]["spec"]["ports"][0]["port"] == 9090
    assert found["Service", "kps-alertmanager"]["spec"]["ports"][0]["port"] == 9093
    assert found["Service", "kps-prometheus"]["spec"]["selector"]["operator.prometheus.io/name"] == "kps"


def test_alertmanagers_own_configuration_is_valid_yaml_with_a_null_receiver() -> None:
    found = render("kube-prometheus-stack", "fullnameOverride=kps", "cleanPrometheusOperatorObjectNames=true")
    configuration = yaml.safe_load(found["Secret", "alertmanager-kps"]["stringData"]["alertmanager.yaml"])
    assert configuration["receivers"] == [{"name": "null"}]
    assert configuration["route"]["receiver"] == "null"


def test_flinks_operator_watches_everything_or_what_is_named() -> None:
    name = "flink-kubernetes-operator"
    everywhere = render(name)
    assert ("ClusterRole", "flink-operator") in everywhere
    assert everywhere["ServiceAccount", "flink"]["metadata"]["namespace"] == "apps"
    named = render(name, "watchNamespaces={jobs}")
    assert ("ClusterRole", "flink-operator") not in named
    assert named["ServiceAccount", "flink"]["metadata"]["namespace"] == "jobs"
    configuration = named["ConfigMap", "flink-operator-config"]["data"]["flink-conf.yaml"]
    assert "kubernetes.operator.watched.namespaces: jobs\n" in configuration


def test_strimzi_always_watches_the_releases_namespace() -> None:
    name = "strimzi-kafka-operator"

    def watched(*settings: str) -> str:
        pod = render(name, *settings)["Deployment", "strimzi-cluster-operator"]["spec"]["template"]["spec"]
        (value,) = [entry["value"] for entry in pod["containers"][0]["env"] if entry["name"] == "STRIMZI_NAMESPACE"]
        return str(value)

    assert watched() == "apps"
    assert watched("watchNamespaces={jobs}") == "jobs,apps"
    assert watched("watchAnyNamespace=true") == "*"
