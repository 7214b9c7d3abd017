"""The Kubernetes API over the official client's connection."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException

from remediator.adapters.kube import (
    AlreadyExists,
    Conflict,
    Expired,
    Fenced,
    Forbidden,
    Kind,
    KubeError,
    NotFound,
    Page,
    Rejected,
    Resource,
    Unavailable,
)
from remediator.adapters.service_proxy import ServiceProxy
from remediator.api.names import FIELD_MANAGER
from remediator.telemetry import metrics

PAGE: Final = 250
"""Objects in a page: some milliseconds of work at a time."""
WATCH_SECONDS: Final = 60
"""How long a watch lasts. It goes on where the last one ended; one that has gone silent is noticed by then."""
_METADATA: Final = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"


class ApiServer:
    """:class:`~remediator.adapters.kube.Kube`. Every request has a time limit (seconds).

    The client's generated methods check and copy arguments and answers for longer than the API server needs for them;
    its connection, with the credentials' renewal, does without.
    """

    def __init__(
        self,
        api: client.ApiClient,
        timeout: float = 10,
        may_write: Callable[[], bool] = lambda: True,
        manager: str = FIELD_MANAGER,
    ) -> None:
        self._api = api
        self._manager = manager
        self._timeout = timeout
        self._may_write = may_write

    def fenced(self, may_write: Callable[[], bool]) -> "ApiServer":
        """Return the same, which raises Fenced instead of writing unless ``may_write()``."""
        return ApiServer(self._api, self._timeout, may_write, self._manager)

    def services(self) -> ServiceProxy:
        """Return a way to the cluster's Services, through the API server."""
        return ServiceProxy(self._api, self._timeout)

    async def get(self, kind: Kind, namespace: str, name: str) -> Resource | None:
        try:
            return await self._run("get", "GET", kind, namespace, name)
        except NotFound:
            return None

    async def list_all(self, kind: Kind, namespace: str, label_selector: str = "") -> list[Resource]:
        return [item async for page in self.pages(kind, namespace, label_selector) for item in page.items]

    async def pages(
        self, kind: Kind, namespace: str, label_selector: str = "", metadata_only: bool = False
    ) -> AsyncIterator[Page]:
        query = {"limit": str(PAGE)} | ({"labelSelector": label_selector} if label_selector else {})
        accept = _METADATA.format("List") if metadata_only else "application/json"
        while True:
            answer = await self._run("list", "GET", kind, namespace, query=query, accept=accept)
            # A list of metadata alone has null for nothing.
            yield Page(answer["items"] or [], answer["metadata"]["resourceVersion"])
            query["continue"] = answer["metadata"].get("continue") or ""
            if not query["continue"]:
                return

    async def watch(
        self, kind: Kind, namespace: str, version: str, metadata_only: bool = False
    ) -> AsyncIterator[tuple[str, Resource]]:
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        accept = _METADATA.format("") if metadata_only else "application/json"
        limit = aiohttp.ClientTimeout(total=WATCH_SECONDS + self._timeout, connect=self._timeout)
        try:
            response = await self._send("GET", kind, namespace, query=query, accept=accept, timeout=limit)
            async with response:
                await _check("watch", kind, response)
                async for line in response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        code = int(event["object"].get("code") or 0)
                        raise translate(_exception(code, json.dumps(event["object"])))
                    yield event["type"], event["object"]
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(f"the watch of {kind.plural} broke: {error!r}") from error

    async def create(self, kind: Kind, namespace: str, body: Resource) -> Resource:
        return await self._write("create", "POST", kind, namespace, "", body)

    async def replace(self, kind: Kind, namespace: str, name: str, body: Resource) -> Resource:
        return await self._write("update", "PUT", kind, namespace, name, body)

    async def delete(self, kind: Kind, namespace: str, name: str, resource_version: str = "") -> None:
        body = {"preconditions": {"resourceVersion": resource_version}} if resource_version else None
        try:
            await self._write("delete", "DELETE", kind, namespace, name, body)
        except NotFound:
            return

    async def replace_status(self, kind: Kind, namespace: str, name: str, body: Resource) -> Resource:
        return await self._write("update", "PUT", kind, namespace, f"{name}/status", body)

    async def json_patch(self, kind: Kind, namespace: str, name: str, operations: list[Resource]) -> Resource:
        return await self._write("patch", "PATCH", kind, namespace, name, operations, "application/json-patch+json")

    async def merge_patch(self, kind: Kind, namespace: str, name: str, body: Resource) -> Resource:
        return await self._write("patch", "PATCH", kind, namespace, name, body, "application/merge-patch+json")

    async def _write(
        self,
        verb: str,
        method: str,
        kind: Kind,
        namespace: str,
        name: str,
        body: Any,
        content_type: str = "application/json",
    ) -> Resource:
        if not self._may_write():
            raise Fenced(f"the Lease is lost; not written to {kind.plural} any more")
        query = {} if method == "DELETE" else {"fieldManager": self._manager}
        return await self._run(verb, method, kind, namespace, name, query=query, body=body, content_type=content_type)

    async def _run(
        self, verb: str, method: str, kind: Kind, namespace: str, name: str = "", **request: Any
    ) -> Resource:
        try:
            async with await self._send(method, kind, namespace, name, **request) as response:
                await _check(verb, kind, response)
                answer: Resource = json.loads(await response.read())
                return answer
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            metrics.API_REQUESTS.labels(verb, kind.plural, "none").inc()
            raise Unavailable(f"no answer from the API server: {error!r}") from error

    async def _send(
        self,
        method: str,
        kind: Kind,
        namespace: str,
        name: str = "",
        *,
        query: dict[str, str] | None = None,
        body: Any = None,
        accept: str = "application/json",
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout | None = None,  # noqa: ASYNC109 (it is the connection's)
    ) -> aiohttp.ClientResponse:
        path = f"/apis/{kind.group}/{kind.version}/namespaces/{quote(namespace)}/{kind.plural}"
        url = self._api.configuration.host + path + (f"/{quote(name)}" if name else "")
        headers = {"Accept": accept, "Content-Type": content_type}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        response = await self._api.rest_client.request(  # type: ignore[no-untyped-call]
            method,
            f"{url}?{urlencode(query)}" if query else url,
            headers=headers,
            body=body,
            _request_timeout=timeout or aiohttp.ClientTimeout(total=self._timeout),
        )
        answer: aiohttp.ClientResponse = response.response
        return answer


