"""Alertmanager's webhook payload, version 4.

Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("no such time in UTC") from None


_Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class _Payload(BaseModel):
    # Alertmanager adds fields over time: unknown ones are no error here.
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class Alert(_Payload):
    """One alert of a notification. Without a label alertname, or without a start, it concerns nobody."""

    status: Literal["firing", "resolved"]
    labels: Annotated[dict[str, str], Field(min_length=1)]
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: _Moment
    ends_at: _Moment | None = None
    """When it ended; of a firing alert it says nothing."""
    updated_at: _Moment | None = None
    """When Alertmanager last heard of it; only its API tells, a notification does not."""
    generator_url: Annotated[str, Field(alias="generatorURL")] = ""
    fingerprint: Annotated[str, Field(min_length=1)]


class Webhook(_Payload):
    """A notification. ``alerts`` stays raw, so that a bad alert of a group never drops the others."""

    version: Literal["4"]
    group_key: str
    alerts: list[Any]
    truncated_alerts: int = 0
