"""What all models of custom resources share."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

# Each unit once, the largest first, and so few digits that a moment so long ago is still a date.
DURATION_PATTERN: Final = "^([0-9]{1,4}d)?([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,7}s)?$"
_UNIT_SECONDS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def parse_duration(text: str) -> timedelta:
    """Read a duration such as ``10m`` or ``1h30m``. Raises ValueError for anything else."""
    if not text or re.fullmatch(DURATION_PATTERN, text, re.ASCII) is None:
        raise ValueError(f"not a duration (such as 30s, 10m or 1h30m): {text!r}")
    return timedelta(seconds=sum(int(n) * _UNIT_SECONDS[u] for n, u in re.findall("([0-9]+)([dhms])", text)))


def format_duration(value: timedelta) -> str:
    """Write a duration the way :func:`parse_duration` reads it, in whole seconds."""
    rest, parts = int(value.total_seconds()), ""
    for unit, seconds in _UNIT_SECONDS.items():
        count, rest = divmod(rest, seconds)
        parts += f"{count}{unit}" if count else ""
    return parts or "0s"


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _longer_than_zero(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError(LONGER_THAN_ZERO)
    return value


def _kubernetes_time(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _precise_time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cel(*rules: tuple[str, str]) -> dict[str, Any]:
    """Return the extension of a JSON schema by rules of the Common Expression Language, each with its message.

    What the API server checks by them, a validator of the model checks as well, with the same message.
    """
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


_DURATION_SCHEMA: Final = {"type": "string", "pattern": DURATION_PATTERN, "minLength": 2, "maxLength": 32}
LONGER_THAN_ZERO: Final = "must be longer than zero"

Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""A length of time, such as 90s, 10m or 1h30m; 0s is none."""

PositiveDuration = Annotated[
    Duration,
    AfterValidator(_longer_than_zero),
    WithJsonSchema({**_DURATION_SCHEMA, **cel(("self.matches('[1-9]')", LONGER_THAN_ZERO))}),
]
"""The same, and longer than none."""

Time = Annotated[AwareDatetime, PlainSerializer(_kubernetes_time, return_type=str)]
"""A moment in whole seconds, as Kubernetes writes ``metav1.Time``."""

PreciseTime = Annotated[AwareDatetime, PlainSerializer(_precise_time, return_type=str)]
"""A moment in milliseconds: what latencies are computed from."""

JSON_TEXT_LIMIT: Final = 65_536
JsonText = Annotated[str, WithJsonSchema({"type": "string", "maxLength": JSON_TEXT_LIMIT})]
"""A JSON document as text, so that the schema needs no hole for it."""


class Model(BaseModel):
    """A part of a custom resource: camelCase outside, frozen inside.

    Unknown fields are not read: after a rollback, what a newer version wrote must not change a decision. A file that
    a person wrote is to be validated with ``extra="forbid"``.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )


class Condition(Model):
    """A condition as the Kubernetes API conventions define it."""

    type: Annotated[str, Field(max_length=64)]
    """What is said about the resource, such as Complete or Ready."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[str, Field(max_length=64)]
    """Reason constant."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """For people."""
    last_transition_time: Time
    """When status changed."""
