"""A proxy in front of the API server, one for each process that is watched: it sees every write, and breaks things."""

import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from apiserver.control_plane import ControlPlane
from apiserver.serving import serve


@dataclass(frozen=True)
class Write:
    """A request that changed something, other than a Lease or an Event."""

    at: float
    """When its answer came, on the monotonic clock."""
    method: str
    path: str


class Gateway:
    """Forwards to the API server; ``on_patch`` is called after a FlinkDeployment was patched and before the answer."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._session: aiohttp.ClientSession
        self.url = ""
        self.writes: list[Write] = []
        self.on_patch: Callable[[], None] = lambda: None
        self.silent = False
        """Watches stay open and bring nothing."""
        self.unreachable = False
        """Every connection is closed without an answer."""

    @property
    def patches(self) -> list[Write]:
        """The patches of FlinkDeployments."""
        return [w for w in self.writes if w.method == "PATCH" and "/flinkdeployments/" in w.path]

    async def session(self, _: web.Application) -> AsyncIterator[None]:
        """Keep connections to the API server."""
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        connector = aiohttp.TCPConnector(ssl=trust, limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as self._session:
            yield

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Forward a request; answers are streamed, because a watch has no end."""
        if self.unreachable:
            return _hang_up(request)
        url = f"https://127.0.0.1:{self._plane.port}{request.rel_url}"
        kept = ("Authorization", "Content-Type", "Accept", "Accept-Encoding")
        headers = {k: v for k, v in request.headers.items() if k in kept}
        body = await request.read()
        try:
            async with self._session.request(request.method, url, headers=headers, data=body or None) as answer:
                if request.method != "GET":
                    return await self._write(request, answer)
                return await self._stream(request, answer)
        except aiohttp.ClientError:
            return _hang_up(request)

    async def _write(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.Response:
        content = await answer.read()
        if answer.ok and not request.path.endswith("/events") and "/leases" not in request.path:
            self.writes.append(Write(time.monotonic(), request.method, request.path))
            if "/flinkdeployments/" in request.path:
                self.on_patch()
        return web.Response(status=answer.status, body=content, headers=_headers(answer))

    async def _stream(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=_headers(answer))
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            if self.silent and "watch" in request.query:
                continue
            await response.write(chunk)
        await response.write_eof()
        return response


@contextmanager
def gateway(plane: ControlPlane) -> Iterator[Gateway]:
    """Run a gateway as long as the block lasts."""
    proxy = Gateway(plane)
    with serve([("*", "/{path:.*}", proxy.forward)], proxy.session) as proxy.url:
        yield proxy


def _headers(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {k: v for k, v in answer.headers.items() if k in ("Content-Type", "Content-Encoding")}


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)
