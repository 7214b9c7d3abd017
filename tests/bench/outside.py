"""The stand-ins of tests/apiserver/outside.py, which answer at once: from what a watch has brought."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from aiohttp import web
from apiserver.control_plane import ControlPlane
from apiserver.outside import Outside
from apiserver.serving import serve
from remediator.adapters.api_server import connect
from remediator.adapters.kube import FLINK_DEPLOYMENTS, Resource
from remediator.adapters.reflector import Reflector
from remediator.api.names import PLAN_ANNOTATION
from remediator.core.flinkdeployment import FlinkDeployment, parse


class PromptOutside(Outside):
    """Flink's operator takes up what its watch brings; JobManagers answer from memory."""

    def __init__(self, kubeconfig: Path, client: httpx.Client) -> None:
        super().__init__(client)
        self._kubeconfig = kubeconfig
        self._known: dict[tuple[str, str], FlinkDeployment] = {}
        self._behind: asyncio.Queue[Resource] = asyncio.Queue()

    def put(self, resource: Resource) -> None:
        """Take a FlinkDeployment."""
        target = parse(resource)
        self._known[target.namespace, target.name] = target
        if target.generation > 1 and not target.caught_up:
            self._behind.put_nowait(resource)

    def remove(self, namespace: str, name: str) -> None:
        """Forget a FlinkDeployment."""
        self._known.pop((namespace, name), None)

    def retain(self, namespace: str, names: set[str]) -> None:
        """Keep what there was."""

    def patched(self, namespace: str) -> int:
        """Return how many FlinkDeployments of a namespace a remedy has patched, by what the watch has brought."""
        known = list(self._known.items())
        return sum(PLAN_ANNOTATION in target.annotations for (where, _), target in known if where == namespace)

    async def run(self, namespace: str) -> None:
        """Watch, and write what Flink's operator would."""
        async with connect(self._kubeconfig) as kube:
            watching = asyncio.create_task(Reflector(kube, FLINK_DEPLOYMENTS, namespace, self).run())
            try:
                while True:
                    resource = await self._behind.get()
                    metadata = resource["metadata"]  # of any namespace: all of them share the queue
                    status = {"observedGeneration": metadata["generation"], "lifecycleState": "STABLE"}
                    await kube.merge_patch(
                        FLINK_DEPLOYMENTS, metadata["namespace"], f"{metadata['name']}/status", {"status": status}
                    )
            finally:
                watching.cancel()

    async def _observed(self, request: web.Request) -> FlinkDeployment:
        return self._known[request.match_info["namespace"], request.match_info["name"]]

    async def query(self, request: web.Request) -> web.Response:
        """``/api/v1/query``: what is asked for holds."""
        result = [{"metric": {}, "value": [0, "5"]}]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})


@contextmanager
def prompt_outside(plane: ControlPlane, namespaces: list[str]) -> Iterator[PromptOutside]:
    """Serve the stand-ins of some namespaces as long as the block lasts."""
    client = plane.client()
    stand_ins = PromptOutside(plane.kubeconfig, client)

    async def watch(_: web.Application) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(stand_ins.run(namespace)) for namespace in namespaces]
        yield
        for task in tasks:
            task.cancel()

    routes = [
        ("GET", "/flink/{namespace}/{name}/jobs/{id}", stand_ins.job),
        ("GET", "/flink/{namespace}/{name}/jobs/{id}/checkpoints", stand_ins.checkpoints),
        ("GET", "/prometheus/api/v1/query", stand_ins.query),
    ]
    with client, serve(routes, watch) as stand_ins.url:
        yield stand_ins
