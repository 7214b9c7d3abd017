"""What the controller knows of all FlinkRemediations: those in work as they are, of the ended ones what others need.

Cooldowns, budgets, storms and retention are judged from here. It is filled from pages of all records at start; then
kopf's watch brings the records in work, another one the metadata of all, and what this process writes comes at once.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from remediator.adapters.kube import REMEDIATIONS, Kube, Resource
from remediator.api.names import ENDED_LABEL, RESOLVED_ANNOTATION, RETRY_ANNOTATION, TARGET_LABEL
from remediator.api.reasons import Phase
from remediator.api.remediation import TargetReference
from remediator.core.naming import target_hash
from remediator.core.snapshot import Sibling
from remediator.services.resources import (
    has_ended,
    in_phase_since,
    is_reversible,
    needs_work,
    read_remediation,
    read_sibling,
)
from remediator.telemetry import metrics


@dataclass(frozen=True, slots=True)
class Record:
    """A FlinkRemediation."""

    sibling: Sibling
    policy: str
    """Name of its policy."""
    uid: str
    version: int
    """resourceVersion of the metadata that are known."""
    target_hash: str
    ended: bool
    """Whether nothing more happens to it by itself."""
    in_work: bool
    """Whether somebody has to work on it."""
    scaled: bool
    """Whether it has ended, and was the one to scale its target in place."""
    reversible: bool
    """Whether it has ended with a scale that may be taken back."""
    reverting: bool
    """Whether taking it back was begun."""
    resource: Resource | None
    """As it is; None where it has ended."""
    resource_version: int = 0
    """resourceVersion of ``resource``; 0 where it is known to be an old one."""
    retry: str | None = None
    """What a person asks for by the annotation."""


class Records:
    """All FlinkRemediations of a namespace; a :class:`~remediator.adapters.reflector.Store` of their metadata."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._by_target: defaultdict[str, set[str]] = defaultdict(set)
        self._unresolved: set[str] = set()
        self._references: dict[str, TargetReference] = {}
        self._to_be_looked_at: asyncio.Queue[str] = asyncio.Queue()

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._records.values()))

    def __len__(self) -> int:
        return len(self._records)

    def get(self, name: str) -> Record | None:
        """Return what is known of a FlinkRemediation."""
        return self._records.get(name)

    def in_work(self) -> int:
        """Return how many somebody has to work on."""
        return sum(record.in_work for record in self)

    async def load(self, kube: Kube, namespace: str) -> None:
        """Take all there are. Raises KubeError."""
        async for page in kube.pages(REMEDIATIONS, namespace):
            async for resource in page.in_turns():
                self.take(resource)

    async def refresh(self, kube: Kube, namespace: str, target: TargetReference) -> None:
        """Read those of a target anew. Raises KubeError."""
        key = target_hash(target)
        resources = await kube.list_all(REMEDIATIONS, namespace, f"{TARGET_LABEL}={key}")
        for name in self._by_target.get(key, set()) - {resource["metadata"]["name"] for resource in resources}:
            self.remove(namespace, name)
        for resource in resources:
            self.take(resource)

    def current(self, name: str) -> Resource | None:
        """Return a FlinkRemediation in work, where it is at hand as it is now; else it is to be read."""
        record = self._records.get(name)
        return record.resource if record is not None and record.resource_version else None

    def invalidate(self, name: str) -> None:
        """Note that a FlinkRemediation has changed."""
        record = self._records.get(name)
        if record is not None:
            self._records[name] = replace(record, resource_version=0)

    def siblings(self, name: str, target: TargetReference, storm: bool) -> tuple[Sibling, ...]:
        """Return the other FlinkRemediations of a target; ``storm``: those of other targets whose alerts fire, too."""
        names = self._by_target.get(target_hash(target), set()) - {name}
        others = self._unresolved - names - {name} if storm else set()
        # One that cannot be read is known to be about the target by its label.
        mine = (replace(self._records[n].sibling, target=target) for n in sorted(names))
        return (*mine, *(self._records[n].sibling for n in sorted(others)))

    def take(self, resource: Resource) -> bool:
        """Take a FlinkRemediation as it is; returns whether it was not known like this."""
        metadata, status = resource["metadata"], resource.get("status") or {}
        name, version = metadata["name"], int(metadata["resourceVersion"])
        known = self._records.get(name)
        if known is not None and known.uid == metadata["uid"] and version <= known.resource_version:
            return False
        sibling = read_sibling(resource, known.sibling.target if known else None)
        sibling = replace(sibling, target=self._references.setdefault(target_hash(sibling.target), sibling.target))
        ended, in_work = has_ended(metadata, status), needs_work(metadata, status)
        self._put(
            Record(
                sibling,
                policy=str(((resource.get("spec") or {}).get("policyRef") or {}).get("name")),
                uid=metadata["uid"],
                version=max(version, known.version if known and known.uid == metadata["uid"] else 0),
                target_hash=(metadata.get("labels") or {}).get(TARGET_LABEL) or target_hash(sibling.target),
                ended=ended,
                in_work=in_work,
                scaled=ended and _scaled(status),
                reversible=ended and _reversible(resource),
                reverting=bool((status.get("times") or {}).get("reverting")),
                resource=resource if in_work or not ended else None,
                resource_version=version,
                retry=(metadata.get("annotations") or {}).get(RETRY_ANNOTATION),
            )
        )
        metrics.RECORDS.put(name, *in_phase_since(resource), ended=ended)
        return True

    def put(self, resource: Resource) -> None:
        """Take the metadata of a FlinkRemediation."""
        metadata = resource["metadata"]
        name, version = metadata["name"], int(metadata["resourceVersion"])
        known = self._records.get(name)
        if known is None or known.uid != metadata["uid"]:
            # kopf's watch brings what has not ended.
            if ENDED_LABEL in (metadata.get("labels") or {}):
                self._to_be_looked_at.put_nowait(name)
            return
        if version <= known.version:
            return
        annotations = metadata.get("annotations") or {}
        resolved = RESOLVED_ANNOTATION in annotations
        deleting = bool(metadata.get("deletionTimestamp"))
        retry = annotations.get(RETRY_ANNOTATION)
        if known.ended and (retry != known.retry or (known.sibling.resolved and not resolved)):
            self._to_be_looked_at.put_nowait(name)
        sibling = replace(known.sibling, resolved=resolved, deleting=deleting)
        self._put(
            replace(
                known,
                sibling=sibling,
                version=version,
                retry=retry,
                ended=known.ended or deleting,
                in_work=known.in_work and not deleting,
            )
        )

    def remove(self, namespace: str, name: str) -> None:
        record = self._records.pop(name, None)
        if record is not None:
            metrics.RECORDS.remove(name)
            self._unresolved.discard(name)
            self._by_target[record.target_hash].discard(name)
            if not self._by_target[record.target_hash]:
                del self._by_target[record.target_hash]

    def retain(self, namespace: str, names: set[str]) -> None:
        for name in self._records.keys() - names:
            self.remove(namespace, name)

    async def next_to_be_looked_at(self) -> str:
        """Wait for a FlinkRemediation that has ended and changed so that somebody should look at it."""
        return await self._to_be_looked_at.get()

    def _put(self, record: Record) -> None:
        name = record.sibling.name
        self._records[name] = record
        self._by_target[record.target_hash].add(name)
        if record.sibling.resolved or not record.sibling.target.uid:
            self._unresolved.discard(name)
        else:
            self._unresolved.add(name)


def _scaled(status: dict[str, Any]) -> bool:
    return bool((status.get("plan") or {}).get("vertices")) and bool(status.get("attempts"))


def _reversible(resource: Resource) -> bool:
    if (resource.get("status") or {}).get("phase") != Phase.SUCCEEDED:
        return False
    try:
        return is_reversible(read_remediation(resource).status)
    except ValidationError:
        return False
