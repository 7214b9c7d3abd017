"""A Kubernetes API server in memory, for the services above the ``Kube`` protocol: what the real one promises about
versions, generations, subresources and patches, and ways to fail before and after each request."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any

import jsonpatch
import jsonpointer
from jsonschema import Draft4Validator
from remediator.adapters.kube import (
    FLINK_DEPLOYMENTS,
    POLICIES,
    REMEDIATIONS,
    AlreadyExists,
    Conflict,
    Kind,
    NotFound,
    Page,
    Rejected,
    Resource,
)
from remediator.api import crds

Clock = Callable[[], datetime]

WITH_STATUS = frozenset({POLICIES, REMEDIATIONS, FLINK_DEPLOYMENTS})
"""Kinds with a status subresource: whoever writes the rest does not write it, and the other way round."""


@dataclass(frozen=True)
class Request:
    """A request, as a test may want to delay it, to fail it or to look at it."""

    verb: str
    kind: Kind
    name: str
    body: Any = None
    """What is sent: the resource, or the operations of a patch."""
    by: str = ""
    """Field manager."""

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.verb not in ("get", "list")


async def at_once(_: Request) -> None:
    """Let a request through."""


class ApiServer:
    """Implements ``remediator.adapters.kube.Kube``.

    ``before`` is awaited before a request has an effect, ``after`` when it has had it and the answer is under way: each
    may let other tasks run, or raise what the caller is to see. ``requests`` keeps all of them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._objects: dict[tuple[Kind, str, str], Resource] = {}
        self._versions = count(1)
        self._events: list[tuple[int, Kind, str, Resource]] = []
        """What has happened to objects: version, kind, type and the object."""
        self._watches: list[Watch] = []
        self._schemas = _schemas()
        self.late = False
        """Whether no watch brings what changes, for now."""
        self.before: Callable[[Request], Awaitable[None]] = at_once
        self.after: Callable[[Request], Awaitable[None]] = at_once
        self.requests: list[Request] = []

    def client(self, manager: str) -> "Client":
        """Return a client that writes as this field manager."""
        return Client(self, manager)

    def stored(self, kind: Kind) -> list[Resource]:
        """Return copies of all objects of a kind, the oldest first, without a request."""
        return [copied(o) for (k, *_), o in self._objects.items() if k == kind]

    def put(self, kind: Kind, resource: Resource) -> Resource:
        """Store an object as it is, without a request or a look at its schema: what another version left behind, or
        what somebody who is no part of the test has made."""
        resource = copied(resource)
        metadata = resource["metadata"]
        made = {"uid": f"uid-{next(self._versions)}", "generation": 1, "creationTimestamp": _time(self._clock())}
        resource["metadata"] = {**made, **metadata}
        return copied(self._store(kind, resource, {}, "somebody", ""))

    def find(self, kind: Kind, namespace: str, name: str) -> Resource | None:
        """Return a copy of an object without a request."""
        return copied(self._objects.get((kind, namespace, name)))

    def events(self, kind: Kind, namespace: str, since: int) -> list[tuple[int, str, Resource]]:
        """Return what has happened to the objects of a kind in a namespace after a version."""
        return [
            (version, event, resource)
            for version, k, event, resource in self._events
            if k == kind and version > since and resource["metadata"]["namespace"] == namespace
        ]

    @property
    def version(self) -> int:
        """The version of the last change."""
        return self._events[-1][0] if self._events else 0

    def watch(self) -> "Watch":
        """Register a watch."""
        watch = Watch()
        self._watches.append(watch)
        return watch

    def forget(self, watch: "Watch") -> None:
        """Forget a watch that has ended."""
        self._watches.remove(watch)

    @property
    def all_told(self) -> bool:
        """Whether every watch has brought what there is to bring."""
        return all(watch.waits for watch in self._watches)

    async def carry_out(self, request: Request, effect: Callable[[], Resource]) -> Resource:
        """Note a request, and do it between the two hooks."""
        copied(request.body)
        self.requests.append(request)
        await self.before(request)
        answer = copied(effect())
        await self.after(request)
        return answer

    def create(self, kind: Kind, namespace: str, body: Resource, manager: str) -> Resource:
        """Store a new object."""
        new = copied(body)
        metadata = new.setdefault("metadata", {})
        version = next(self._versions)
        name = metadata.setdefault("name", f"{metadata.get('generateName', '')}{version}")
        if (kind, namespace, name) in self._objects:
            raise AlreadyExists(f'{kind.plural} "{name}" already exists')
        if kind in WITH_STATUS:
            new.pop("status", None)
        metadata |= {
            "namespace": namespace,
            "uid": f"uid-{version}",
            "generation": 1,
            "creationTimestamp": _time(self._clock()),
            "managedFields": [],
        }
        self._validate(kind, new, {})
        return self._store(kind, new, {}, manager, "")

    def update(
        self, kind: Kind, namespace: str, name: str, change: Callable[[Resource], Resource], manager: str, sub: str = ""
    ) -> Resource:
        """Store what ``change`` makes of an object; ``sub`` is a subresource."""
        old = self._objects.get((kind, namespace, name))
        if old is None:
            raise NotFound(f'{kind.plural} "{name}" not found')
        wanted = change(copied(old))
        version = wanted.get("metadata", {}).get("resourceVersion")
        if version not in (None, old["metadata"]["resourceVersion"]):
            raise Conflict(f'{kind.plural} "{name}": the object has been modified')
        if sub == "status":
            new = {**copied(old), "status": wanted.get("status")}
        else:
            new = copied(wanted)
            for key in ("uid", "creationTimestamp", "generation", "deletionTimestamp", "managedFields"):
                _put_back(new["metadata"], old["metadata"], key)
            if kind in WITH_STATUS:
                _put_back(new, old, "status")
        if kind == REMEDIATIONS and new["spec"] != old["spec"]:
            raise Rejected("spec is immutable")
        self._validate(kind, new, old)
        if _without_metadata(new) != _without_metadata(old):
            new["metadata"]["generation"] += 1
        if new == old:
            return old
        new = self._store(kind, new, old, manager, sub)
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            self._remove(kind, new)
        return new

    def delete(self, kind: Kind, namespace: str, name: str, version: str) -> Resource:
        """Take an object away, or mark it as deleted where finalizers hold it."""
        old = self._objects.get((kind, namespace, name))
        if old is None:
            return {}
        if version and version != old["metadata"]["resourceVersion"]:
            raise Conflict(f"{name}: the precondition on resourceVersion does not hold")
        if old["metadata"].get("finalizers"):
            marked = copied(old)
            marked["metadata"]["deletionTimestamp"] = _time(self._clock())
            return self._store(kind, marked, old, "", "")
        self._remove(kind, old)
        return {}

    def _remove(self, kind: Kind, old: Resource) -> None:
        metadata = old["metadata"]
        del self._objects[kind, metadata["namespace"], metadata["name"]]
        gone = copied(old)
        gone["metadata"]["resourceVersion"] = str(next(self._versions))
        self._tell(kind, "DELETED", gone)

    def _tell(self, kind: Kind, event: str, resource: Resource) -> None:
        self._events.append((int(resource["metadata"]["resourceVersion"]), kind, event, resource))
        for watch in self._watches:
            watch.wake()

    def _store(self, kind: Kind, new: Resource, old: Resource, manager: str, sub: str) -> Resource:
        metadata = new["metadata"]
        metadata["resourceVersion"] = str(next(self._versions))
        metadata["managedFields"] = self._managed(new, old, manager, sub)
        self._objects[kind, metadata["namespace"], metadata["name"]] = new
        self._tell(kind, "MODIFIED" if old else "ADDED", new)
        return new

    def _managed(self, new: Resource, old: Resource, manager: str, sub: str) -> list[Resource]:
        """Return who manages what: a changed or added field belongs to its last writer."""
        entries = copied(new["metadata"].get("managedFields") or [])
        before = dict(_fields(old))
        changed = [path for path, value in _fields(new) if before.get(path) != value]
        if not changed:
            return entries
        for entry in entries:
            for path in changed:
                _drop(entry["fieldsV1"], path)
        mine = next((e for e in entries if (e["manager"], e.get("subresource", "")) == (manager, sub)), None)
        if mine is None:
            mine = {"manager": manager, "operation": "Update", "fieldsV1": {}}
            mine |= {"subresource": sub} if sub else {}
            entries.append(mine)
        mine["time"] = _time(self._clock())
        for path in changed:
            node = mine["fieldsV1"]
            for key in path:
                node = node.setdefault(f"f:{key}", {})
        return [entry for entry in entries if entry["fieldsV1"]]

    def _validate(self, kind: Kind, new: Resource, old: Resource) -> None:
        """Refuse what the definition does not allow, unless it was there before (ratcheting)."""
        if kind not in self._schemas or self._schemas[kind].is_valid(new):
            return
        before = {(tuple(e.absolute_path), str(e.instance)) for e in self._schemas[kind].iter_errors(old)}
        for error in self._schemas[kind].iter_errors(new):
            if (tuple(error.absolute_path), str(error.instance)) not in before:
                place = ".".join(map(str, error.absolute_path))
                raise Rejected(f"{kind.plural}: {place}: {error.message[:200]}")


