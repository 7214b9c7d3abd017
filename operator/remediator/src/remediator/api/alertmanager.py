"""Alertmanager's webhook payload, version 4.

Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class _Payload(BaseModel):
    # Alertmanager adds fields over time: unknown ones are no error here.
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class Alert(_Payload):
    """One alert of a notification. Without a label alertname, or without a start, it concerns nobody."""

    status: Literal["firing", "resolved"]
    labels: Annotated[dict[str, str], Field(min_length=1)]
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: AwareDatetime
    ends_at: AwareDatetime | None = None
    generator_url: Annotated[str, Field(alias="generatorURL")] = ""
    fingerprint: Annotated[str, Field(min_length=1)]


class Webhook(_Payload):
    """A notification. ``alerts`` stays raw, so that a bad alert of a group never drops the others."""

    version: Literal["4"]
    group_key: str
    alerts: list[Any]
    truncated_alerts: int = 0
