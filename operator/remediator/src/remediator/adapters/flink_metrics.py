"""What a running job does, by the metrics of JobManager REST: a few requests side by side, within a time limit.

Sources: Flink, "REST API" and "Metrics", and of what these pages leave out the code of Flink 1.14 to 2.x:
AbstractAggregatingMetricsHandler answers with an empty list where one metric of several is not there, so that what not
every version and vertex has is asked for separately; MetricFetcherImpl answers with what it has and fetches what is new
only then, at most every ten seconds, so that the first request is for that alone.
"""

import asyncio
import math
import re
from collections.abc import Mapping
from typing import Any, Final

import httpx

from remediator.core.readings import UNKNOWN, FlinkReadings, Spread, VertexReading
from remediator.core.snapshot import Job, Vertex

VERTICES_LIMIT: Final = 32
"""Of a bigger graph the first so many vertices are asked for."""

_TASK = (
    "busyTimeMsPerSecond",
    "idleTimeMsPerSecond",
    "backPressuredTimeMsPerSecond",
    "numRecordsInPerSecond",
    "numRecordsOutPerSecond",
)
_WATERMARK = ("currentInputWatermark",)
_BARRIERS = ("checkpointStartDelayNanos", "checkpointAlignmentTime")
_TASK_MANAGER = ("Status.JVM.CPU.Load", "Status.JVM.Memory.Heap.Used", "Status.JVM.Memory.Heap.Max")
_GARBAGE = ("Status.JVM.GarbageCollector.All.TimeMsPerSecond",)  # since 1.19
_NO_WATERMARK = -(2**63)
_CAUSED_BY = re.compile(r"^Caused by: (.+)$", re.MULTILINE)


class FlinkMetrics:
    """Reads what jobs do. The URL template knows ``{name}`` and ``{namespace}`` of the FlinkDeployment."""

    def __init__(self, http: httpx.AsyncClient, url_template: str, pause: float = 0.3) -> None:
        """``pause`` is the time, in seconds, that the JobManager gets to fetch from its TaskManagers."""
        self._http = http
        self._url_template = url_template
        self._pause = pause

    async def read(self, namespace: str, name: str, job: Job, limit: float) -> FlinkReadings:
        """Return what comes within ``limit`` seconds; what does not is named in it."""
        end = asyncio.get_running_loop().time() + limit
        base = self._url_template.format(namespace=namespace, name=name)
        vertices = job.vertices[:VERTICES_LIMIT]
        await self._answers({"": (f"{base}/taskmanagers/metrics", _TASK_MANAGER)}, end)
        await asyncio.sleep(min(self._pause, max(end - asyncio.get_running_loop().time(), 0)))
        answers = await self._answers(_requests(base, job.id, vertices), end)
        missing = [what for what, answer in answers.items() if answer is None and " of " not in what]
        silent = [v.name for v in vertices if answers[f"load of {v.id}"] is None]
        if silent:
            missing.append(f"load of {len(silent)} vertices, such as {silent[0]}")
        if len(job.vertices) > len(vertices):
            missing.append(f"load of {len(job.vertices) - len(vertices)} more vertices: not asked for")
        machines, garbage = to_spreads(answers["TaskManagers"]), to_spreads(answers["garbage collection"])
        interval = _number(answers["checkpoint interval"], "interval")
        return FlinkReadings(
            vertices=tuple(_vertex(v, answers) for v in vertices if answers[f"load of {v.id}"] is not None),
            cpu_load=machines.get(_TASK_MANAGER[0], UNKNOWN).maximum,
            heap=_share(
                machines.get(_TASK_MANAGER[1], UNKNOWN).maximum, machines.get(_TASK_MANAGER[2], UNKNOWN).minimum
            ),
            garbage=garbage.get(_GARBAGE[0], UNKNOWN).maximum,
            checkpoint_seconds=job.checkpoint_seconds,
            checkpoint_interval=None if interval is None else interval / 1000,
            exception=root_cause(answers["exceptions"]),
            missing=tuple(missing),
        )

    async def _answers(self, requests: Mapping[str, tuple[str, tuple[str, ...]]], end: float) -> dict[str, Any]:
        """Ask for URLs, each with the metrics wanted there; returns the answers, None for what did not come."""
        asked = {asyncio.create_task(self._get(url, metrics)): what for what, (url, metrics) in requests.items()}
        try:
            done, _ = await asyncio.wait(asked, timeout=max(end - asyncio.get_running_loop().time(), 0))
            return {what: task.result() if task in done else None for task, what in asked.items()}
        finally:
            for task in asked:
                task.cancel()

    async def _get(self, url: str, metrics: tuple[str, ...]) -> Any:
        parameters = {"get": ",".join(metrics), "agg": "min,max,avg"} if metrics else {}
        try:
            response = await self._http.get(url, params=parameters)
            response.raise_for_status()
            return response.json() or None
        except (httpx.HTTPError, ValueError):
            return None


