"""Queries Prometheus through prometheus-api-client, which is synchronous: it runs in a thread, with a time limit."""

import asyncio
from dataclasses import dataclass

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util import Retry


@dataclass(frozen=True)
class Answer:
    """What a query returned."""

    holds: bool
    """Whether there is at least one series: how PromQL's comparisons answer yes."""
    value: float | None
    """Value of the first series."""


class Prometheus:
    """One Prometheus server. ``timeout`` is in seconds."""

    def __init__(self, url: str, timeout: float = 10) -> None:
        self._connection = PrometheusConnect(url=url, timeout=timeout, retry=Retry(total=1))
        self._timeout = timeout

    async def query(self, promql: str) -> Answer | None:
        """Run an instant query; None when Prometheus does not answer it."""
        try:
            async with asyncio.timeout(2 * self._timeout + 1):
                series = await asyncio.to_thread(self._connection.custom_query, promql)
        except (TimeoutError, requests.RequestException, PrometheusApiClientException):
            return None
        value = float(series[0]["value"][1]) if series else None
        return Answer(holds=bool(series), value=value)
