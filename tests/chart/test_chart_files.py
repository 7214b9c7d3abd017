"""What the chart's files must be before anything is rendered. Needs no Helm."""

import json
import re
from pathlib import Path

import chart_lock
import pytest
import render
import sync_chart_files
import values_docs
import yaml
from remediator.api.policy import PolicySpec

CHART = render.CHART
DEPENDENCIES = ("flink-kubernetes-operator", "strimzi-kafka-operator", "kube-prometheus-stack")


def test_lock_belongs_to_the_chart() -> None:
    required = yaml.safe_load((CHART / "Chart.yaml").read_text())["dependencies"]
    locked = yaml.safe_load((CHART / "Chart.lock").read_text())
    assert locked["digest"] == chart_lock.digest(required, locked["dependencies"])
    for want, have in zip(required, locked["dependencies"], strict=True):
        assert {key: want[key] for key in ("name", "version", "repository")} == have


def test_digest_is_the_one_that_helm_writes() -> None:
    """Seen with `helm dependency update` of Helm 3.22 and 4.3."""
    required = [
        {
            "name": "flink-kubernetes-operator",
            "version": "1.15.0",
            "repository": "https://archive.apache.org/dist/flink/flink-kubernetes-operator-1.15.0/",
            "condition": "flink-kubernetes-operator.enabled",
        },
        {
            "name": "strimzi-kafka-operator",
            "version": "1.2.0",
            "repository": "oci://quay.io/strimzi-helm",
            "condition": "strimzi-kafka-operator.enabled",
        },
        {
            "name": "kube-prometheus-stack",
            "version": "88.5.3",
            "repository": "https://prometheus-community.github.io/helm-charts",
            "condition": "kube-prometheus-stack.enabled",
        },
    ]
    locked = [{key: d[key] for key in ("name", "repository", "version")} for d in required]
    assert chart_lock.digest(required, locked) == (
        "sha256:e5b16f7463febec82328d7bbb9fa4315888cb88fc48f9bf2751b348cf0680bd6"
    )


def test_root_lock_is_a_link_to_the_charts() -> None:
    # The other way round "helm dependency update" refuses.
    assert (render.ROOT / "Chart.lock").is_symlink()
    assert not (CHART / "Chart.lock").is_symlink()
    assert (render.ROOT / "Chart.lock").resolve() == (CHART / "Chart.lock").resolve()


def test_dependencies_are_exact_and_can_be_off() -> None:
    dependencies = yaml.safe_load((CHART / "Chart.yaml").read_text())["dependencies"]
    assert tuple(d["name"] for d in dependencies) == DEPENDENCIES
    for dependency in dependencies:
        assert dependency["condition"] == f"{dependency['name']}.enabled"
        assert all(part.isdigit() for part in dependency["version"].split("."))


def test_copies_are_fresh() -> None:
    assert sync_chart_files.sync(render.ROOT, check=True) == [], "run: make generate"


def test_sync_writes_updates_and_removes(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "dashboards").mkdir()
    rule, board = tmp_path / "rules/a.yaml", tmp_path / "dashboards/b.json"
    rule.write_text("groups: []\n")
    board.write_text("{}\n")
    files = tmp_path / "charts/streaming-monitoring/files"
    assert len(sync_chart_files.sync(tmp_path, check=True)) == 2
    assert not files.exists()
    sync_chart_files.sync(tmp_path, check=False)
    assert (files / "rules/a.yaml").read_text() == sync_chart_files.HEADER + "groups: []\n"
    assert (files / "dashboards/b.json").read_text() == "{}\n"
    assert sync_chart_files.sync(tmp_path, check=True) == []
    rule.unlink()
    assert sync_chart_files.sync(tmp_path, check=False) == ["charts/streaming-monitoring/files/rules/a.yaml"]
    assert not (files / "rules/a.yaml").exists()


def _leaves(about: dict, path: str = "") -> set[str]:
    """Keys of the schema that hold a value or a map of the user's, as dotted paths."""
    if "properties" not in about or path in (*DEPENDENCIES, "global") or path.endswith("resources"):
        return {path}
    return {leaf for key, part in about["properties"].items() for leaf in _leaves(part, f"{path}.{key}".strip("."))}


def test_schema_knows_exactly_our_keys() -> None:
    """A key without schema would be refused, a key of the schema without a default is not documented."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def compare(part: object, about: dict, path: str) -> None:
        if path in _leaves(schema):
            return
        assert about["additionalProperties"] is False, f"{path} lets unknown keys pass"
        assert isinstance(part, dict), path
        # Jobs that are not named are on.
        assert set(part) == set(about["properties"]) or path == "prometheus.podMonitors.jobs", path
        for key, value in part.items():
            compare(value, about["properties"][key], f"{path}.{key}".strip("."))

    compare(values, schema, "")


def test_every_key_is_described() -> None:
    """Each value of ours, or a block that holds it, has a comment that starts with "# --" right above it."""
    described = {".".join(value.path) for value in values_docs.described((CHART / "values.yaml").read_text())}
    leaves = _leaves(json.loads((CHART / "values.schema.json").read_text())) - {*DEPENDENCIES, "global"}
    parents = {leaf: {leaf, *(leaf[: dot.start()] for dot in re.finditer(r"\.", leaf))} for leaf in leaves}
    assert sorted(leaf for leaf in leaves if not parents[leaf] & described) == []
    assert len(leaves) > 80


def test_readme_and_schema_follow_the_comments() -> None:
    stale = [
        path.name
        for path, text in values_docs.wanted((values_docs.CHART / "values.yaml").read_text()).items()
        if path.read_text() != text
    ]
    assert stale == [], "run: make generate"


def test_artifact_hub_shows_our_definitions() -> None:
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    definitions = list(yaml.safe_load_all((CHART / "crds/remediation.yaml").read_text()))
    assert {(d["name"], d["kind"], d["version"]) for d in yaml.safe_load(annotations["artifacthub.io/crds"])} == {
        (d["metadata"]["name"], d["spec"]["names"]["kind"], d["spec"]["versions"][0]["name"]) for d in definitions
    }
    for example in yaml.safe_load(annotations["artifacthub.io/crdsExamples"]):
        assert example["kind"] == "FlinkRemediationPolicy"
        PolicySpec.model_validate(example["spec"], extra="forbid")


def test_every_scenario_is_in_the_readme() -> None:
    readme = (CHART / "README.md").read_text()
    assert [path.name for path in CHART.glob("profiles/*-values.yaml") if f"(profiles/{path.name})" not in readme] == []


TEMPLATES = [path for path in sorted(CHART.glob("templates/**/*.*")) if not path.name.startswith("_")]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_templates_restore_values_first(path: Path) -> None:
    """Any template may be the first that Helm renders."""
    assert re.match(r'\{\{- include "streaming-monitoring\.values" \. -?\}\}', path.read_text())


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_templates_never_evaluate_files(path: Path) -> None:
    """Prometheus and Grafana have braces of their own: "tpl" would eat them."""
    code = re.sub(r"\{\{- /\*.*?\*/\s*-?\}\}", "", path.read_text(), flags=re.DOTALL)
    assert path.name == "extra-objects.yaml" or not re.search(r"\btpl\s+[.$(]", code)
