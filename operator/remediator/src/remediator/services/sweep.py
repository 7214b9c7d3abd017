"""What is done about remediations that have ended: old records go, a scale that helped is taken back when it is no
longer needed, and what the owner changes since takes effect."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import ValidationError

from remediator.adapters.kube import POLICIES, REMEDIATIONS, Kube, KubeError
from remediator.api.names import ENDED_LABEL
from remediator.api.policy import Matcher, PolicySpec, PolicyStatus, TargetSelector
from remediator.core.flinkdeployment import Unreadable
from remediator.core.history import Record as Remains
from remediator.core.history import expendable, remembered, surplus
from remediator.core.policy_status import policy_status
from remediator.services.gather import Clock
from remediator.services.handback import HandBack
from remediator.services.index import Policy, PolicyIndex, TargetIndex
from remediator.services.records import Record, Records
from remediator.services.resources import Remediation, dump, read_remediation
from remediator.services.scale_back import ScaleBack

log = logging.getLogger(__name__)

# The limits for what a deleted policy left behind.
_DEFAULTS = PolicySpec(
    match=(Matcher(label="alertname", value=""),), target=TargetSelector(name="none"), actions=({"type": "Restart"},)
)
_AT_A_TIME = 200
"""Records that are looked at before others get their turn: some milliseconds."""


@dataclass
class Swept:
    """What a sweep came across."""

    in_work: dict[str, datetime] = field(default_factory=dict)
    """Remediations that somebody has to work on, with the moment of their creation."""
    deleted: list[str] = field(default_factory=list)
    scaled_back: list[str] = field(default_factory=list)
    handed_back: list[str] = field(default_factory=list)


class Sweeper:
    """Sweeps one namespace. ``total`` is how many records are kept of all policies."""

    def __init__(
        self,
        kube: Kube,
        records: Records,
        policies: PolicyIndex,
        targets: TargetIndex,
        scale_back: ScaleBack,
        hand_back: HandBack,
        namespace: str,
        total: int,
        clock: Clock,
    ) -> None:
        self._kube = kube
        self._records = records
        self._policies = policies
        self._targets = targets
        self._scale_back = scale_back
        self._hand_back = hand_back
        self._namespace = namespace
        self._total = total
        self._clock = clock
        self._seen: dict[str, tuple[str, str, int]] = {}
        """By target, of whom nothing was to be handed back: the record, the FlinkDeployment and its generation."""

    async def sweep(self) -> Swept:
        """Go through all remediations once. Raises KubeError when they cannot be listed."""
        swept = Swept(in_work=await self._in_work())
        policies = {policy.name: policy.spec for policy in self._policies if policy.spec is not None}
        await self._tell_policies()
        # First: what the owner asks for counts more than that it is quiet.
        async for record in self._slowly(self._latest_scales()):
            if await self._hand_back_one(record, policies.get(record.policy)):
                swept.handed_back.append(record.sibling.name)
        async for record in self._slowly(self._reversible(policies)):
            if record.sibling.name not in swept.handed_back and await self._scale_back_one(
                record, policies.get(record.policy)
            ):
                swept.scaled_back.append(record.sibling.name)
        for name in await self._to_be_deleted(policies):
            await self._kube.delete(REMEDIATIONS, self._namespace, name)
            self._records.remove(self._namespace, name)
            swept.deleted.append(name)
        if swept.deleted:
            log.info(
                "old remediations deleted", extra={"remediations": swept.deleted[:100], "count": len(swept.deleted)}
            )
        return swept

    async def _in_work(self) -> dict[str, datetime]:
        """Ask the API server, without any watch, what somebody has to work on."""
        found = {}
        async for page in self._kube.pages(REMEDIATIONS, self._namespace, f"!{ENDED_LABEL}", metadata_only=True):
            for resource in page.items:
                metadata = resource["metadata"]
                record = self._records.get(metadata["name"])
                if record is None or record.in_work:
                    found[metadata["name"]] = datetime.fromisoformat(metadata["creationTimestamp"])
        return found

    async def _slowly(self, records: Iterable[Record]) -> AsyncIterator[Record]:
        for number, record in enumerate(records):
            if number % _AT_A_TIME == _AT_A_TIME - 1:
                await asyncio.sleep(0)
            yield record

    async def _tell_policies(self) -> None:
        """Write into each policy what is known of it."""
        of_policy: defaultdict[str, list[tuple[datetime, bool]]] = defaultdict(list)
        async for record in self._slowly(self._records):
            of_policy[record.policy].append((record.sibling.created, record.sibling.phase.terminal))
        for policy in self._policies:
            if policy.problem:
                log.error("policy cannot be read", extra={"policy": policy.name, "error": policy.problem})
            try:
                await self._tell(policy, of_policy[policy.name])
            except KubeError as error:
                log.warning("status of a policy not written", extra={"policy": policy.name, "error": str(error)})

    async def _tell(self, policy: Policy, records: list[tuple[datetime, bool]]) -> None:
        resource = policy.resource
        try:
            before = PolicyStatus.model_validate(resource.get("status") or {})
        except ValidationError:
            before = PolicyStatus()  # of a newer version; it is written anew
        generation = resource["metadata"].get("generation") or 0
        after = policy_status(before, generation, policy.problem, records, self._clock())
        if dump(after) != resource.get("status"):
            body = {**resource, "status": dump(after)}
            self._policies.put(await self._kube.replace_status(POLICIES, self._namespace, policy.name, body))

    def _latest_scales(self) -> list[Record]:
        """Return the record that scaled each FlinkDeployment last, where that has changed since the last look."""
        latest: dict[str, Record] = {}
        for record in self._records:
            if record.scaled and record.sibling.actions:
                known = latest.get(record.target_hash)
                if known is None or known.sibling.actions[-1] < record.sibling.actions[-1]:
                    latest[record.target_hash] = record
        return [record for record in latest.values() if not self._seen_already(record)]

    def _seen_already(self, record: Record) -> bool:
        ref = record.sibling.target
        target = self._targets.get(ref.namespace, ref.name)
        seen = self._seen.get(record.target_hash)
        return target is not None and seen == (record.uid, target.ref.uid, target.generation)

    async def _hand_back_one(self, record: Record, policy: PolicySpec | None) -> bool:
        ref = record.sibling.target
        target = self._targets.get(ref.namespace, ref.name)
        try:
            remediation = await self._read(record)
            looked = await self._hand_back.look(remediation, policy) if remediation else None
        except (KubeError, Unreadable, ValidationError) as error:
            log.warning("not handed back", extra={"remediation": record.sibling.name, "error": str(error)})
            return False
        if looked is None and target is not None:
            self._seen[record.target_hash] = (record.uid, target.ref.uid, target.generation)
        return bool(looked)

    def _reversible(self, policies: dict[str, PolicySpec]) -> list[Record]:
        """Return those whose scale may be due to be taken back, or was begun to be."""
        found = []
        for record in self._records:
            if record.reversible:
                policy = policies.get(record.policy)
                after = policy.revert.after if policy is not None else None
                finished = record.sibling.finished
                due = after is not None and finished is not None and self._clock() - finished >= after.quiet_for
                if due or record.reverting:
                    found.append(record)
        return found

    async def _scale_back_one(self, record: Record, policy: PolicySpec | None) -> bool:
        try:
            remediation = await self._read(record)
            return remediation is not None and await self._scale_back.step(remediation, policy)
        except (KubeError, Unreadable, ValidationError) as error:
            log.warning("not scaled back", extra={"remediation": record.sibling.name, "error": str(error)})
            return False

    async def _read(self, record: Record) -> Remediation | None:
        resource = await self._kube.get(REMEDIATIONS, self._namespace, record.sibling.name)
        if resource is None:
            self._records.remove(self._namespace, record.sibling.name)
            return None
        return read_remediation(resource)

    async def _to_be_deleted(self, policies: dict[str, PolicySpec]) -> list[str]:
        groups: defaultdict[tuple[str, str], list[Remains]] = defaultdict(list)
        async for record in self._slowly(self._records):
            groups[record.policy, record.target_hash].append(_remains(record))
        needed, now, names = remembered(policies.values()), self._clock(), list[str]()
        left: list[Remains] = []
        for (policy_name, _), remains in groups.items():
            policy = policies.get(policy_name, _DEFAULTS)
            ttl = max(policy.ttl, needed)
            gone = set(expendable(remains, now, policy.history_limit, ttl, policy.guards.max_alert_age))
            names += gone
            left += [r for r in remains if r.name not in gone]
        oldest = max([p.guards.max_alert_age for p in (*policies.values(), _DEFAULTS)], default=timedelta(0))
        return names + surplus(left, now, self._total, needed, oldest)


def _remains(record: Record) -> Remains:
    sibling = record.sibling
    return Remains(
        name=sibling.name,
        created=sibling.created,
        finished=(sibling.finished or sibling.created) if sibling.phase.terminal else None,
        alert_started=sibling.starts_at or sibling.created,
        resolved=sibling.resolved,
        acted=max(sibling.actions, default=None),
    )
