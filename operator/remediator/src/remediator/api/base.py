"""What all models of custom resources share."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

DURATION_PATTERN: Final = "^([0-9]+(d|h|m|s))+$"
_UNIT_SECONDS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def parse_duration(text: str) -> timedelta:
    """Read a duration such as ``10m`` or ``1h30m``. Raises ValueError for anything else."""
    total, number = 0, ""
    for char in text:
        if char.isascii() and char.isdigit():
            number += char
        elif char in _UNIT_SECONDS and number:
            total += int(number) * _UNIT_SECONDS[char]
            number = ""
        else:
            raise ValueError(f"not a duration (such as 30s, 10m or 1h30m): {text!r}")
    if number or not text:
        raise ValueError(f"not a duration (such as 30s, 10m or 1h30m): {text!r}")
    return timedelta(seconds=total)


def format_duration(value: timedelta) -> str:
    """Write a duration the way :func:`parse_duration` reads it, in whole seconds."""
    rest, parts = int(value.total_seconds()), ""
    for unit, seconds in _UNIT_SECONDS.items():
        count, rest = divmod(rest, seconds)
        parts += f"{count}{unit}" if count else ""
    return parts or "0s"


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _kubernetes_time(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _precise_time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "maxLength": 32}),
]
Time = Annotated[AwareDatetime, PlainSerializer(_kubernetes_time, return_type=str)]
"""A moment in whole seconds, as Kubernetes writes ``metav1.Time``."""

PreciseTime = Annotated[AwareDatetime, PlainSerializer(_precise_time, return_type=str)]
"""A moment in milliseconds: what latencies are computed from."""

JsonText = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 65536})]
"""A JSON document as text, so that the schema needs no hole for it."""


class Model(BaseModel):
    """A part of a custom resource: camelCase outside, frozen inside, no unknown fields."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )
