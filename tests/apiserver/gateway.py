"""A proxy in front of the API server that sees every patch of a FlinkDeployment, and stand-ins for what else a
controller asks: JobManager REST and Prometheus."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from apiserver.control_plane import ControlPlane
from apiserver.world import FlinkStandIn, World


class Gateway:
    """Forwards to the API server; ``on_patch`` is called after a patch was applied and before its answer is sent."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self.patches = 0
        self.on_patch: Callable[[], None] = lambda: None

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Forward a request; answers are streamed, because a watch has no end."""
        url = f"https://127.0.0.1:{self._plane.port}{request.rel_url}"
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        headers = {k: v for k, v in request.headers.items() if k in ("Authorization", "Content-Type", "Accept")}
        body = await request.read()
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, url, headers=headers, data=body or None, ssl=trust) as answer,
        ):
            if request.method == "PATCH" and "/flinkdeployments/" in request.path:
                patched = await answer.read()
                self.patches += 1
                self.on_patch()
                return web.Response(status=answer.status, body=patched, content_type=answer.content_type)
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response


class FlinkAndPrometheus:
    """Answers JobManager REST from what the FlinkDeployment asks for, and every query with one series."""

    def __init__(self, world: World) -> None:
        self._flink = FlinkStandIn(world)

    async def job(self, request: web.Request) -> web.Response:
        """``/jobs/ID``."""
        job = await self._flink.job("", "", request.match_info["id"])
        vertices = [
            {
                "id": v.id,
                "name": v.name,
                "parallelism": v.parallelism,
                "maxParallelism": v.max_parallelism,
                "status": v.status,
            }
            for v in job.vertices
        ]
        return web.json_response({"jid": job.id, "state": job.state, "vertices": vertices})

    async def query(self, _: web.Request) -> web.Response:
        """``/api/v1/query``."""
        result = [{"metric": {}, "value": [0, "5"]}]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})


@asynccontextmanager
async def serve(routes: list[tuple[str, str, Any]]) -> AsyncIterator[str]:
    """Serve routes on loopback; gives the URL."""
    app = web.Application()
    for method, path, handler in routes:
        app.router.add_route(method, path, handler)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await asyncio.wait_for(runner.cleanup(), 10)
