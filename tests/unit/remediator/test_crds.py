"""The generated CustomResourceDefinitions are structural and carry what the models say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from remediator.api import crds

STRUCTURAL_KEYS = {
    "type", "properties", "items", "required", "enum", "pattern", "minimum", "maximum", "exclusiveMinimum", "minLength",
    "maxLength", "minItems", "maxItems", "maxProperties", "format", "default", "description", "additionalProperties",
    "x-kubernetes-validations",
}  # fmt: skip


def schemas(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from schemas(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from schemas(node[key], f"{path}.{key}")


def openapi(definition: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


@pytest.mark.parametrize("definition", crds.definitions(), ids=lambda d: d["spec"]["names"]["kind"])
def test_every_node_has_a_type_and_only_structural_keys(definition: dict[str, Any]) -> None:
    for path, node in schemas(openapi(definition)):
        assert "type" in node, path
        assert set(node) <= STRUCTURAL_KEYS, path


@pytest.mark.parametrize("definition", crds.definitions(), ids=lambda d: d["spec"]["names"]["kind"])
def test_every_named_field_is_described(definition: dict[str, Any]) -> None:
    spec = openapi(definition)["properties"]["spec"]
    for path, node in schemas(spec):
        if not path.endswith((".items", ".additionalProperties")):
            assert node.get("description"), path


def test_durations_default_to_what_their_pattern_allows() -> None:
    spec = openapi(crds.definitions()[0])["properties"]["spec"]
    assert spec["properties"]["guards"]["properties"]["cooldown"]["default"] == "15m"


def test_the_charts_copy_is_fresh() -> None:
    copy = Path(__file__).parents[3] / "charts/streaming-monitoring/crds/remediation.yaml"
    assert copy.read_text() == crds.to_yaml(), "run make generate"
