"""What is done about remediations that have ended: old records go, a scale that helped is taken back when it is no
longer needed, and what the owner changes since takes effect."""

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError

from remediator.adapters.kube import POLICIES, REMEDIATIONS, Kube, KubeError, Resource
from remediator.api.policy import Matcher, PolicySpec, PolicyStatus, TargetSelector
from remediator.core.flinkdeployment import Unreadable
from remediator.core.history import Record, expendable, remembered
from remediator.core.policy_status import policy_status
from remediator.services.gather import Clock
from remediator.services.handback import HandBack, latest_scales
from remediator.services.recorder import Recorder
from remediator.services.resources import Remediation, dump, first_error, needs_work, read_policy, read_remediation
from remediator.services.scale_back import ScaleBack

log = logging.getLogger(__name__)

# The limits for what a deleted policy left behind.
_DEFAULTS = PolicySpec(
    match=(Matcher(label="alertname", value=""),), target=TargetSelector(name="none"), actions=({"type": "Restart"},)
)


@dataclass
class Swept:
    """What a sweep came across."""

    in_flight: dict[str, datetime] = field(default_factory=dict)
    """Remediations that have not ended, with the moment of their creation."""
    deleted: list[str] = field(default_factory=list)
    scaled_back: list[str] = field(default_factory=list)
    handed_back: list[str] = field(default_factory=list)


class Sweeper:
    """Sweeps one namespace."""

    def __init__(
        self, kube: Kube, scale_back: ScaleBack, hand_back: HandBack, recorder: Recorder, namespace: str, clock: Clock
    ) -> None:
        self._kube = kube
        self._scale_back = scale_back
        self._hand_back = hand_back
        self._recorder = recorder
        self._namespace = namespace
        self._clock = clock

    async def sweep(self) -> Swept:
        """Go through all remediations once. Raises KubeError when they cannot be listed."""
        swept = Swept()
        remediations = await self._remediations()
        self._recorder.show(remediations)
        policies = await self._policies(remediations)
        for remediation in remediations:
            if needs_work(remediation.resource["metadata"], remediation.resource.get("status") or {}):
                swept.in_flight[remediation.name] = remediation.created
        # First: what the owner asks for counts more than that it is quiet.
        for remediation in latest_scales(remediations):
            try:
                if await self._hand_back.look(remediation, policies.get(remediation.spec.policy_ref.name)):
                    swept.handed_back.append(remediation.name)
            except (KubeError, Unreadable) as error:
                log.warning("not handed back", extra={"remediation": remediation.name, "error": str(error)})
        for remediation in remediations:
            if remediation.name in swept.handed_back:
                continue
            policy = policies.get(remediation.spec.policy_ref.name)
            try:
                if await self._scale_back.step(remediation, policy):
                    swept.scaled_back.append(remediation.name)
            except (KubeError, Unreadable) as error:
                log.warning("not scaled back", extra={"remediation": remediation.name, "error": str(error)})
        for name in self._expendable(remediations, policies):
            await self._kube.delete(REMEDIATIONS, self._namespace, name)
            swept.deleted.append(name)
        if swept.deleted:
            log.info("old remediations deleted", extra={"remediations": swept.deleted})
        return swept

    async def _remediations(self) -> list[Remediation]:
        found = []
        for resource in await self._kube.list_all(REMEDIATIONS, self._namespace):
            try:
                found.append(read_remediation(resource))
            except ValidationError as error:
                log.error("remediation cannot be read", extra={"error": str(error), **resource["metadata"]})
        return found

    async def _policies(self, remediations: list[Remediation]) -> dict[str, PolicySpec]:
        """Return the policies that can be read, and write into each what is known of it."""
        found = {}
        for resource in await self._kube.list_all(POLICIES, self._namespace):
            name, problem = resource["metadata"]["name"], ""
            try:
                found[name] = read_policy(resource)
            except ValidationError as error:
                problem = first_error(error)
                log.error("policy cannot be read", extra={"policy": name, "error": problem})
            records = [(r.created, r.status.phase.terminal) for r in remediations if r.spec.policy_ref.name == name]
            try:
                await self._tell(resource, problem, records)
            except KubeError as error:
                log.warning("status of a policy not written", extra={"policy": name, "error": str(error)})
        return found

    async def _tell(self, resource: Resource, problem: str, records: list[tuple[datetime, bool]]) -> None:
        metadata = resource["metadata"]
        try:
            before = PolicyStatus.model_validate(resource.get("status") or {})
        except ValidationError:
            before = PolicyStatus()  # of a newer version; it is written anew
        after = policy_status(before, metadata.get("generation") or 0, problem, records, self._clock())
        if dump(after) != resource.get("status"):
            body = {**resource, "status": dump(after)}
            await self._kube.replace_status(POLICIES, self._namespace, metadata["name"], body)

    def _expendable(self, remediations: list[Remediation], policies: dict[str, PolicySpec]) -> list[str]:
        groups: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
        for r in remediations:
            ended = r.status.phase.terminal
            finished = (r.status.times.scaled_back or r.status.times.finished or r.created) if ended else None
            record = Record(r.name, r.created, finished, r.spec.alert.starts_at, r.resolved)
            groups[r.spec.policy_ref.name, r.spec.target.namespace, r.spec.target.name].append(record)
        names = []
        needed = remembered(policies.values())
        for (policy_name, *_), records in groups.items():
            policy = policies.get(policy_name, _DEFAULTS)
            ttl = max(policy.ttl, needed)
            names += expendable(records, self._clock(), policy.history_limit, ttl, policy.guards.max_alert_age)
        return names
