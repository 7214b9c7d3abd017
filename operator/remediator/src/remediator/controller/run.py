"""Runs the controller until it is told to stop: kopf's operator, as long as this process holds the Lease."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import kopf

from remediator.adapters.api_server import ApiServer, connect
from remediator.adapters.kube import POLICIES, KubeError
from remediator.adapters.leader import LeaderLease
from remediator.api.names import CONTROLLER_LEASE
from remediator.config import ControllerConfig
from remediator.controller import handlers  # noqa: F401  (registers them)
from remediator.services.stop import StopSwitch
from remediator.telemetry import metrics
from remediator.telemetry.server import Health, serve

_HEARTBEAT_SECONDS = 10


def run(config: ControllerConfig) -> None:
    """Run in the foreground; SIGTERM and SIGINT end it. Raises SystemExit(1) when the Lease was lost."""
    asyncio.run(_run(config))


async def _run(config: ControllerConfig) -> None:
    if config.kubeconfig is not None:
        os.environ["KUBECONFIG"] = str(config.kubeconfig)  # where kopf's login looks
    health = Health(patience=2 * config.sweep_period)
    serve(config.metrics_port, health)
    async with connect(config.kubeconfig) as kube, _heartbeat(kube, config.namespace, health):
        # A restarted container keeps its host's name; it must not take itself for the one that crashed.
        identity = f"{socket.gethostname()}_{secrets.token_hex(4)}"
        switch = StopSwitch(kube, config.namespace, lambda: datetime.now(UTC))
        metrics.STOPPED.set_function(switch.on)
        lease = LeaderLease(kube, config.namespace, CONTROLLER_LEASE, identity, switch.take)
        stop = _stop_on_signal()
        if not await lease.acquire(stop):
            return
        keeping = asyncio.create_task(lease.keep(stop))
        try:
            await kopf.operator(
                standalone=True,
                namespaces=[config.namespace],
                memo=kopf.Memo(
                    config=config, health=health, kube=kube.fenced(lambda: lease.held), switch=switch, stop=stop
                ),
                # kopf would ask for the user's name, which a container's user may not have.
                identity=identity,  # type: ignore[arg-type]
                stop_flag=stop,
            )
        finally:
            lost = not lease.held
            stop.set()
            await keeping
            await lease.release()
        if lost:
            raise SystemExit(1)


def _stop_on_signal() -> asyncio.Event:
    # kopf takes the signals over once it runs.
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    return stop


@contextlib.asynccontextmanager
async def _heartbeat(kube: ApiServer, namespace: str, health: Health) -> AsyncIterator[None]:
    async def beat() -> None:
        while True:
            health.loop_alive()
            with contextlib.suppress(KubeError):
                await kube.list_all(POLICIES, namespace)
                health.api_answered()
            await asyncio.sleep(_HEARTBEAT_SECONDS)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
