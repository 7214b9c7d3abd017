"""The REST API of a JobManager.

Source: https://nightlies.apache.org/flink/flink-docs-release-1.19/docs/ops/rest_api/
"""

from datetime import UTC, datetime
from typing import Any

import httpx

from remediator.core.snapshot import Checkpoint, Job, Vertex


class FlinkRest:
    """Reads jobs. The URL template knows ``{name}`` and ``{namespace}`` of the FlinkDeployment."""

    def __init__(self, http: httpx.AsyncClient, url_template: str) -> None:
        self._http = http
        self._url_template = url_template

    async def job(self, namespace: str, name: str, job_id: str) -> Job | None:
        """Return a job, or None while the JobManager does not answer or does not know it."""
        base = self._url_template.format(namespace=namespace, name=name)
        try:
            details = await self._get(f"{base}/jobs/{job_id}")
            checkpoints = await self._get(f"{base}/jobs/{job_id}/checkpoints")
        except (httpx.HTTPError, ValueError):
            return None
        return None if details is None else to_job(details, checkpoints)

    async def _get(self, url: str) -> dict[str, Any] | None:
        response = await self._http.get(url)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        answer: dict[str, Any] = response.raise_for_status().json()
        return answer


def to_job(details: dict[str, Any], checkpoints: dict[str, Any] | None) -> Job:
    """Read the answers of ``/jobs/ID`` and ``/jobs/ID/checkpoints`` (None: 404, the job takes none)."""
    latest = (checkpoints or {}).get("latest") or {}
    return Job(
        id=details["jid"],
        state=details["state"],
        vertices=tuple(
            Vertex(v["id"], v["name"], v["parallelism"], v["maxParallelism"], v["status"]) for v in details["vertices"]
        ),
        completed=_checkpoint(latest.get("completed"), "latest_ack_timestamp"),
        savepoint=_checkpoint(latest.get("savepoint"), "latest_ack_timestamp"),
        restored=_checkpoint(latest.get("restored"), "restore_timestamp"),
        checkpointing=checkpoints is not None,
    )


def _checkpoint(found: dict[str, Any] | None, moment_field: str) -> Checkpoint | None:
    if not found:
        return None
    moment, path = found.get(moment_field), found.get("external_path") or ""
    return Checkpoint(
        id=found["id"],
        at=datetime.fromtimestamp(moment / 1000, UTC) if moment else None,
        path="" if path.startswith("<") else path,  # "<checkpoint-not-externally-addressable>"
    )