async def _check(verb: str, kind: Kind, response: aiohttp.ClientResponse) -> None:
    metrics.API_REQUESTS.labels(verb, kind.plural, str(response.status)).inc()
    if response.status >= 400:
        raise translate(_exception(response.status, await response.text(errors="replace"), response.reason or ""))


def _exception(code: int, body: str, reason: str = "") -> ApiException:
    error = ApiException(status=code, reason=reason)
    error.body = body
    return error


# How the API server words these (apimachinery, "api/errors" and "admission/plugin"); a Status has no field for them.
_PATCH_TEST_FAILED = "the server rejected our request due to an error in our request"
_DENIED_BY_ADMISSION = re.compile("admission webhook .* denied the request|ValidatingAdmissionPolicy .* denied request")


def translate(error: ApiException) -> KubeError:
    """Tell the API server's answers apart by their code and by the reason in their Status."""
    status = _status(error)
    message = str(status.get("message") or "")
    text = f"{error.status} {error.reason}: {message or (error.body or '')[:500]}"
    denied = _DENIED_BY_ADMISSION.search(message) is not None  # with whatever code was chosen there
    match error.status:
        case 404:
            return NotFound(text)
        case 409 if status.get("reason") == "AlreadyExists":
            return AlreadyExists(text)
        case 422 if _PATCH_TEST_FAILED in message:
            return Conflict(text)
        case code if denied and 400 <= (code or 0) < 500:
            return Rejected(text)
        case 400 | 405 | 406 | 413 | 415 | 422:
            return Rejected(text)
        case 409:
            return Conflict(text)
        case 410:
            return Expired(text)
        case 403:
            return Forbidden(text)
        case _:
            return Unavailable(text)


def _status(error: ApiException) -> dict[str, Any]:
    """Return the Status that came as the body; empty for what is none, such as a proxy's page."""
    try:
        status = json.loads(error.body or "{}")
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}


@asynccontextmanager
async def connect(kubeconfig: Path | None) -> AsyncIterator[ApiServer]:
    """Connect by a kubeconfig, or without one by the pod's service account."""
    configuration = client.Configuration()
    if kubeconfig is not None:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=str(kubeconfig), client_configuration=configuration
        )
    else:
        await asyncio.to_thread(config.load_incluster_config, client_configuration=configuration)
    async with client.ApiClient(configuration) as api:
        yield ApiServer(api)