class Watch:
    """Somebody who waits for what happens."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self.waits = False
        """Whether all that has happened was brought."""

    def wake(self) -> None:
        """Something has happened."""
        self.waits = False
        self._news.set()

    async def news(self) -> None:
        """Wait until something happens."""
        self.waits = not self._news.is_set()
        await self._news.wait()
        self._news.clear()


@dataclass(frozen=True)
class Client:
    """One client's view, as the ``Kube`` protocol."""

    server: ApiServer
    manager: str

    async def get(self, kind: Kind, namespace: str, name: str) -> Resource | None:
        """Return an object, or None."""
        answer = await self._read(Request("get", kind, name), lambda: self.server.find(kind, namespace, name) or {})
        return answer or None

    async def list_all(self, kind: Kind, namespace: str, label_selector: str = "") -> list[Resource]:
        """Return the objects of a namespace whose labels are those of the selector (``a=b,!c``)."""

        def matching() -> Resource:
            found = [o for o in self.server.stored(kind) if o["metadata"]["namespace"] == namespace]
            return {"items": [o for o in found if _selected(label_selector, o["metadata"].get("labels") or {})]}

        items: list[Resource] = (await self._read(Request("list", kind, ""), matching))["items"]
        return items

    async def pages(
        self, kind: Kind, namespace: str, label_selector: str = "", metadata_only: bool = False
    ) -> AsyncIterator[Page]:
        """Return the objects of a namespace on one page."""
        version = str(self.server.version)
        items = await self.list_all(kind, namespace, label_selector)
        yield Page([_metadata(item) for item in items] if metadata_only else items, version)

    async def watch(
        self, kind: Kind, namespace: str, version: str, metadata_only: bool = False
    ) -> AsyncIterator[tuple[str, Resource]]:
        """Return what changes after a version, for ever."""
        watch, seen = self.server.watch(), int(version)
        try:
            while True:
                for version_of_event, event, resource in self.server.events(kind, namespace, seen):
                    if self.server.late:
                        break
                    seen = version_of_event
                    told = copied(resource)
                    yield event, _metadata(told) if metadata_only else told
                await watch.news()
        finally:
            self.server.forget(watch)

    async def create(self, kind: Kind, namespace: str, body: Resource) -> Resource:
        """Create an object."""
        name = str(body["metadata"].get("name", ""))
        return await self._write(
            "create", kind, name, body, lambda: self.server.create(kind, namespace, body, self.manager)
        )

    async def replace(self, kind: Kind, namespace: str, name: str, body: Resource) -> Resource:
        """Replace an object at its version."""
        return await self._update("replace", kind, namespace, name, body, lambda _: body)

    async def replace_status(self, kind: Kind, namespace: str, name: str, body: Resource) -> Resource:
        """Replace an object's status at its version."""
        return await self._update("replace_status", kind, namespace, name, body, lambda _: body, "status")

    async def json_patch(self, kind: Kind, namespace: str, name: str, operations: list[Resource]) -> Resource:
        """Apply a JSON patch; a test that does not hold is a Conflict."""

        def patched(old: Resource) -> Resource:
            try:
                new: Resource = jsonpatch.JsonPatch(operations).apply(old)
            except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
                raise Conflict(f"the server rejected our request due to an error in our request: {error}") from error
            return new

        return await self._update("json_patch", kind, namespace, name, operations, patched)

    async def merge_patch(self, kind: Kind, namespace: str, name: str, body: Resource) -> Resource:
        """Apply a merge patch; it may name a resourceVersion."""
        return await self._update("merge_patch", kind, namespace, name, body, lambda old: _merge(old, body))

    async def delete(self, kind: Kind, namespace: str, name: str, resource_version: str = "") -> None:
        """Delete an object."""
        await self._write(
            "delete", kind, name, None, lambda: self.server.delete(kind, namespace, name, resource_version)
        )

    async def _update(
        self,
        verb: str,
        kind: Kind,
        namespace: str,
        name: str,
        body: Any,
        change: Callable[[Resource], Resource],
        sub: str = "",
    ) -> Resource:
        return await self._write(
            verb, kind, name, body, lambda: self.server.update(kind, namespace, name, change, self.manager, sub)
        )

    async def _read(self, request: Request, effect: Callable[[], Resource]) -> Resource:
        return await self.server.carry_out(request, effect)

    async def _write(self, verb: str, kind: Kind, name: str, body: Any, effect: Callable[[], Resource]) -> Resource:
        return await self.server.carry_out(Request(verb, kind, name, copied(body), self.manager), effect)


