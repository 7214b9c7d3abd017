"""JobManager REST as a person outside the cluster reaches it: through the API server, by the right to get
services/proxy.

Source: Kubernetes, "Access Services Running on Clusters".
"""

from typing import Final

import aiohttp
import httpx
from kubernetes.aio import client

URL_TEMPLATE: Final = "http://api-server/api/v1/namespaces/{namespace}/services/{name}-rest:8081/proxy"
"""What FlinkRest asks for; the host is the API server's, whatever stands here."""


class ServiceProxy(httpx.AsyncBaseTransport):
    """Sends GET requests over the connection of the official client, with its credentials."""

    def __init__(self, api: client.ApiClient, timeout: float) -> None:
        """``timeout`` is in seconds."""
        self._api = api
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return what the API server passes on."""
        path, headers = request.url.raw_path.decode(), {"Accept": "application/json"}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, "GET", None)
        try:
            response = await self._api.rest_client.request(  # type: ignore[no-untyped-call]
                "GET", self._api.configuration.host + path, headers=headers, _request_timeout=self._timeout
            )
            async with response.response as answer:
                return httpx.Response(answer.status, content=await answer.read(), request=request)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise httpx.ConnectError(repr(error), request=request) from error
