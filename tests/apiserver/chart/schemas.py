"""Schemas for kubeconform from what an API server publishes of its own kinds and of custom resources."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NUMBER_OR_STRING = {"type": ["string", "number"]}
PREFIX = "#/definitions/"


def write(swagger: Mapping[str, Any], folder: Path) -> None:
    """Write GROUP_VERSION_KIND.json for each kind of an /openapi/v2 document; unknown keys are refused."""
    definitions = {name: _strict(definition) for name, definition in swagger["definitions"].items()}
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = NUMBER_OR_STRING
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            needed = {key: definitions[key] for key in _closure(name, definitions)}
            # What kubeconform calls the group of the core kinds is their version.
            group = kind["group"] or kind["version"]
            path = folder / f"{group}_{kind['version']}_{kind['kind'].lower()}.json"
            path.write_text(json.dumps({"$ref": PREFIX + name, "definitions": needed}))


def _strict(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return NUMBER_OR_STRING
    found = dict(schema)
    for key in ("items", "additionalProperties"):
        if key in schema:
            found[key] = _strict(schema[key])
    if "properties" in schema:
        found["properties"] = {key: _strict(value) for key, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            found.setdefault("additionalProperties", False)
    return found


def _closure(name: str, definitions: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += _references(definitions[current])
    return found


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for item in part:
            yield from _references(item)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref" and isinstance(value, str):
                yield value.removeprefix(PREFIX)
            else:
                yield from _references(value)
