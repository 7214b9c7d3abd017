"""Alertmanager's API version 2.

Source: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx


@dataclass(frozen=True)
class State:
    """What one Alertmanager knows."""

    started: datetime
    """When it was started: it hears of all alerts again only some minutes later. Now, if not one and the same
    Alertmanager gave all answers."""
    active: list[dict[str, Any]]
    """Alerts that are neither silenced nor inhibited, in the form of a webhook's alerts."""
    fingerprints: frozenset[str]
    """Of all alerts, silenced and inhibited ones too."""


class Alertmanager:
    """One Alertmanager, or the Service of several, each of which knows all alerts."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url.rstrip("/")

    async def state(self) -> State:
        """Return what it knows. Raises httpx.HTTPError, and ValueError or KeyError for an answer of another form."""
        before = await self._get("/api/v2/status")
        alerts = await self._get("/api/v2/alerts")
        after = await self._get("/api/v2/status")
        # In nanoseconds: it tells the replicas behind one Service apart.
        same = before["uptime"] == after["uptime"]
        return State(
            started=datetime.fromisoformat(after["uptime"]) if same else datetime.now(UTC),
            active=[as_in_webhook(alert) for alert in alerts if alert["status"]["state"] == "active"],
            fingerprints=frozenset(alert["fingerprint"] for alert in alerts),
        )

    async def _get(self, path: str) -> Any:
        response = await self._http.get(self._url + path)
        return response.raise_for_status().json()


def as_in_webhook(alert: dict[str, Any]) -> dict[str, Any]:
    """Return an active alert of the API in the form of a webhook's."""
    kept = ("labels", "annotations", "startsAt", "fingerprint", "generatorURL")
    return {"status": "firing", **{key: alert[key] for key in kept if key in alert}}
