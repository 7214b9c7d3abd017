"""Queries Prometheus through prometheus-api-client, which is synchronous: it runs in a thread, with a time limit."""

import asyncio
import math
from dataclasses import dataclass
from typing import Any

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util import Retry

TOLD_LENGTH = 300
TROUBLE = (requests.RequestException, PrometheusApiClientException, LookupError, TypeError, ValueError)
"""What the client raises, and what an answer of another form leads to."""


@dataclass(frozen=True)
class Answer:
    """What a query returned."""

    holds: bool | None
    """Whether there is at least one series with a number: how PromQL's comparisons answer yes. None: no answer."""
    value: float | None = None
    """Value of the first series that has a finite one."""
    trouble: str = ""
    """What was wrong with the answer, for people; empty where nothing was."""


class Prometheus:
    """One Prometheus server. ``timeout`` is in seconds."""

    def __init__(self, url: str, timeout: float = 10) -> None:
        self._connection = PrometheusConnect(url=url.rstrip("/"), timeout=timeout, retry=Retry(total=1))
        self._timeout = timeout

    async def query(self, promql: str) -> Answer:
        """Run an instant query. Whatever goes wrong is in the answer."""
        try:
            return to_answer(await self._ask(promql))
        except TimeoutError:
            return Answer(None, trouble="no answer in time")
        except TROUBLE as error:
            return Answer(None, trouble=str(error)[:TOLD_LENGTH])

    async def vector(self, promql: str) -> list[tuple[dict[str, str], float]] | None:
        """Run an instant query; returns the labels and the value of each series with a finite one, or None where there
        is no answer, or one of another form."""
        try:
            series = [(one["metric"], float(one["value"][1])) for one in await self._ask(promql)]
        except (TimeoutError, *TROUBLE):
            return None
        return [(labels, value) for labels, value in series if math.isfinite(value)]

    async def _ask(self, promql: str) -> Any:
        async with asyncio.timeout(2 * self._timeout + 1):
            return await asyncio.to_thread(self._connection.custom_query, promql)


def to_answer(result: Any) -> Answer:
    """Read ``data.result`` of an instant query. Raises LookupError, TypeError or ValueError for another form.

    Source: Prometheus, "HTTP API", expression query result formats: a vector is a list of series with a value each, a
    matrix one of series with values, a scalar and a string are a moment and a text. ``+Inf`` is a number: what a ratio
    over nothing exceeds. ``NaN`` is none.
    """
    if any(not isinstance(series, dict) or "value" not in series for series in result):
        return Answer(False, trouble="it returns no instant vector: compare a metric, such as lag < 1000")
    values = [float(series["value"][1]) for series in result]
    finite = (value for value in values if math.isfinite(value))
    return Answer(any(not math.isnan(value) for value in values), next(finite, None))
