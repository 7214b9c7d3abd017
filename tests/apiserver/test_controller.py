"""The real controller, as a process of its own: kopf's loop, and a kill between patch and record."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from remediator.adapters.kube import ApiServer
from remediator.api.alertmanager import Webhook
from remediator.services.ingest import Ingest

from apiserver import world as world_module
from apiserver.control_plane import ControlPlane, free_port
from apiserver.gateway import FlinkAndPrometheus, Gateway, serve
from apiserver.world import World

Start = Callable[[], "subprocess.Popen[bytes]"]


@asynccontextmanager
async def surroundings(plane: ControlPlane, world: World, folder: Path) -> AsyncIterator[tuple[Gateway, Start]]:
    """Everything a controller talks to, and a way to start one."""
    gateway, outside = Gateway(plane), FlinkAndPrometheus(world)
    stand_ins = [
        ("GET", "/jobs/{id}", outside.job),
        ("GET", "/api/v1/query", outside.query),
    ]
    async with serve([("*", "/{path:.*}", gateway.forward)]) as api, serve(stand_ins) as url:
        kubeconfig = plane.write_kubeconfig(f"through-gateway-{world.namespace}", api)

        def start() -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "remediator", "controller", f"--namespace={world.namespace}"]
            command += [f"--kubeconfig={kubeconfig}", f"--prometheus-url={url}", f"--metrics-port={free_port()}"]
            command += [f"--flink-rest-url-template={url}"]
            with (folder / "controller.log").open("ab") as log:
                process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ})
            processes.append(process)
            return process

        processes: list[subprocess.Popen[bytes]] = []
        try:
            yield gateway, start
        finally:
            for process in processes:
                process.kill()
                process.wait()


async def eventually(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait beside the event loop, which serves the gateway."""
    return await asyncio.to_thread(world_module.eventually, condition, seconds)


def phase(world: World) -> str:
    (remediation,) = world.remediations()
    return str((remediation.get("status") or {}).get("phase", "Pending"))


async def receive(kube: ApiServer, world: World) -> None:
    await Ingest(kube, world.namespace, [world.namespace]).ingest(Webhook.model_validate(world.webhook(world.alert())))


async def test_it_carries_a_remediation_to_its_end_and_leaves_nothing_on_it(
    plane: ControlPlane, kube: ApiServer, world: World, tmp_path: Path
) -> None:
    async with surroundings(plane, world, tmp_path) as (gateway, start):
        process = start()
        await receive(kube, world)
        await eventually(lambda: phase(world) == "Succeeded")
        assert gateway.patches == 1
        await eventually(lambda: not world.remediations()[0]["metadata"].get("finalizers"))
        annotations = world.remediations()[0]["metadata"].get("annotations") or {}
        assert not [key for key in annotations if "kopf" in key]
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0


async def test_killed_between_patch_and_record_it_patches_once(
    plane: ControlPlane, kube: ApiServer, world: World, tmp_path: Path
) -> None:
    async with surroundings(plane, world, tmp_path) as (gateway, start):
        first = start()
        gateway.on_patch = first.kill
        await receive(kube, world)
        await eventually(lambda: first.poll() is not None)
        assert gateway.patches == 1
        assert phase(world) == "Executing"

        gateway.on_patch = lambda: None
        start()
        await eventually(lambda: phase(world) == "Succeeded")
        assert gateway.patches == 1
        assert world.target()["metadata"]["generation"] == 2


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/metrics", 200), ("/nothing", 404)])
async def test_its_probes_answer(plane: ControlPlane, world: World, tmp_path: Path, path: str, status: int) -> None:
    async with surroundings(plane, world, tmp_path) as (_, start):
        port = int(next(a for a in start().args if str(a).startswith("--metrics-port")).split("=")[1])  # type: ignore[union-attr]

        def answer() -> int | None:
            try:
                return httpx.get(f"http://127.0.0.1:{port}{path}").status_code
            except httpx.HTTPError:
                return None

        assert await eventually(answer) == status
