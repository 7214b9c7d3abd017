"""Formats of records: bytes to the part that is read, as a struct, or to whatever they hold.

Avro and Protobuf records name their schema, which the registry knows. Their untyped objects go through msgspec to the
same structs that JSON is decoded to, under the same rules of types.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

import msgspec

from data_monitor.adapters.lenient_json import NOT_JSON, loads
from data_monitor.adapters.registry import Registry, number_of

log = logging.getLogger(__name__)

Read = Callable[[bytes], Any]
"""From a record, with its head, to its object."""


class Unreadable(ValueError):
    """A record that is none of its format."""


class BadSchema(ValueError):
    """A schema that the registry does not have, or that is of another kind."""


class RecordFormat(Protocol):
    """What the decoder asks of a format."""

    def typed(self, struct: Any) -> Read:
        """What decodes a record to the struct.

        It raises Unreadable, TypeError for a tombstone, or msgspec.ValidationError where a type does not fit.
        """

    def untyped(self, value: bytes) -> Any:
        """What the record holds. Raises Unreadable."""

    def prepare(self, values: Iterable[bytes | None]) -> None:
        """Have what is needed to decode them. Raises Unavailable."""


class Json:
    """JSON, which names no schema."""

    def typed(self, struct: Any) -> Read:
        """As in RecordFormat; msgspec's own errors of malformed JSON are Unreadable's brothers."""
        return msgspec.json.Decoder(struct).decode

    def untyped(self, value: bytes) -> Any:
        """What the record holds. Raises Unreadable."""
        try:
            return loads(value)
        except NOT_JSON as error:
            raise Unreadable(str(error)) from error

    def prepare(self, values: Iterable[bytes | None]) -> None:
        """Nothing is needed."""


class Registered:
    """Records whose schemas are in a registry."""

    def __init__(self, registry: Registry, reader: Callable[[Registry, int], Read]) -> None:
        self._registry = registry
        self._reader = reader
        self._readers: dict[int, Read | None] = {}

    def typed(self, struct: Any) -> Read:
        """As in RecordFormat."""
        convert = partial(msgspec.convert, type=struct)
        untyped = self.untyped
        return lambda value: convert(untyped(value))

    def untyped(self, value: bytes) -> Any:
        """What the record holds. Raises Unreadable."""
        # The id, without a call for each record.
        read = self._readers.get(int.from_bytes(value[1:5])) if value and value[0] == 0 else None
        if read is None:
            raise Unreadable("no schema")
        try:
            return read(value)
        except Exception as error:
            # Libraries raise all kinds of errors for bytes that do not fit their schema.
            raise Unreadable(f"{type(error).__name__}: {error}") from error

    def prepare(self, values: Iterable[bytes | None]) -> None:
        """Have the schemas that the records name. Raises Unavailable."""
        for head in {value[:5] for value in values if value}:
            number = number_of(head)
            if number is not None and number not in self._readers:
                try:
                    self._readers[number] = self._reader(self._registry, number)
                except BadSchema as error:
                    log.warning("schema %d: %s; its records are malformed", number, error)
                    self._readers[number] = None
