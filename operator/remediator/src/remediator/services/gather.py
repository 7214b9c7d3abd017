"""Reads the world into what the core decides on."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from remediator.adapters.flink_rest import FlinkRest
from remediator.adapters.kube import FLINK_DEPLOYMENTS, POLICIES, REMEDIATIONS, Kube
from remediator.adapters.prometheus import Answer, Prometheus
from remediator.api.names import TARGET_LABEL
from remediator.api.policy import ActionType, PolicySpec, RevertAfter
from remediator.core.flinkdeployment import FlinkDeployment, Unreadable, parse
from remediator.core.naming import target_hash
from remediator.core.snapshot import Job, Sibling, Snapshot
from remediator.core.template import TemplateError, quiet_query, render
from remediator.core.verification import Observation
from remediator.services.resources import Remediation, read_policy, read_sibling

Clock = Callable[[], datetime]

# Shorter than the time for which the first of a storm waits for the others.
_LIST_LIFETIME = timedelta(seconds=1)


class Gatherer:
    """Reads from all outside systems; writes nowhere."""

    def __init__(self, kube: Kube, flink: FlinkRest, prometheus: Prometheus, clock: Clock) -> None:
        self._kube = kube
        self._flink = flink
        self._prometheus = prometheus
        self._clock = clock
        self._listing = asyncio.Lock()
        self._listed: list[Sibling] = []
        self._listed_at: datetime | None = None

    async def policy(self, remediation: Remediation) -> PolicySpec | None:
        """Return the remediation's policy, or None when it is gone. Raises pydantic.ValidationError."""
        resource = await self._kube.get(POLICIES, remediation.namespace, remediation.spec.policy_ref.name)
        return None if resource is None else read_policy(resource)

    async def snapshot(self, remediation: Remediation, policy: PolicySpec) -> Snapshot:
        """Return all that a decision on this remediation rests on."""
        unreadable = ""
        try:
            target = await self.target(remediation)
        except Unreadable as error:
            target, unreadable = None, str(error)
        scales = any(action.type is ActionType.SCALE for action in policy.actions)
        return Snapshot(
            now=self._clock(),
            name=remediation.name,
            namespace=remediation.namespace,
            alert=remediation.spec.alert,
            resolved=remediation.resolved,
            target_ref=remediation.spec.target,
            policy=policy,
            target=target,
            unreadable=unreadable,
            job=await self._job(target),
            siblings=await self._siblings(remediation),
            progress=remediation.progress,
            uid=remediation.uid,
            created=remediation.created,
            incident=remediation.incident,
            silenced=remediation.silenced,
            partitions=await self._partitions(target) if target and scales else None,
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

    def at_hand(self, remediation: Remediation, policy: PolicySpec, target: FlinkDeployment) -> Snapshot:
        """Return a snapshot of what was just read, without asking any other system."""
        return Snapshot(
            now=self._clock(),
            name=remediation.name,
            namespace=remediation.namespace,
            alert=remediation.spec.alert,
            resolved=remediation.resolved,
            silenced=remediation.silenced,
            target_ref=remediation.spec.target,
            policy=policy,
            target=target,
            job=None,
            progress=remediation.progress,
        )

    async def target(self, remediation: Remediation) -> FlinkDeployment | None:
        """Return the FlinkDeployment of a remediation, or None when there is none. Raises Unreadable."""
        ref = remediation.spec.target
        if not ref.uid:
            return None
        resource = await self._kube.get(FLINK_DEPLOYMENTS, ref.namespace, ref.name)
        return None if resource is None else parse(resource)

    async def been_quiet(self, remediation: Remediation, after: RevertAfter) -> bool:
        """Tell whether the query of a scale-back has held all through its quiet period."""
        return bool((await self._query(remediation, quiet_query(after))).holds)

    async def _siblings(self, remediation: Remediation) -> tuple[Sibling, ...]:
        """Return the other remediations. Those of the same target are read anew, for cooldown and budget rest on them;
        from those of other targets only a storm is counted, and all decisions of some seconds share one list."""
        target = target_hash(remediation.spec.target)
        mine = await self._kube.list_all(REMEDIATIONS, remediation.namespace, f"{TARGET_LABEL}={target}")
        async with self._listing:
            # A list that knows this one knows all that came before it: a storm that it is part of is not missed.
            now = self._clock()
            fresh = self._listed_at is not None and timedelta(0) <= now - self._listed_at < _LIST_LIFETIME
            if not fresh or all(sibling.name != remediation.name for sibling in self._listed):
                listed = await self._kube.list_all(REMEDIATIONS, remediation.namespace)
                self._listed, self._listed_at = [read_sibling(resource) for resource in listed], now
            others = [s for s in self._listed if target_hash(s.target) != target]
        known = [read_sibling(resource, remediation.spec.target) for resource in mine]
        return tuple(s for s in [*known, *others] if s.name != remediation.name)

    async def _query(self, remediation: Remediation, template: str) -> Answer:
        spec = remediation.spec
        try:
            query = render(template, spec.alert.labels, spec.target)
        except TemplateError as error:
            return Answer(None, trouble=str(error))
        return await self._prometheus.query(query)

    async def _partitions(self, target: FlinkDeployment) -> int | None:
        if not target.consumer_groups:
            return None
        # A quoted alternative for each group; PromQL's strings take a backslash as an escape of their own.
        groups = "|".join(re.escape(group) for group in sorted(target.consumer_groups)).replace("\\", "\\\\")
        lag = f'kafka_consumergroup_lag{{consumergroup=~"{groups}"}}'
        # Grouped first: two replicas of the exporter say the same of each partition.
        partitions = f"group by (namespace, consumergroup, topic, partition) ({lag})"
        answer = await self._prometheus.query(f"max(count by (namespace, consumergroup, topic) ({partitions}))")
        return int(answer.value) if answer.value is not None else None

    async def _job(self, target: FlinkDeployment | None) -> Job | None:
        if target is None or not target.job_id:
            return None
        return await self._flink.job(target.namespace, target.name, target.job_id)
