"""Alertmanager's API version 2, asked of every replica.

Source: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import re2

from remediator.api.policy import RE2_OPTIONS


@dataclass(frozen=True)
class State:
    """What Alertmanager knows."""

    active: list[dict[str, Any]]
    """Alerts that a replica notifies our receiver of, in the form of a webhook's alerts."""
    silenced: dict[str, str]
    """By fingerprint, what keeps an alert that is routed to our receiver from being notified, for people."""
    fingerprints: frozenset[str]
    """Of all alerts that a replica knows, whoever hears of them."""
    complete: bool
    """Whether every replica has answered."""
    started: datetime
    """When the youngest of them was started: it hears of all alerts again only some minutes later."""


@dataclass(frozen=True)
class _Replica:
    name: str
    """In the cluster of replicas; empty where there is none."""
    peers: frozenset[str]
    started: datetime
    alerts: list[dict[str, Any]]
    groups: list[dict[str, Any]]


class Alertmanager:
    """Alertmanager at one or more URLs, which may hold a name and a password; each may be a headless Service of several
    replicas.

    ``receiver`` is a regular expression (RE2) of the names of our receivers; empty: all receivers are ours.
    """

    def __init__(self, http: httpx.AsyncClient, urls: Sequence[str], receiver: str = "") -> None:
        self._http = http
        self._urls = [httpx.URL(url.rstrip("/")) for url in urls]
        self._ours = re2.compile(receiver or ".*", RE2_OPTIONS)

    async def state(self) -> State:
        """Return what the replicas know that answer. Raises httpx.HTTPError when none does, and ValueError, KeyError or
        TypeError for an answer of another form."""
        addresses = [pair for url in self._urls for pair in await _addresses(url)]
        answers = await asyncio.gather(*(self._ask(*pair) for pair in addresses), return_exceptions=True)
        replicas = [answer for answer in answers if isinstance(answer, _Replica)]
        failures = [answer for answer in answers if isinstance(answer, BaseException)]
        for failure in failures:
            if not replicas or not isinstance(failure, httpx.HTTPError):
                raise failure
        peers = frozenset().union(*(replica.peers for replica in replicas))
        everybody = peers <= {replica.name for replica in replicas} if peers else not failures
        active, silenced = self._notified(replicas)
        return State(
            active=active,
            silenced=silenced,
            fingerprints=frozenset(alert["fingerprint"] for replica in replicas for alert in replica.alerts),
            complete=everybody,
            started=max(replica.started for replica in replicas),
        )

    def _notified(self, replicas: list[_Replica]) -> tuple[list[dict[str, Any]], dict[str, str]]:
        routed = [
            alert
            for replica in replicas
            for group in replica.groups
            if self._ours.fullmatch(group["receiver"]["name"])
            for alert in group["alerts"]
        ]
        active: dict[str, dict[str, Any]] = {}
        silenced: dict[str, str] = {}
        for alert in routed:
            why = _why_silent(alert["status"])
            if why:
                silenced.setdefault(alert["fingerprint"], why)
            elif alert["status"]["state"] == "active":
                # Replicas hear of an alert at different times; the latest word counts.
                known = active.get(alert["fingerprint"], alert)
                active[alert["fingerprint"]] = max(known, alert, key=lambda a: _moment(a["updatedAt"]))
        heard = {fingerprint: why for fingerprint, why in silenced.items() if fingerprint not in active}
        return [as_in_webhook(alert) for alert in active.values()], heard

    async def _ask(self, url: httpx.URL, named: httpx.URL) -> _Replica:
        before = await self._get(url, named, "/api/v2/status")
        alerts = await self._get(url, named, "/api/v2/alerts")
        groups = await self._get(url, named, "/api/v2/alerts/groups")
        status = await self._get(url, named, "/api/v2/status")
        if before["uptime"] != status["uptime"]:
            # In nanoseconds, so it tells apart the replicas behind a Service that is not headless.
            where = named.netloc.decode()
            raise httpx.ReadError(f"{where} is several Alertmanagers; name each of them, or their headless Service")
        cluster = status.get("cluster") or {}
        return _Replica(
            name=cluster.get("name") or "",
            peers=frozenset(peer["name"] for peer in cluster.get("peers") or ()),
            started=_moment(status["uptime"]),
            alerts=alerts,
            groups=groups,
        )

    async def _get(self, url: httpx.URL, named: httpx.URL, path: str) -> Any:
        # By address, and with the name that certificates and proxies know. A password is no part of it: errors name it.
        response = await self._http.get(
            url.copy_with(path=url.path.rstrip("/") + path, userinfo=b""),
            auth=(url.username, url.password) if url.userinfo else None,
            headers={"Host": named.netloc.decode()},
            extensions={"sni_hostname": named.host},
        )
        return response.raise_for_status().json()


async def _addresses(url: httpx.URL) -> list[tuple[httpx.URL, httpx.URL]]:
    """Return the URL of each address that a URL's host name stands for, each beside the URL with the name."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpx.ConnectError(f"{url.host}: {error}") from error
    return [(url.copy_with(host=address), url) for address in dict.fromkeys(str(entry[4][0]) for entry in found)]


def _why_silent(status: dict[str, Any]) -> str:
    """Say what keeps an alert from being notified; empty if nothing does. Versions before 0.28 do not tell of time
    intervals."""
    named = (("silencedBy", "silence"), ("inhibitedBy", "inhibited by alert"), ("mutedBy", "time interval"))
    return "; ".join(f"{what} {', '.join(status[key])}" for key, what in named if status.get(key))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def as_in_webhook(alert: dict[str, Any]) -> dict[str, Any]:
    """Return an active alert of the API in the form of a webhook's."""
    kept = ("labels", "annotations", "startsAt", "updatedAt", "fingerprint", "generatorURL")
    return {"status": "firing", **{key: alert[key] for key in kept if key in alert}}