def _requests(base: str, job: str, vertices: tuple[Vertex, ...]) -> dict[str, tuple[str, tuple[str, ...]]]:
    requests: dict[str, tuple[str, tuple[str, ...]]] = {
        "TaskManagers": (f"{base}/taskmanagers/metrics", _TASK_MANAGER),
        "garbage collection": (f"{base}/taskmanagers/metrics", _GARBAGE),
        "checkpoint interval": (f"{base}/jobs/{job}/checkpoints/config", ()),
        "exceptions": (f"{base}/jobs/{job}/exceptions", ()),
    }
    for vertex in vertices:
        url = f"{base}/jobs/{job}/vertices/{vertex.id}/subtasks/metrics"
        requests[f"load of {vertex.id}"] = (url, _TASK)
        if not vertex.source:
            requests[f"watermark of {vertex.id}"] = (url, _WATERMARK)
            requests[f"barriers of {vertex.id}"] = (url, _BARRIERS)
    return requests


def to_spreads(answer: Any) -> dict[str, Spread]:
    """Read an answer of aggregated metrics, by name; what is no such answer, or no number, is left out.

    ``[{"id": "busyTimeMsPerSecond", "min": 1.0, "max": 3.0, "avg": 2.0}]``; a NaN is the text ``"NaN"``.
    """
    listed = [entry for entry in answer if isinstance(entry, dict)] if isinstance(answer, list) else []
    return {
        str(entry.get("id")): Spread(_number(entry, "min"), _number(entry, "avg"), _number(entry, "max"))
        for entry in listed
    }


def root_cause(answer: Any) -> str:
    """Return the innermost cause of the latest failure by ``/jobs/ID/exceptions``; empty where there is none.

    Flink 1.13 to 2.x: ``exceptionHistory.entries``, the latest first, each with a Java stack trace.
    """
    history = answer.get("exceptionHistory") if isinstance(answer, dict) else None
    entries = history.get("entries") if isinstance(history, dict) else None
    first = entries[0] if isinstance(entries, list) and entries else None
    trace = str(first.get("stacktrace") or first.get("exceptionName") or "") if isinstance(first, dict) else ""
    causes = _CAUSED_BY.findall(trace)
    return str(causes[-1] if causes else trace.strip().partition("\n")[0]).strip()


def _vertex(vertex: Vertex, answers: Mapping[str, Any]) -> VertexReading:
    load = to_spreads(answers[f"load of {vertex.id}"])
    barriers = to_spreads(answers.get(f"barriers of {vertex.id}"))
    watermark = to_spreads(answers.get(f"watermark of {vertex.id}")).get(_WATERMARK[0], UNKNOWN).minimum
    busy, idle, pressed, taken, given = (load.get(metric, UNKNOWN) for metric in _TASK)
    return VertexReading(
        id=vertex.id,
        name=vertex.name,
        parallelism=vertex.parallelism,
        source=vertex.source,
        busy=busy,
        idle=idle,
        back_pressured=pressed,
        records_in=taken,
        records_out=given,
        watermark=None if watermark is None or watermark <= _NO_WATERMARK else watermark,
        start_delay=_seconds(barriers.get(_BARRIERS[0], UNKNOWN).maximum),
        alignment=_seconds(barriers.get(_BARRIERS[1], UNKNOWN).maximum),
    )


def _seconds(nanoseconds: float | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e9


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole is not None and whole > 0 else None


def _number(answer: Any, key: str) -> float | None:
    value = answer.get(key) if isinstance(answer, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
