"""Reads ``spec.flinkConfiguration``, which may be nested since Flink's operator 1.13, and the overrides in it.

Source: Flink's operator, ConfigObjectNode.asFlatMap; Flink, Configuration.getRawValue (an exact key wins over keys that
have it as their prefix) and StructuredOptionsSplitter (``KEY:VALUE,KEY:VALUE``).
"""

from collections.abc import Mapping
from typing import Any

OVERRIDES_KEY = "pipeline.jobvertex-parallelism-overrides"


def flatten(configuration: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten a configuration to dotted keys with texts; a key without a value is left out."""
    flat: dict[str, str] = {}
    for key, value in configuration.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            flat[prefix + key] = ";".join(_text(item) for item in value)
        elif value is not None:
            flat[prefix + key] = _text(value)
    return flat


def place(configuration: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    """Return the nested keys under which the configuration has a dotted key, or None.

    Where several spellings of it are there, the last one counts, as in :func:`flatten`.
    """
    found: tuple[str, ...] | None = None
    for name, value in configuration.items():
        if name == key and value is not None:
            found = (name,)
        elif key.startswith(f"{name}.") and isinstance(value, Mapping):
            below = place(value, key.removeprefix(f"{name}."))
            found = found if below is None else (name, *below)
    return found


def at(configuration: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    """Return what is at a :func:`place`."""
    value: Any = configuration
    for key in keys:
        value = value[key]
    return value


def overrides_in(configuration: Mapping[str, str]) -> dict[str, int]:
    """Return the parallelism by vertex id that a flat configuration sets, as one text or as a key for each vertex.

    Raises ValueError for what is neither.
    """
    if OVERRIDES_KEY in configuration:
        return parse_overrides(configuration[OVERRIDES_KEY])
    prefix = f"{OVERRIDES_KEY}."
    parts = {key.removeprefix(prefix): text for key, text in configuration.items() if key.startswith(prefix)}
    return {vertex: _parallelism(vertex, text) for vertex, text in parts.items()}


def parse_overrides(text: str) -> dict[str, int]:
    """Read ``VERTEX:4,VERTEX:2``, or the same in braces as YAML writes a map. Raises ValueError for other texts."""
    pairs = [part.rpartition(":") for part in text.strip().removeprefix("{").removesuffix("}").split(",")]
    return {
        vertex.strip(" \t\"'"): _parallelism(vertex.strip(), number)
        for vertex, colon, number in pairs
        if vertex.strip() or colon or number.strip()
    }


def format_overrides(overrides: Mapping[str, int]) -> str:
    """Write what :func:`parse_overrides` reads, in a stable order."""
    return ",".join(f"{vertex}:{number}" for vertex, number in sorted(overrides.items()))


def _parallelism(vertex: str, text: str) -> int:
    number = text.strip(" \t\"'")
    if not vertex or not (number.isascii() and number.isdigit()) or int(number) < 1:
        raise ValueError(f"{OVERRIDES_KEY}: {f'{vertex}:{text}'[:80]!r} is no vertex and its parallelism")
    return int(number)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
