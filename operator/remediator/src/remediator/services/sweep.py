"""What is done about remediations that have ended: old records go, and a scale that helped is taken back when it is
no longer needed."""

import json
import logging
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError

from remediator.adapters.kube import FLINK_DEPLOYMENTS, POLICIES, REMEDIATIONS, Conflict, Kube, KubeError
from remediator.api.names import PLAN_ANNOTATION
from remediator.api.policy import Matcher, Mode, PolicySpec, TargetSelector
from remediator.api.reasons import Phase, Reason
from remediator.core.guards import SCALE_BACK_CHAIN, first_objection
from remediator.core.history import Record, expendable, remembered
from remediator.core.patch import inverse_id
from remediator.core.record import advance
from remediator.core.verification import still_asked
from remediator.services.gather import Clock, Gatherer
from remediator.services.recorder import Recorder
from remediator.services.resources import Remediation, read_policy, read_remediation

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


class Sweeper:
    """Sweeps one namespace."""

    def __init__(self, kube: Kube, gatherer: Gatherer, recorder: Recorder, namespace: str, clock: Clock) -> None:
        self._kube = kube
        self._gatherer = gatherer
        self._recorder = recorder
        self._namespace = namespace
        self._clock = clock

    async def sweep(self) -> Swept:
        """Go through all remediations once. Raises KubeError when they cannot be listed."""
        swept = Swept()
        remediations = await self._remediations()
        self._recorder.show(remediations)
        policies = await self._policies()
        for remediation in remediations:
            if not remediation.status.phase.terminal:
                swept.in_flight[remediation.name] = remediation.created
        for remediation in remediations:
            policy = policies.get(remediation.spec.policy_ref.name)
            try:
                if policy is not None and await self._scale_back(remediation, policy):
                    swept.scaled_back.append(remediation.name)
            except KubeError as error:
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

    async def _policies(self) -> dict[str, PolicySpec]:
        found = {}
        for resource in await self._kube.list_all(POLICIES, self._namespace):
            try:
                found[resource["metadata"]["name"]] = read_policy(resource)
            except ValidationError:
                continue  # the receiver says so
        return found

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

    async def _scale_back(self, remediation: Remediation, policy: PolicySpec) -> bool:
        plan, times, after = remediation.status.plan, remediation.status.times, policy.revert.after
        if after is None or remediation.status.phase is not Phase.SUCCEEDED or plan is None or not plan.inverse:
            return False
        if times.scaled_back is not None or times.finished is None:
            return False
        target = await self._gatherer.target(remediation)
        if target is None:
            return False
        left_behind = target.annotations.get(PLAN_ANNOTATION)
        if times.reverting is not None and left_behind == inverse_id(plan.id):
            return await self._scaled_back(remediation)  # a crash came between patch and record
        now = self._clock()
        if (
            policy.mode is not Mode.ACT
            or now - times.finished < after.quiet_for
            or left_behind != plan.id
            or not still_asked(plan, target)
            or not await self._free_to_scale_back(remediation, policy)
            or not await self._gatherer.been_quiet(remediation, after)
        ):
            return False
        message = f"Quiet enough for parallelism {plan.parallelism_before}."
        status = advance(
            remediation.status,
            now,
            Phase.SUCCEEDED,
            Reason.SCALING_BACK,
            message,
            times=times.model_copy(update={"reverting": now}),
        )
        remediation = await self._recorder.record(remediation, status)
        ref = remediation.spec.target
        try:
            await self._kube.json_patch(FLINK_DEPLOYMENTS, ref.namespace, ref.name, json.loads(plan.inverse))
        except Conflict:
            return False  # somebody was quicker; the next sweep looks again
        return await self._scaled_back(remediation)

    async def _free_to_scale_back(self, remediation: Remediation, policy: PolicySpec) -> bool:
        snapshot = await self._gatherer.snapshot(remediation, policy)
        if any(not sibling.phase.terminal for sibling in snapshot.target_siblings):
            return False  # another alert is about to need what would be taken away
        return first_objection(snapshot, SCALE_BACK_CHAIN) is None

    async def _scaled_back(self, remediation: Remediation) -> bool:
        now, status, plan = self._clock(), remediation.status, remediation.status.plan
        assert plan is not None
        times = status.times.model_copy(update={"scaled_back": now})
        message = f"Helped, and was taken back to parallelism {plan.parallelism_before} after a quiet period."
        await self._recorder.record(
            remediation, advance(status, now, Phase.SUCCEEDED, Reason.SCALED_BACK, message, times=times)
        )
        return True
