"""The Kubernetes API, as far as the remediator needs it: a Protocol, and the errors that tell its answers apart.

Resources are plain dicts as the API server returns them: the client's model classes cost memory and know no custom
resources.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

from remediator.api.names import GROUP, VERSION

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


class Expired(KubeError):
    """The version to go on from is too old: list anew."""


class NotFound(KubeError):
    """There is no object of this name."""


class Fenced(KubeError):
    """This process may not write any more."""


class Rejected(KubeError):
    """The API server, or an admission plugin, refused the content; the same request will not succeed later."""


@dataclass(frozen=True)
class Page:
    """A part of a list."""

    items: list[Resource]
    version: str
    """The resourceVersion of the whole list; a watch goes on from it."""

    async def in_turns(self) -> AsyncIterator[Resource]:
        """Return one item after the other; after each fifty, whoever else is due gets a turn."""
        for number, item in enumerate(self.items):
            yield item
            if number % 50 == 49:
                await asyncio.sleep(0)


class Kube(Protocol):
    """What services ask of the Kubernetes API. Every method may raise Unavailable or Rejected; those that change an
    object raise NotFound where there is none, except delete."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Resource | None:
        """Return an object, or None when there is none."""

    async def list_all(self, kind: Kind, namespace: str, label_selector: str = "") -> list[Resource]:
        """Return all objects of a namespace."""

    def pages(
        self, kind: Kind, namespace: str, label_selector: str = "", metadata_only: bool = False
    ) -> AsyncIterator[Page]:
        """Return all objects of a namespace in parts, so that few of them are in memory at a time, of one version.
        Raises Expired where that takes too long. There is at least one page."""

    def watch(
        self, kind: Kind, namespace: str, version: str, metadata_only: bool = False
    ) -> AsyncIterator[tuple[str, Resource]]:
        """Return what changes after a version for about a minute: (ADDED, MODIFIED, DELETED or BOOKMARK, the object).
        Raises Expired."""

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
