"""The CustomResourceDefinitions, generated from the models.

Pydantic's JSON schema is no structural schema (Kubernetes, "Specifying a structural schema"): references are
inlined, nullable unions folded into their one type, titles and null defaults dropped.
"""

from datetime import timedelta
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from remediator.api.base import format_duration
from remediator.api.names import GROUP, VERSION
from remediator.api.policy import PolicySpec, PolicyStatus
from remediator.api.remediation import RemediationSpec, RemediationStatus

Schema = dict[str, Any]

_DROPPED = {"title", "additionalProperties", "$defs"}


class _JsonSchema(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        # Pydantic would write ISO 8601 (PT10M), which our own pattern refuses.
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def structural(model: type[BaseModel]) -> Schema:
    """Return the structural schema of a model."""
    raw = model.model_json_schema(by_alias=True, schema_generator=_JsonSchema)
    return _convert(raw, raw.get("$defs", {}))


def _convert(node: Schema, definitions: Schema) -> Schema:
    node = dict(node)
    if "$ref" in node:
        target = definitions[node.pop("$ref").rsplit("/", 1)[1]]
        node = {**target, **node}
    if "anyOf" in node:
        options = [option for option in node.pop("anyOf") if option.get("type") != "null"]
        if len(options) != 1:
            raise ValueError(f"a union has no structural schema: {options}")
        return _convert({**options[0], **node}, definitions)
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "exclusiveMinimum" in node:
        node["minimum"] = node.pop("exclusiveMinimum")
        node["exclusiveMinimum"] = True
    result: Schema = {}
    for key, value in node.items():
        match key:
            case "properties":
                result[key] = {name: _convert(child, definitions) for name, child in value.items()}
            case "items":
                result[key] = _convert(value, definitions)
            case "additionalProperties" if isinstance(value, dict):
                result[key] = _convert(value, definitions)
            case "default":
                # Objects fill themselves from the defaults of their fields, in the model.
                if isinstance(value, str | bool | int | float):
                    result[key] = value
            case "description":
                result[key] = " ".join(value.split()).replace("``", "")
            case _ if key not in _DROPPED:
                result[key] = value
    return result


def _schema(spec: type[BaseModel], status: type[BaseModel]) -> Schema:
    properties = {"spec": structural(spec), "status": structural(status)}
    return {"type": "object", "required": ["spec"], "properties": properties}


def _column(name: str, path: str, kind: str = "string", priority: int = 0) -> Schema:
    return {"name": name, "jsonPath": path, "type": kind, "priority": priority}


_AGE = _column("Age", ".metadata.creationTimestamp", "date")


def _definition(kind: str, short: str, description: str, schema: Schema, columns: list[Schema]) -> Schema:
    plural = kind.lower()[:-1] + "ies" if kind.endswith("y") else kind.lower() + "s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["streaming"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": {"description": description, **schema}},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


def definitions() -> list[Schema]:
    """Return both CustomResourceDefinitions."""
    return [
        _definition(
            "FlinkRemediationPolicy",
            "frp",
            "Which alerts lead to which actions on which FlinkDeployments.",
            _schema(PolicySpec, PolicyStatus),
            [
                _column("Mode", ".spec.mode"),
                _column("Alert", '.spec.match[?(@.label=="alertname")].value'),
                _column("Action", ".spec.actions[*].type"),
                _column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
                _column("Open", ".status.open", "integer"),
                _column("Last triggered", ".status.lastTriggered", "date"),
                _column("Paused", ".spec.guards.pauseRequests", priority=1),
                _column("Message", '.status.conditions[?(@.type=="Ready")].message', priority=1),
                _AGE,
            ],
        ),
        _definition(
            "FlinkRemediation",
            "frem",
            "One answer to one occurrence of one alert on one FlinkDeployment, and its record.",
            _schema(RemediationSpec, RemediationStatus),
            [
                _column("Alert", ".spec.alert.name"),
                _column("Target", ".spec.target.name"),
                _column("Action", ".status.action"),
                _column("Phase", ".status.phase"),
                _column("Reason", ".status.reason"),
                _AGE,
                _column("Finding", ".status.diagnosis.main", priority=1),
                _column("Message", ".status.message", priority=1),
            ],
        ),
    ]


def to_yaml() -> str:
    """Return both definitions as one YAML stream, headed by the line that says what wrote it."""
    return "# Code generated by make generate. DO NOT EDIT.\n" + yaml.safe_dump_all(
        definitions(), sort_keys=False, width=110
    )
