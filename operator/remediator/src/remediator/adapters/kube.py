"""The Kubernetes API, as far as the remediator needs it, behind a Protocol.

Resources are plain dicts as the API server returns them: the client's model classes cost memory and know no custom
resources.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException

from remediator.api.names import FIELD_MANAGER, GROUP, VERSION

Resource = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A namespaced resource type."""

    group: str
    version: str
    plural: str


POLICIES = Kind(GROUP, VERSION, "flinkremediationpolicies")
REMEDIATIONS = Kind(GROUP, VERSION, "flinkremediations")
FLINK_DEPLOYMENTS = Kind("flink.apache.org", "v1beta1", "flinkdeployments")
EVENTS = Kind("events.k8s.io", "v1", "events")
LEASES = Kind("coordination.k8s.io", "v1", "leases")


class KubeError(Exception):
    """A request to the API server did not succeed."""


class Unavailable(KubeError):
    """The request was not carried out for a reason that may pass: no answer, too many requests, an error of the server,
    rights or a quota that somebody has to mend. The same request may succeed later."""


class Forbidden(Unavailable):
    """The account lacks the right, as long as nobody gives it."""


class Conflict(KubeError):
    """Somebody else changed the object first, or a JSON patch's test did not hold."""


class AlreadyExists(KubeError):
    """There is an object of this name."""


class NotFound(KubeError):
    """There is no object of this name."""


class Fenced(KubeError):
    """This process may not write any more."""


class Rejected(KubeError):
    """The API server, or an admission plugin, refused the content; the same request will not succeed later."""


class Kube(Protocol):
    """What services ask of the Kubernetes API. Every method may raise Unavailable or Rejected; those that change an
    object raise NotFound where there is none, except delete."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Resource | None:
        """Return an object, or None when there is none."""

    async def list_all(self, kind: Kind, namespace: str, label_selector: str = "") -> list[Resource]:
        """Return all objects of a namespace."""

    async def create(self, kind: Kind, namespace: str, body: Resource) -> Resource:
        """Create an object. Raises AlreadyExists; Conflict, where nothing was created for another reason."""

    async def replace(self, kind: Kind, namespace: str, name: str, body: Resource) -> Resource:
        """Replace an object, at the body's resourceVersion. Raises Conflict."""

    async def delete(self, kind: Kind, namespace: str, name: str, resource_version: str = "") -> None:
        """Delete an object; one that is gone already is no error. Raises Conflict when it is not at the version."""

    async def replace_status(self, kind: Kind, namespace: str, name: str, body: Resource) -> Resource:
        """Replace an object's status, at the body's resourceVersion. Raises Conflict."""

    async def json_patch(self, kind: Kind, namespace: str, name: str, operations: list[Resource]) -> Resource:
        """Apply a JSON patch (RFC 6902). Raises Conflict when a test in it does not hold."""

    async def merge_patch(self, kind: Kind, namespace: str, name: str, body: Resource) -> Resource:
        """Apply a merge patch (RFC 7386). Raises Conflict when it names a resourceVersion that has passed."""


class ApiServer:
    """:class:`Kube` over the official client. Every request has a time limit (seconds)."""

    def __init__(
        self, api: client.ApiClient, timeout: float = 10, may_write: Callable[[], bool] = lambda: True
    ) -> None:
        self._api = api
        self._objects = client.CustomObjectsApi(api)
        self._timeout = timeout
        self._may_write = may_write

    def fenced(self, may_write: Callable[[], bool]) -> "ApiServer":
        """Return the same, which raises Fenced instead of writing unless ``may_write()``."""
        return ApiServer(self._api, self._timeout, may_write)

    async def get(self, kind: Kind, namespace: str, name: str) -> Resource | None:
        call = self._objects.get_namespaced_custom_object
        try:
            return await self._run(call, kind, namespace, name=name)
        except NotFound:
            return None

    async def list_all(self, kind: Kind, namespace: str, label_selector: str = "") -> list[Resource]:
        call = self._objects.list_namespaced_custom_object
        items: list[Resource] = []
        token = ""
        while True:
            page = await self._run(
                call, kind, namespace, label_selector=label_selector or None, limit=500, _continue=token or None
            )
            items += page["items"]
            token = page["metadata"].get("continue") or ""
            if not token:
                return items

    async def create(self, kind: Kind, namespace: str, body: Resource) -> Resource:
        call = self._objects.create_namespaced_custom_object
        return await self._write(call, kind, namespace, body=body, field_manager=FIELD_MANAGER)

    async def replace(self, kind: Kind, namespace: str, name: str, body: Resource) -> Resource:
        call = self._objects.replace_namespaced_custom_object
        return await self._write(call, kind, namespace, name=name, body=body, field_manager=FIELD_MANAGER)

    async def delete(self, kind: Kind, namespace: str, name: str, resource_version: str = "") -> None:
        call = self._objects.delete_namespaced_custom_object
        body = {"preconditions": {"resourceVersion": resource_version}} if resource_version else None
        try:
            await self._write(call, kind, namespace, name=name, body=body)
        except NotFound:
            return

    async def replace_status(self, kind: Kind, namespace: str, name: str, body: Resource) -> Resource:
        call = self._objects.replace_namespaced_custom_object_status
        return await self._write(call, kind, namespace, name=name, body=body, field_manager=FIELD_MANAGER)

    async def json_patch(self, kind: Kind, namespace: str, name: str, operations: list[Resource]) -> Resource:
        return await self._patch(kind, namespace, name, operations, "application/json-patch+json")

    async def merge_patch(self, kind: Kind, namespace: str, name: str, body: Resource) -> Resource:
        return await self._patch(kind, namespace, name, body, "application/merge-patch+json")

    async def _patch(
        self, kind: Kind, namespace: str, name: str, body: Resource | list[Resource], content_type: str
    ) -> Resource:
        call = self._objects.patch_namespaced_custom_object
        return await self._write(
            call, kind, namespace, name=name, body=body, field_manager=FIELD_MANAGER, _content_type=content_type
        )

    async def _write(self, call: Any, kind: Kind, namespace: str, **arguments: Any) -> Resource:
        if not self._may_write():
            raise Fenced(f"the Lease is lost; not written to {kind.plural} any more")
        return await self._run(call, kind, namespace, **arguments)

    async def _run(self, call: Any, kind: Kind, namespace: str, **arguments: Any) -> Resource:
        try:
            answer: Resource = await call(
                group=kind.group,
                version=kind.version,
                namespace=namespace,
                plural=kind.plural,
                _request_timeout=self._timeout,
                **arguments,
            )
            return answer
        except ApiException as error:
            raise translate(error) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"no answer from the API server: {error!r}") from error


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
