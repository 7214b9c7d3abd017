"""Stand-ins for what the controller asks beside the API server: Flink's operator, the JobManager and Prometheus."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from aiohttp import web
from remediator.core.flinkdeployment import FlinkDeployment, parse

from apiserver.control_plane import ControlPlane
from apiserver.serving import serve
from apiserver.world import FLINK, MERGE_PATCH

VERTICES = ("source", "features")
# As Flink's operator 1.15 writes it.
NO_METADATA = json.dumps(
    {
        "type": "org.apache.flink.kubernetes.operator.exception.UpgradeFailureException",
        "message": "JobManager deployment is missing and HA metadata is not available to make stateful upgrades. "
        "It is possible that the job has finished or terminally failed, or the configmaps have been deleted."
        "Manual restore required.",
    }
)


class Outside:
    """What a job's spec asks for runs at once, its checkpoints complete, and every query holds; unless said
    otherwise."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.url = ""
        self.slots: dict[str, int] = {}
        """The highest parallelism that a job (by its id) gets."""
        self.operator_gone: set[str] = set()
        """Jobs (by their ids) that Flink's operator does not look at any more."""
        self.metadata_lost: set[str] = set()
        """Jobs (by their ids) that Flink's operator cannot start again after a change, but from a path."""
        self.unmet: set[str] = set()
        """Queries with such a text in them, for instance a job's id, have no result."""
        self.prometheus_down = False

    @property
    def flink_rest_url_template(self) -> str:
        """What the controller is told about JobManagers."""
        return f"{self.url}/flink/{{namespace}}/{{name}}"

    @property
    def prometheus_url(self) -> str:
        """What the controller is told about Prometheus, as people write it."""
        return f"{self.url}/prometheus/"

    async def job(self, request: web.Request) -> web.Response:
        """``/jobs/ID``."""
        target = await self._observed(request)
        limit = self.slots.get(f"{target.namespace}/{target.name}", 1000)
        vertices = [
            {
                "id": v,
                "name": v,
                "parallelism": min(target.overrides.get(v, target.parallelism or 1), limit),
                "maxParallelism": 128,
                "status": "RUNNING",
            }
            for v in VERTICES
        ]
        return web.json_response({"jid": request.match_info["id"], "state": "RUNNING", "vertices": vertices})

    async def checkpoints(self, request: web.Request) -> web.Response:
        """``/jobs/ID/checkpoints``: the latest is of now, and every change of the spec starts from the one before."""
        target = await self._observed(request)
        now, latest = int(time.time() * 1000), 7 + target.generation
        completed = {"id": latest, "latest_ack_timestamp": now, "external_path": f"file:/checkpoints/chk-{latest}"}
        restored = {"id": latest - 1, "restore_timestamp": now, "external_path": f"file:/checkpoints/chk-{latest - 1}"}
        return web.json_response({"latest": {"completed": completed, "restored": restored}})

    async def query(self, request: web.Request) -> web.Response:
        """``/api/v1/query``."""
        if self.prometheus_down:
            return web.Response(status=503)
        unmet = any(text in request.query["query"] for text in self.unmet)
        result: list[Any] = [] if unmet else [{"metric": {}, "value": [0, "5"]}]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    async def _observed(self, request: web.Request) -> FlinkDeployment:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        path = f"/apis/{FLINK}/namespaces/{namespace}/flinkdeployments/{name}"
        target = parse((await asyncio.to_thread(self._client.get, path)).raise_for_status().json())
        lost = f"{namespace}/{name}" in self.metadata_lost and target.generation > 1 and not target.savepoint_path
        if not target.caught_up and f"{namespace}/{name}" not in self.operator_gone:
            lifecycle, error = ("FAILED", NO_METADATA) if lost else ("STABLE", None)
            status = {"observedGeneration": target.generation, "lifecycleState": lifecycle, "error": error}
            change = {"status": status}
            await asyncio.to_thread(self._client.patch, f"{path}/status", json=change, headers=MERGE_PATCH)
        if lost:
            raise web.HTTPServiceUnavailable
        return target


@contextmanager
def outside(plane: ControlPlane) -> Iterator[Outside]:
    """Serve the stand-ins as long as the block lasts."""
    with plane.client() as client:
        stand_ins = Outside(client)
        routes = [
            ("GET", "/flink/{namespace}/{name}/jobs/{id}", stand_ins.job),
            ("GET", "/flink/{namespace}/{name}/jobs/{id}/checkpoints", stand_ins.checkpoints),
            ("GET", "/prometheus/api/v1/query", stand_ins.query),
        ]
        with serve(routes) as stand_ins.url:
            yield stand_ins
