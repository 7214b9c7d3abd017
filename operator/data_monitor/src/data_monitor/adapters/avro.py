"""Avro records by the schema they were written with."""

from __future__ import annotations

import io
import json
from functools import partial
from typing import Any, Final

import fastavro

from data_monitor.adapters.avro_code import Unsupported, compiled
from data_monitor.adapters.formats import BadSchema, Read
from data_monitor.adapters.registry import Registry, Schema

_HEAD: Final = 5
# As they are stored: which unit a number has is the configuration's word, as with JSON, and an id is a text.
_AS_STORED: Final = ("timestamp-", "local-timestamp-", "time-", "date", "uuid")


def reader(registry: Registry, number: int) -> Read:
    """What reads the records of a schema. Raises BadSchema, Unavailable."""
    found = registry.by_id(number)
    if not found:
        raise BadSchema("the registry has none")
    if found.schema_type != "AVRO":
        raise BadSchema(f"it is of the kind {found.schema_type}, not AVRO")
    named: dict[str, Any] = {}
    try:
        schema = _parsed(registry, found, named)
    except (
        ValueError,
        KeyError,
        TypeError,
        fastavro.schema.SchemaParseException,
        fastavro.schema.UnknownType,
    ) as error:
        raise BadSchema(f"{type(error).__name__}: {error}") from error
    try:
        fast = compiled(schema, named)
    except Unsupported:
        return partial(_interpreted, schema)
    return lambda value: fast(value, _HEAD)


def _interpreted(schema: Any, value: bytes) -> Any:
    stream = io.BytesIO(value)
    stream.seek(_HEAD)
    return fastavro.schemaless_reader(stream, schema)


def _parsed(registry: Registry, found: Schema, named: dict[str, Any]) -> Any:
    for one in found.references:
        imported = registry.reference(one)
        if imported is None:
            raise KeyError(one.subject)
        _parsed(registry, imported, named)
    return fastavro.parse_schema(_plain(json.loads(found.schema)), named_schemas=named)


def _plain(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _plain(value) if key != "default" else value for key, value in schema.items()}
    if str(schema.get("logicalType", "")).startswith(_AS_STORED):
        del kept["logicalType"]
    return kept
