"""Runs the receiver until it is told to stop."""

import asyncio
import gc
import signal
from datetime import UTC, datetime, timedelta

import httpx
from aiohttp import web
from prometheus_client import start_http_server

from remediator.adapters.alertmanager import Alertmanager
from remediator.adapters.api_server import connect
from remediator.config import ReceiverConfig
from remediator.receiver.app import make_app
from remediator.receiver.certificate import Certificate
from remediator.receiver.token import TokenFile
from remediator.services.incidents import Incidents
from remediator.services.ingest import Ingest
from remediator.services.resync import Resync
from remediator.services.watched import Watched


async def run(config: ReceiverConfig) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    token = TokenFile(config.token_file)
    tls = None
    if config.tls_cert_file and config.tls_key_file:
        tls = Certificate(config.tls_cert_file, config.tls_key_file).context
    start_http_server(config.metrics_port)
    async with connect(config.kubeconfig) as kube, httpx.AsyncClient(timeout=10) as http:
        watched = Watched(kube, config.namespace, config.target_namespaces)
        ingest = Ingest(kube, watched, config.namespace, config.target_namespaces)
        runner = web.AppRunner(make_app(ingest, token, config.max_body_bytes), handle_signals=False)
        await runner.setup()
        alertmanager = Alertmanager(http, config.alertmanager_urls, config.alertmanager_receiver)
        incidents = Incidents(kube, config.namespace, watched.incidents, watched.incidents_fresh)
        resync = Resync(alertmanager, ingest, incidents, lambda: datetime.now(UTC))
        comparing = asyncio.create_task(_compare(resync, config.resync_period)) if config.alertmanager_urls else None
        async with watched.watching():
            gc.freeze()  # what is there stays: a full collection that looks through it stops the event loop for 50 ms
            try:
                await web.TCPSite(runner, port=config.port, ssl_context=tls).start()
                await stop.wait()
            finally:
                if comparing is not None:
                    comparing.cancel()
                await runner.cleanup()


async def _compare(resync: Resync, period: timedelta) -> None:
    while True:
        await resync.run()
        await asyncio.sleep(period.total_seconds())
