"""The REST API of a JobManager.

Source: https://nightlies.apache.org/flink/flink-docs-release-1.19/docs/ops/rest_api/
"""

import asyncio
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx

from remediator.api.remediation import PATH_LIMIT
from remediator.core.snapshot import Checkpoint, Job, Vertex

Value = TypeVar("Value")

MAX_PARALLELISM = 32_768
"""Flink's own limit (KeyGroupRangeAssignment.UPPER_BOUND_MAX_PARALLELISM), where a vertex names none."""


class FlinkRest:
    """Reads jobs. The URL template knows ``{name}`` and ``{namespace}`` of the FlinkDeployment."""

    def __init__(self, http: httpx.AsyncClient, url_template: str) -> None:
        self._http = http
        self._url_template = url_template

    async def job(self, namespace: str, name: str, job_id: str) -> Job | None:
        """Return a job, or None while the JobManager does not answer, does not know it, or answers in another form."""
        base = self._url_template.format(namespace=namespace, name=name)
        try:
            details, checkpoints = await asyncio.gather(
                self._get(f"{base}/jobs/{job_id}"), self._get(f"{base}/jobs/{job_id}/checkpoints")
            )
            return to_job(details, checkpoints)
        except (httpx.HTTPError, ValueError):
            return None

    async def _get(self, url: str) -> Any:
        response = await self._http.get(url)
        if response.status_code != httpx.codes.NOT_FOUND:
            response.raise_for_status()
        return response.json()


def to_job(details: Any, checkpoints: Any) -> Job | None:
    """Read the answers of ``/jobs/ID`` and ``/jobs/ID/checkpoints``, that there is no such thing (404) included; None
    where the JobManager does not know the job. Raises ValueError for answers of another form.

    Sources of what else the latter may say: Flink, CheckpointingStatisticsHandler ("Checkpointing has not been
    enabled."); FLINK-33872 (1.18: "Job ... not found" for one that is known but has ended); and
    ArchivedExecutionGraph.createSparseArchivedExecutionGraph (empty statistics while a job has no execution graph, or
    has failed before it had one).
    """
    if _errors(details):
        return None
    state = _field(details, "state", str)
    latest, refused = _map(checkpoints, "latest"), _errors(checkpoints)
    completed = _checkpoint(latest.get("completed"), "latest_ack_timestamp")
    savepoint = _checkpoint(latest.get("savepoint"), "latest_ack_timestamp")
    restored = _checkpoint(latest.get("restored"), "restore_timestamp")
    enabled = not any("not been enabled" in error for error in refused)
    counted = any(isinstance(count, int) and count > 0 for count in _map(checkpoints, "counts").values())
    told = counted or (state == "RUNNING" and not refused) or any((completed, savepoint, restored))
    took, sources = _optional(latest.get("completed") or {}, "end_to_end_duration"), _sources(details)
    return Job(
        id=_field(details, "jid", str),
        state=state,
        vertices=tuple(_vertex(vertex, sources) for vertex in _field(details, "vertices", list)),
        completed=completed,
        savepoint=savepoint,
        restored=restored,
        checkpointing=enabled,
        checkpoints_known=told or not enabled,
        checkpoint_seconds=took / 1000 if isinstance(took, int | float) and took >= 0 else None,
    )


def _errors(answer: Any) -> list[str]:
    """What JobManager REST says instead of an answer."""
    errors = answer.get("errors") if isinstance(answer, dict) else None
    return [str(error) for error in errors] if isinstance(errors, list) else []


def _sources(details: Any) -> frozenset[str]:
    """Ids of the vertices that nothing feeds, by the job's graph (Flink, JsonPlanGenerator); none without it."""
    plan = _optional(details, "plan")
    nodes = plan.get("nodes") if isinstance(plan, dict) else None
    known = [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
    return frozenset(str(node.get("id")) for node in known if not node.get("inputs"))


def _vertex(found: Any, sources: frozenset[str]) -> Vertex:
    vertex, limit = _field(found, "id", str), _optional(found, "maxParallelism")
    return Vertex(
        id=vertex,
        name=str(_optional(found, "name") or vertex),
        parallelism=_field(found, "parallelism", int),
        max_parallelism=limit if isinstance(limit, int) and limit > 0 else MAX_PARALLELISM,
        status=str(_optional(found, "status") or ""),
        source=vertex in sources,
    )


def _checkpoint(found: Any, moment_field: str) -> Checkpoint | None:
    if not found:
        return None
    path = str(_optional(found, "external_path") or "")
    # "<checkpoint-not-externally-addressable>"; and a path that a record has no room for is none that could be used.
    usable = not path.startswith("<") and len(path) <= PATH_LIMIT
    return Checkpoint(
        id=_field(found, "id", int), at=_moment(_optional(found, moment_field)), path=path if usable else ""
    )


def _moment(milliseconds: Any) -> datetime | None:
    if not isinstance(milliseconds, int) or milliseconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _map(parent: Any, key: str) -> dict[str, Any]:
    value = _optional(parent, key)
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{key} is not a map but a {type(value).__name__}")
    return value or {}


def _field(parent: Any, key: str, form: type[Value]) -> Value:
    value = _optional(parent, key)
    if value is None:
        raise ValueError(f"{key} is missing")
    if not isinstance(value, form) or isinstance(value, bool):
        raise ValueError(f"{key} is {str(value)[:40]!r}")
    return value


def _optional(parent: Any, key: str) -> Any:
    if not isinstance(parent, dict):
        raise ValueError(f"has not the expected form: a map with {key} is expected, not a {type(parent).__name__}")
    return parent.get(key)
