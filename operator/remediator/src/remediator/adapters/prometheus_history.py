"""Range queries of Prometheus, page by page, through prometheus-api-client in a thread with a time limit."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from prometheus_api_client import PrometheusConnect
from urllib3.util import Retry

from remediator.adapters.prometheus import TOLD_LENGTH, TROUBLE

PAGE_POINTS: Final = 10_000
"""Points of a series that a page has at most: Prometheus refuses more than 11,000."""
PAGE_LENGTH: Final = timedelta(hours=6)
"""A page is no longer, so that neither Prometheus nor we hold the points of many series at once."""


class NoHistory(Exception):
    """Prometheus gave no answer, or one of another form; the message says so."""


@dataclass(frozen=True)
class Series:
    """The points of a series in a page: its value by moment, in seconds since 1970."""

    labels: dict[str, str]
    points: dict[float, float]


def pages(start: datetime, end: datetime, step: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """Yield the first and the last moment of each page of a range; every moment is in one of them."""
    length = min(PAGE_LENGTH // step, PAGE_POINTS) * step or step
    while start <= end:
        last = min(start + length - step, end)
        yield start, last
        start = last + step


class History:
    """What one Prometheus server has stored. ``timeout`` of a page is in seconds; ``address`` is the URL without a
    password.
    """

    def __init__(self, url: str, timeout: float = 60) -> None:
        """Raises NoHistory for what is no URL."""
        self.address = _without_password(url)
        self._connection = PrometheusConnect(url=url.rstrip("/"), timeout=timeout, retry=Retry(total=2))
        self._timeout = timeout

    async def page(self, promql: str, first: datetime, last: datetime, step: timedelta) -> list[Series]:
        """Run a range query over a page. Raises NoHistory."""
        seconds = f"{step.total_seconds():g}"
        try:
            async with asyncio.timeout(3 * self._timeout + 1):
                found = await asyncio.to_thread(self._connection.custom_query_range, promql, first, last, seconds)
            return to_series(found)
        except TimeoutError:
            raise NoHistory(f"{self.address} gives no answer in time from {_utc(first)} to {_utc(last)}") from None
        except TROUBLE as error:
            raise NoHistory(f"{self.address} does not answer {promql!r}: {_told(error)}") from None


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        known = False
    if not known:
        raise NoHistory("the address of Prometheus is to be a URL such as http://localhost:9090")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def to_series(result: Any) -> list[Series]:
    """Read ``data.result`` of a range query. Raises LookupError, TypeError or ValueError for another form.

    Source: Prometheus, "HTTP API", range vectors.
    """
    return [
        Series(dict(one["metric"]), {float(moment): float(value) for moment, value in one["values"]}) for one in result
    ]


def _told(error: Exception) -> str:
    """Return what Prometheus itself says, where the client hands its answer on as the text of bytes."""
    text = str(error)
    begin, end = text.find("{"), text.rfind("}")
    try:
        return str(json.loads(text[begin : end + 1].replace("\\\\", "\\").replace("\\'", "'"))["error"])[:TOLD_LENGTH]
    except (ValueError, LookupError):
        return text[:TOLD_LENGTH]


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
