"""Serves metrics and the probes of a role that has no web server of its own."""

import threading
import time
from datetime import timedelta
from http.server import ThreadingHTTPServer

from prometheus_client import MetricsHandler

_STALE_SECONDS = 60.0


class Health:
    """When signs of life were last seen, on the monotonic clock. ``patience``: how long the watch may be silent."""

    def __init__(self, patience: timedelta) -> None:
        self._patience = patience.total_seconds()
        self._started = time.monotonic()
        self._loop: float | None = None
        self._api: float | None = None
        self._silent_since: float | None = None

    def loop_alive(self) -> None:
        """The event loop runs."""
        self._loop = time.monotonic()

    def api_answered(self) -> None:
        """The API server answered a request of ours."""
        self._api = time.monotonic()

    def watch_works(self, works: bool) -> None:
        """The watch brings its events, or should have and did not."""
        self._silent_since = None if works else self._silent_since or time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether the event loop has run lately (it gets the same time to start), and the watch is not silent."""
        now = time.monotonic()
        silent = self._silent_since is not None and now - self._silent_since >= self._patience
        return now - (self._loop or self._started) < _STALE_SECONDS and not silent

    @property
    def ready(self) -> bool:
        """Whether the API server has answered lately."""
        return self._api is not None and time.monotonic() - self._api < _STALE_SECONDS


def serve(port: int, health: Health) -> ThreadingHTTPServer:
    """Serve ``/metrics``, ``/healthz`` and ``/readyz`` from a thread of its own."""

    class Handler(MetricsHandler):
        def do_GET(self) -> None:
            match self.path:
                case "/healthz":
                    self._answer(health.alive)
                case "/readyz":
                    self._answer(health.ready)
                case "/metrics":
                    super().do_GET()
                case _:
                    self.send_error(404)

        def _answer(self, good: bool) -> None:
            body = b"ok\n" if good else b"not ok\n"
            self.send_response(200 if good else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("", port), Handler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
