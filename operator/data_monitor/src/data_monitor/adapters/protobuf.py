"""Protobuf records by the schema they were written with: descriptors from the registry, no generated code."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Callable
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from data_monitor.adapters.formats import BadSchema, Read
from data_monitor.adapters.registry import Registry, Schema

_SERIALIZED: Final = "serialized"
_HEAD: Final = 5
# In an order in which none comes before what it imports.
_KNOWN: Final = (
    "any",
    "duration",
    "empty",
    "field_mask",
    "source_context",
    "struct",
    "timestamp",
    "wrappers",
    "type",
    "api",
)


def reader(registry: Registry, number: int) -> Read:
    """What reads the records of a schema. Raises BadSchema, Unavailable."""
    found = registry.by_id(number, _SERIALIZED)
    if not found:
        raise BadSchema("the registry has none")
    if found.schema_type != "PROTOBUF":
        raise BadSchema(f"it is of the kind {found.schema_type}, not PROTOBUF")
    pool = descriptor_pool.DescriptorPool()
    _add_known(pool)
    try:
        name = _add(registry, pool, found, "")
        file = pool.FindFileByName(name)
    except (KeyError, TypeError, ValueError, DecodeError) as error:
        raise BadSchema(f"{type(error).__name__}: {error}") from error
    top = list(file.message_types_by_name.values())
    readers: dict[tuple[int, ...], Callable[[bytes], Any]] = {}

    def decode(value: bytes) -> Any:
        path, at = _indexes(value)
        read = readers.get(path)
        if read is None:
            descriptor = top[path[0]]
            for index in path[1:]:
                descriptor = descriptor.nested_types[index]
            made = message_factory.GetMessageClass(descriptor)
            values = _values(descriptor)
            read = readers[path] = lambda data: values(made.FromString(data))
        return read(value[at:])

    return decode


def _add(registry: Registry, pool: Any, found: Schema, name: str) -> str:
    """Add a file and what it imports to the pool; its name."""
    file = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(found.schema))
    for one in found.references:
        imported = registry.reference(one, _SERIALIZED)
        if imported is None:
            raise KeyError(one.subject)
        _add(registry, pool, imported, one.name)
    # What imports it knows it by this name.
    file.name = name or file.name or "record.proto"
    pool.Add(file)
    return str(file.name)


def _add_known(pool: Any) -> None:
    """The types that come with Protobuf."""
    for known in _KNOWN:
        file = descriptor_pb2.FileDescriptorProto()
        importlib.import_module(f"google.protobuf.{known}_pb2").DESCRIPTOR.CopyToProto(file)
        pool.Add(file)


def _indexes(value: bytes) -> tuple[tuple[int, ...], int]:
    """Which message of the file it is, and where its bytes begin: a count and indexes, as zigzag varints."""
    count, at = _varint(value, _HEAD)
    path = []
    for _ in range(count):
        index, at = _varint(value, at)
        path.append(index)
    return tuple(path) or (0,), at


def _varint(value: bytes, at: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        byte = value[at]
        found |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (found >> 1) ^ -(found & 1), at


def _values(descriptor: Any) -> Callable[[Any], Any]:
    """What turns messages into dicts: absent members left out, names for enums, no bytes."""
    if descriptor.full_name == "google.protobuf.Timestamp":
        return lambda message: message.ToJsonString()
    if descriptor.full_name.startswith("google.protobuf.") and descriptor.full_name.endswith("Value"):
        return lambda message: message.value
    plain: list[str] = []
    present: list[tuple[str, Callable[[Any], Any]]] = []
    always: list[tuple[str, Callable[[Any], Any]]] = []
    for field in descriptor.fields:
        name = field.name
        if field.type == field.TYPE_BYTES:
            continue
        if field.message_type and field.message_type.GetOptions().map_entry:
            always.append((name, dict))
        elif field.is_repeated:
            always.append((name, list))
        elif field.message_type:
            present.append((name, _later(field.message_type)))
        elif field.enum_type:
            names = {number: one.name for number, one in field.enum_type.values_by_number.items()}
            (present if field.has_presence else always).append((name, names.get))
        elif field.has_presence:
            present.append((name, lambda value: value))
        else:
            plain.append(name)

    def read(message: Any) -> dict[str, Any]:
        found = {name: getattr(message, name) for name in plain}
        for name, convert in always:
            found[name] = convert(getattr(message, name))
        for name, convert in present:
            if message.HasField(name):
                found[name] = convert(getattr(message, name))
        return found

    return read


def _later(descriptor: Any) -> Callable[[Any], Any]:
    """As _values, made with the first message: types may hold themselves."""
    made: list[Callable[[Any], Any]] = []

    def convert(message: Any) -> Any:
        if not made:
            made.append(_values(descriptor))
        return made[0](message)

    return convert
