"""JobManager REST through the API server, which is a web server of the test here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio import client
from remediator.adapters.api_server import ApiServer
from remediator.adapters.flink_rest import FlinkRest
from remediator.adapters.service_proxy import URL_TEMPLATE

PROXY = "/base/api/v1/namespaces/streaming/services/ml-recommender-rest:8081/proxy"
JOB = {"jid": "j", "state": "RUNNING", "vertices": [{"id": "v", "name": "source", "parallelism": 2}]}


@asynccontextmanager
async def through(handler: web.RouteDef) -> AsyncIterator[tuple[TestServer, FlinkRest]]:
    """Begin with an API server whose address has a path, as behind a gateway, and an account with a token."""
    application = web.Application()
    application.router.add_routes([handler])
    async with TestServer(application) as server:
        configuration = client.Configuration()
        configuration.host = str(server.make_url("/base"))
        configuration.api_key["BearerToken"] = "Bearer secret"
        async with (
            client.ApiClient(configuration) as api,
            httpx.AsyncClient(transport=ApiServer(api).services()) as http,
        ):
            yield server, FlinkRest(http, URL_TEMPLATE)


async def test_a_job_is_read_with_the_persons_credentials() -> None:
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers["Authorization"]))
        return web.json_response({} if request.path.endswith("/checkpoints") else JOB)

    async with through(web.get("/{path:.*}", answer)) as (_, flink):
        job = await flink.job("streaming", "ml-recommender", "j")
    assert job is not None
    assert [(v.name, v.parallelism) for v in job.vertices] == [("source", 2)]
    assert sorted(seen) == [(f"{PROXY}/jobs/j{rest}", "Bearer secret") for rest in ("", "/checkpoints")]


@pytest.mark.parametrize("status", [403, 404, 503])
async def test_what_the_api_server_says_itself_is_no_job(status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Status", "code": status}, status=status)

    async with through(web.get("/{path:.*}", answer)) as (_, flink):
        assert await flink.job("streaming", "ml-recommender", "j") is None


async def test_an_api_server_that_is_gone_is_no_job() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(JOB)

    async with through(web.get("/{path:.*}", answer)) as (server, flink):
        await server.close()
        assert await flink.job("streaming", "ml-recommender", "j") is None
