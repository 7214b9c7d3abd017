"""Reads the world into what the core decides on."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from remediator.adapters.flink_rest import FlinkRest
from remediator.adapters.kube import FLINK_DEPLOYMENTS, POLICIES, Kube
from remediator.adapters.prometheus import Answer, Prometheus
from remediator.api.diagnosis import Diagnosis
from remediator.api.policy import PolicySpec, RevertAfter
from remediator.api.reasons import Reason
from remediator.core.flinkdeployment import FlinkDeployment, Unreadable, parse
from remediator.core.snapshot import Job, Snapshot
from remediator.core.template import TemplateError, quiet_query, render
from remediator.core.verification import Observation
from remediator.services.diagnose import Diagnoser
from remediator.services.index import Policy, PolicyIndex, TargetIndex, to_policy
from remediator.services.records import Records
from remediator.services.resources import Remediation
from remediator.services.stop import StopSwitch

Clock = Callable[[], datetime]

_ASKED_BY = frozenset({Reason.APPROVAL_REQUIRED, Reason.STORM})
# A person who was asked agrees to what was seen then: so long a plan, which may rest on it, stays the same.
_ASKED_FOR = timedelta(minutes=15)


RightNow = tuple[Policy | None, FlinkDeployment | Unreadable | None, tuple[str, ...]]
"""The policy, the target and the requests to stop everything, as the API server has them."""


class Gatherer:
    """Reads from all outside systems; writes nowhere."""

    def __init__(
        self,
        kube: Kube,
        flink: FlinkRest,
        prometheus: Prometheus,
        records: Records,
        policies: PolicyIndex,
        targets: TargetIndex,
        switch: StopSwitch,
        clock: Clock,
        diagnoser: Diagnoser | None = None,
    ) -> None:
        """``targets`` may know no FlinkDeployments. Without a diagnoser, nobody looks at what the jobs do."""
        self._kube = kube
        self._diagnoser = diagnoser
        self._flink = flink
        self._prometheus = prometheus
        self._records = records
        self._policies = policies
        self._targets = targets
        self._switch = switch
        self._clock = clock

    async def policy(self, remediation: Remediation) -> Policy | None:
        """Return the remediation's policy, or None when it is gone."""
        # One that was made a moment ago may not have been seen yet.
        return self._policies.get(remediation.spec.policy_ref.name) or await self.policy_now(remediation)

    async def policy_now(self, remediation: Remediation) -> Policy | None:
        """Return the remediation's policy as the API server has it at this moment, or None when it is gone."""
        resource = await self._kube.get(POLICIES, remediation.namespace, remediation.spec.policy_ref.name)
        return None if resource is None else to_policy(resource)

    async def right_now(self, remediation: Remediation) -> RightNow:
        """Return what a patch depends on as the API server has it at this moment."""

        async def target() -> FlinkDeployment | Unreadable | None:
            try:
                return await self.target(remediation)
            except Unreadable as error:
                return error

        return await asyncio.gather(self.policy_now(remediation), target(), self._switch.read())

    async def snapshot(self, remediation: Remediation, policy: PolicySpec, exact: bool = True) -> Snapshot:
        """Return all that a decision on this remediation rests on; unless it must be ``exact``, with the target as the
        watch has brought it."""
        unreadable = ""
        try:
            target = (None if exact else self._watched_target(remediation)) or await self.target(remediation)
        except Unreadable as error:
            target, unreadable = None, str(error)
        storm = policy.guards.storm is not None
        job = await self._job(target)
        return replace(
            self.at_hand(remediation, policy, target),
            unreadable=unreadable,
            job=job,
            diagnosis=await self._diagnosis(remediation, policy, target, job),
            siblings=self._records.siblings(remediation.name, remediation.spec.target, storm),
        )

    async def observation(self, remediation: Remediation, policy: PolicySpec) -> Observation:
        """Return what is to be seen of a target that was patched, and of the policy's query."""
        seen = await self.seen(remediation)
        if policy.verify.query is None:
            return seen
        answer = await self._query(remediation, policy.verify.query)
        return replace(
            seen,
            now=self._clock(),
            query_holds=answer.holds,
            query_value=answer.value,
            query_trouble=answer.trouble,
        )

    async def seen(self, remediation: Remediation) -> Observation:
        """Return what is to be seen of a target itself."""
        try:
            target = await self.target(remediation)
        except Unreadable as error:
            return Observation(now=self._clock(), target=None, job=None, query_holds=None, unreadable=str(error))
        return Observation(now=self._clock(), target=target, job=await self._job(target), query_holds=None)

    def at_hand(self, remediation: Remediation, policy: PolicySpec, target: FlinkDeployment | None) -> Snapshot:
        """Return a snapshot of what was just read, without asking any other system."""
        return Snapshot(
            now=self._clock(),
            name=remediation.name,
            namespace=remediation.namespace,
            alert=remediation.spec.alert,
            resolved=remediation.resolved,
            silenced=remediation.silenced,
            stops=self._switch.requests,
            target_ref=remediation.spec.target,
            policy=policy,
            target=target,
            job=None,
            progress=remediation.progress,
            uid=remediation.uid,
            created=remediation.created,
            incident=remediation.incident,
        )

    async def target(self, remediation: Remediation) -> FlinkDeployment | None:
        """Return the FlinkDeployment of a remediation, or None when there is none. Raises Unreadable."""
        ref = remediation.spec.target
        if not ref.uid:
            return None
        resource = await self._kube.get(FLINK_DEPLOYMENTS, ref.namespace, ref.name)
        return None if resource is None else parse(resource)

    def _watched_target(self, remediation: Remediation) -> FlinkDeployment | None:
        ref = remediation.spec.target
        known = self._targets.get(ref.namespace, ref.name)
        return known.deployment if known is not None and known.ref.uid == ref.uid else None

    async def been_quiet(self, remediation: Remediation, after: RevertAfter) -> bool:
        """Tell whether the query of a scale-back has held all through its quiet period."""
        return bool((await self._query(remediation, quiet_query(after))).holds)

    async def _query(self, remediation: Remediation, template: str) -> Answer:
        spec = remediation.spec
        try:
            query = render(template, spec.alert.labels, spec.target)
        except TemplateError as error:
            return Answer(None, trouble=str(error))
        return await self._prometheus.query(query)

    async def _diagnosis(
        self, remediation: Remediation, policy: PolicySpec, target: FlinkDeployment | None, job: Job | None
    ) -> Diagnosis | None:
        status = remediation.status
        # Nothing is decided any more about one that has ended, which is looked at before it is taken or given back.
        if self._diagnoser is None or target is None or not target.opted_in or status.phase.terminal:
            return None
        if status.step < len(policy.actions) and policy.actions[status.step].depends_on_nothing:
            return None
        last = status.diagnosis
        if last is not None and status.reason in _ASKED_BY and self._clock() - last.time < _ASKED_FOR:
            return last
        return await self._diagnoser.diagnose(target, job, remediation.spec.alert.labels)

    async def _job(self, target: FlinkDeployment | None) -> Job | None:
        if target is None or not target.job_id:
            return None
        return await self._flink.job(target.namespace, target.name, target.job_id)