@cache
def _schemas() -> dict[Kind, Draft4Validator]:
    """The definitions' schemas; the old draft has exclusiveMinimum as structural schemas do. Rules in CEL are not
    evaluated."""
    kinds = {kind.plural: kind for kind in (POLICIES, REMEDIATIONS)}
    return {
        kinds[crd["spec"]["names"]["plural"]]: Draft4Validator(
            _nullable(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
        )
        for crd in crds.definitions()
    }


def _nullable(schema: Any) -> Any:
    """Say ``nullable``, which JSON Schema does not know, in its words."""
    if isinstance(schema, list):
        return [_nullable(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    said = {key: _nullable(part) for key, part in schema.items()}
    return {**said, "type": [said["type"], "null"]} if said.get("nullable") is True else said


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def copied(body: Any) -> Any:
    """Return what comes out of a body that was sent as JSON: a copy. Raises Rejected for what is no JSON."""
    try:
        return json.loads(json.dumps(body, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise Rejected(f"not JSON: {error}") from error


def _metadata(resource: Resource) -> Resource:
    return {"metadata": resource["metadata"]}


def _selected(selector: str, labels: dict[str, str]) -> bool:
    for requirement in filter(None, selector.split(",")):
        key, equals, value = requirement.partition("=")
        if (key[1:] in labels) if not equals else (labels.get(key) != value):
            return False
    return True


def _put_back(new: Resource, old: Resource, key: str) -> None:
    new.pop(key, None)
    if key in old:
        new[key] = copied(old[key])


def _without_metadata(resource: Resource) -> Resource:
    return {key: value for key, value in resource.items() if key not in ("metadata", "status")}


def _merge(old: Any, change: Any) -> Any:
    if not isinstance(change, dict):
        return change
    merged = dict(old) if isinstance(old, dict) else {}
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged


def _fields(resource: Resource) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield what managers own: annotations and labels, and the fields of spec and status as far as maps go."""

    def leaves(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        if isinstance(node, dict) and node:
            for key, value in node.items():
                yield from leaves(value, (*path, key))
        elif node is not None:
            yield path, node

    metadata = resource.get("metadata") or {}
    yield from leaves({"metadata": {k: metadata.get(k) for k in ("annotations", "labels")}}, ())
    yield from leaves({k: resource.get(k) for k in ("spec", "status")}, ())


def _drop(node: Resource, path: tuple[str, ...]) -> None:
    key, rest = f"f:{path[0]}", path[1:]
    if key not in node:
        return
    if rest:
        _drop(node[key], rest)
    if not node[key] or not rest:
        del node[key]
