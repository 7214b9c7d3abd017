"""HTTP servers on loopback, each in a thread of its own, so that tests may wait as they like."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

Route = tuple[str, str, Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]]


@contextmanager
def serve(routes: list[Route], *contexts: Callable[[web.Application], AsyncIterator[None]]) -> Iterator[str]:
    """Serve routes (method, path, handler) as long as the block lasts; gives the URL. ``contexts`` run around it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)

    runner = run(_start(routes, contexts))
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        run(runner.cleanup())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(routes: list[Route], contexts: tuple[Any, ...]) -> web.AppRunner:
    app = web.Application(client_max_size=2**24)
    app.cleanup_ctx.extend(contexts)
    for method, path, handler in routes:
        app.router.add_route(method, path, handler)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner
