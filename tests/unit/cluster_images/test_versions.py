"""One version of each thing, wherever it is written."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from cluster import dependency_charts, images, tools
from cluster.strimzi_standin import model


def pom(image: str) -> str:
    return (images.IMAGES[image].context / "pom.xml").read_text()


def version(image: str) -> str:
    return images.IMAGES[image].reference.rsplit(":", 1)[1]


def mentioned(value: Any) -> set[str]:
    """Every image that a chart's values name."""
    if isinstance(value, dict):
        return set().union(*(mentioned(each) for each in value.values())) if value else set()
    return {value} if isinstance(value, str) and value.startswith("localhost/") else set()


def test_the_stand_ins_run_images_that_are_built() -> None:
    built = {image.reference for image in images.IMAGES.values()}
    for chart in dependency_charts.STAND_INS.iterdir():
        values = yaml.safe_load((chart / "values.yaml").read_text())
        assert mentioned(values["standIn"])
        assert mentioned(values) <= built


def test_the_brokers_version_is_the_jars() -> None:
    assert re.search(rf"<artifactId>kafka_2.13</artifactId>\s*<version>{model.KAFKA_VERSION}</version>", pom("kafka"))
    assert version("kafka") == model.KAFKA_VERSION


def test_the_operators_version_is_the_jars() -> None:
    name = "flink-kubernetes-operator"
    assert re.search(rf"<artifactId>{name}</artifactId>\s*<version>{version(name)}</version>", pom(name))
    chart = yaml.safe_load((dependency_charts.STAND_INS / name / "Chart.yaml").read_text())
    assert chart["appVersion"] == version(name)


@pytest.mark.parametrize("name", ["prometheus", "prometheus-operator", "prometheus-config-reloader"])
def test_programs_are_tagged_with_the_version_they_are_built_from(name: str) -> None:
    (build,) = [each for each in tools.GO_BUILDS if each.name == name]
    assert version(name) == build.version


def test_prometheus_is_told_the_version_of_its_program() -> None:
    values = yaml.safe_load((dependency_charts.STAND_INS / "kube-prometheus-stack" / "values.yaml").read_text())
    assert values["standIn"]["prometheus"]["version"] == f"v{version('prometheus')}"
    assert values["standIn"]["alertmanager"]["version"] == f"v{version('alertmanager')}"
