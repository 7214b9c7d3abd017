"""The generated CustomResourceDefinitions are structural and carry what the models say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError
from remediator.api import crds
from remediator.api.policy import PolicySpec
from remediator.api.remediation import RemediationSpec

STRUCTURAL_KEYS = {
    "type", "properties", "items", "required", "enum", "pattern", "minimum", "maximum", "exclusiveMinimum", "minLength",
    "maxLength", "minItems", "maxItems", "maxProperties", "format", "default", "description", "additionalProperties",
    "nullable", "x-kubernetes-validations",
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
    for path, node in schemas(openapi(definition)):
        if not path.endswith((".items", ".additionalProperties")):
            assert len(node.get("description", "")) > 3, path


def rules(definition: dict[str, Any]) -> set[str]:
    """The messages of all CEL rules of a definition."""
    return {
        rule["message"] for _, node in schemas(openapi(definition)) for rule in node.get("x-kubernetes-validations", ())
    }


RULES = {message for definition in crds.definitions() for message in rules(definition)}
MODELS: dict[str, type[BaseModel]] = {"FlinkRemediationPolicy": PolicySpec, "FlinkRemediation": RemediationSpec}
TABLE = yaml.safe_load((Path(__file__).parents[2] / "apiserver/crd_examples.yaml").read_text())


def examples(part: str) -> list[Any]:
    return [
        pytest.param(MODELS[kind], example, id=example["name"])
        for kind, parts in TABLE.items()
        for example in parts.get(part, ())
    ]


@pytest.mark.parametrize(("model", "example"), examples("good"))
def test_the_models_take_what_the_api_server_takes(model: type[BaseModel], example: dict[str, Any]) -> None:
    read = model.model_validate(example["spec"])
    written = read.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert model.model_validate(written) == read


@pytest.mark.parametrize(("model", "example"), examples("bad"))
def test_the_models_refuse_what_the_api_server_refuses(model: type[BaseModel], example: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as error:
        model.model_validate(example["spec"])
    if example["message"] in RULES:
        assert example["message"] in str(error.value)


def test_every_rule_has_an_example() -> None:
    told = {example["message"] for parts in TABLE.values() for e in ("bad", "updates") for example in parts.get(e, ())}
    assert told >= RULES


def test_remediations_read_like_an_incident_log() -> None:
    policy, remediation = (definition["spec"] for definition in crds.definitions())
    shown = [c["name"].upper() for c in remediation["versions"][0]["additionalPrinterColumns"] if not c["priority"]]
    assert shown == ["ALERT", "TARGET", "ACTION", "PHASE", "REASON", "AGE"]
    assert [names["shortNames"] for names in (policy["names"], remediation["names"])] == [["frp"], ["frem"]]
    assert policy["names"]["categories"] == remediation["names"]["categories"] == ["streaming"]


def test_durations_default_to_what_their_pattern_allows() -> None:
    spec = openapi(crds.definitions()[0])["properties"]["spec"]
    assert spec["properties"]["guards"]["properties"]["cooldown"]["default"] == "15m"


def test_the_charts_copy_is_fresh() -> None:
    copy = Path(__file__).parents[3] / "charts/streaming-monitoring/crds/remediation.yaml"
    assert copy.read_text() == crds.to_yaml(), "run make generate"
