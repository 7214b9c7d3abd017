"""A Prometheus that is asked for what panels show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

Ask = Callable[[str, dict[str, str]], Any]


@dataclass(frozen=True)
class Series:
    """Labels, and points of seconds since 1970 and value, in order of time."""

    labels: dict[str, str]
    points: list[tuple[float, float]]


class _Cluster(Protocol):
    def service(self, service: str, port: int, path: str, **query: str) -> Any: ...


class Prometheus:
    """Prometheus' HTTP API. Every question raises httpx.HTTPError where it is not answered."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    @classmethod
    def of(cls, cluster: _Cluster) -> Prometheus:
        """Ask the chart's Prometheus through the API server."""
        return cls(lambda path, query: cluster.service("kps-prometheus", 9090, path, **query))

    @classmethod
    def at(cls, url: str) -> Prometheus:
        """Ask one by its address."""
        client = httpx.Client(base_url=url, timeout=30)
        return cls(lambda path, query: client.get(path, params=query).raise_for_status().json())

    def range(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        """Evaluate from start to end (seconds since 1970) every step seconds."""
        query = {"query": expr, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        return self._read(self._ask("/api/v1/query_range", query), lambda found: found["values"])

    def now(self, expr: str, time: float) -> list[Series]:
        """Evaluate at one moment."""
        query = {"query": expr, "time": f"{time:.3f}"}
        return self._read(self._ask("/api/v1/query", query), lambda found: [found["value"]])

    def _read(self, answer: Any, points: Callable[[Any], list[Any]]) -> list[Series]:
        return [
            Series(found["metric"], [(float(time), float(value)) for time, value in points(found)])
            for found in answer["data"]["result"]
        ]
