"""Keeps a copy of a kind's objects current: lists them by pages, then watches.

The word, and that a watch which cannot go on is followed by a new list, are client-go's (tools/cache).
"""

import asyncio
import logging
import time
from typing import Protocol

from remediator.adapters.kube import Expired, Kind, Kube, KubeError, Resource

log = logging.getLogger(__name__)

_LONGEST_BACKOFF_SECONDS = 15
_FRESH_SECONDS = 90
"""A watch that is well ends, or tells a bookmark, each minute."""


class Store(Protocol):
    """What is kept current. Objects may come more than once, and of an older version than the last."""

    def put(self, resource: Resource) -> None:
        """Take an object as it is now."""

    def remove(self, namespace: str, name: str) -> None:
        """Forget an object that was deleted."""

    def retain(self, namespace: str, names: set[str]) -> None:
        """Forget all objects of a namespace but these: what was deleted while nobody watched."""


class Reflector:
    """Keeps a store as the objects of a kind in a namespace are; ``metadata_only`` where their metadata are enough."""

    def __init__(self, kube: Kube, kind: Kind, namespace: str, store: Store, metadata_only: bool = False) -> None:
        self._kube = kube
        self._kind = kind
        self._namespace = namespace
        self._store = store
        self._metadata_only = metadata_only
        self._synced = asyncio.Event()
        self._heard: float | None = None

    async def synced(self) -> None:
        """Wait until the store was complete for the first time."""
        await self._synced.wait()

    @property
    def fresh(self) -> bool:
        """Whether the store is what the API server has, but for what is under way."""
        return self._heard is not None and time.monotonic() - self._heard < _FRESH_SECONDS

    async def run(self) -> None:
        """Keep the store current, for ever."""
        version, failures = "", 0
        while True:
            try:
                version = await self._watch(version) if version else await self._list()
                failures = 0
            except Expired:
                version = ""
            except KubeError as error:
                # What is in the store may be old from now on.
                self._heard, failures = None, failures + 1
                log.warning("not watched", extra={"kind": self._kind.plural, "error": str(error)})
                await asyncio.sleep(min(2 ** (failures - 1), _LONGEST_BACKOFF_SECONDS))

    async def _list(self) -> str:
        names: set[str] = set()
        version = ""
        async for page in self._kube.pages(self._kind, self._namespace, metadata_only=self._metadata_only):
            version = page.version
            async for resource in page.in_turns():
                names.add(resource["metadata"]["name"])
                self._store.put(resource)
        self._store.retain(self._namespace, names)
        self._heard = time.monotonic()
        self._synced.set()
        return version

    async def _watch(self, version: str) -> str:
        async for event, resource in self._kube.watch(self._kind, self._namespace, version, self._metadata_only):
            self._heard = time.monotonic()
            version = resource["metadata"]["resourceVersion"]
            if event == "DELETED":
                self._store.remove(self._namespace, resource["metadata"]["name"])
            elif event != "BOOKMARK":
                self._store.put(resource)
        self._heard = time.monotonic()
        return version
