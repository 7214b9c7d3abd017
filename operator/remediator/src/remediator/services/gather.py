"""Reads the world into what the core decides on."""

import re
from collections.abc import Callable
from datetime import datetime

from remediator.adapters.flink_rest import FlinkRest
from remediator.adapters.kube import FLINK_DEPLOYMENTS, POLICIES, REMEDIATIONS, Kube
from remediator.adapters.prometheus import Answer, Prometheus
from remediator.api.policy import ActionType, PolicySpec, RevertAfter
from remediator.core.flinkdeployment import FlinkDeployment, parse
from remediator.core.snapshot import Job, Snapshot
from remediator.core.template import render
from remediator.core.verification import Observation
from remediator.services.resources import Remediation, read_policy, read_sibling

Clock = Callable[[], datetime]


class Gatherer:
    """Reads from all outside systems; writes nowhere."""

    def __init__(self, kube: Kube, flink: FlinkRest, prometheus: Prometheus, clock: Clock) -> None:
        self._kube = kube
        self._flink = flink
        self._prometheus = prometheus
        self._clock = clock

    async def policy(self, remediation: Remediation) -> PolicySpec | None:
        """Return the remediation's policy, or None when it is gone. Raises pydantic.ValidationError."""
        resource = await self._kube.get(POLICIES, remediation.namespace, remediation.spec.policy_ref.name)
        return None if resource is None else read_policy(resource)

    async def snapshot(self, remediation: Remediation, policy: PolicySpec) -> Snapshot:
        """Return all that a decision on this remediation rests on."""
        siblings = [read_sibling(r) for r in await self._kube.list_all(REMEDIATIONS, remediation.namespace)]
        target = await self.target(remediation)
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
            job=await self._job(target),
            siblings=tuple(s for s in siblings if s is not None and s.name != remediation.name),
            progress=remediation.progress,
            partitions=await self._partitions(target) if target and scales else None,
        )

    async def observation(self, remediation: Remediation, policy: PolicySpec) -> Observation:
        """Return what is to be seen of a target that was patched."""
        target = await self.target(remediation)
        job = await self._job(target)
        answer = None
        if policy.verify.query is not None:
            answer = await self._query(remediation, policy.verify.query)
        return Observation(
            now=self._clock(),
            target=target,
            job=job,
            query_holds=None if answer is None else answer.holds,
            query_value=None if answer is None else answer.value,
        )

    async def target(self, remediation: Remediation) -> FlinkDeployment | None:
        """Return the FlinkDeployment of a remediation, or None when there is none."""
        ref = remediation.spec.target
        if not ref.uid:
            return None
        resource = await self._kube.get(FLINK_DEPLOYMENTS, ref.namespace, ref.name)
        return None if resource is None else parse(resource)

    async def been_quiet(self, remediation: Remediation, after: RevertAfter) -> bool:
        """Tell whether the query of a scale-back has held all through its quiet period."""
        minutes = max(1, int(after.quiet_for.total_seconds() // 60))
        query = f"count_over_time(({after.query})[{minutes}m:1m]) >= {minutes}"
        answer = await self._query(remediation, query)
        return answer is not None and answer.holds

    async def _query(self, remediation: Remediation, template: str) -> Answer | None:
        spec = remediation.spec
        return await self._prometheus.query(render(template, spec.alert.labels, spec.target))

    async def _partitions(self, target: FlinkDeployment) -> int | None:
        if not target.consumer_groups:
            return None
        # A quoted alternative for each group; PromQL's strings take a backslash as an escape of their own.
        groups = "|".join(re.escape(group) for group in sorted(target.consumer_groups)).replace("\\", "\\\\")
        lag = f'kafka_consumergroup_lag{{consumergroup=~"{groups}"}}'
        # Grouped first: two replicas of the exporter say the same of each partition.
        partitions = f"group by (namespace, consumergroup, topic, partition) ({lag})"
        answer = await self._prometheus.query(f"max(count by (namespace, consumergroup, topic) ({partitions}))")
        return int(answer.value) if answer is not None and answer.value is not None else None

    async def _job(self, target: FlinkDeployment | None) -> Job | None:
        if target is None or not target.job_id:
            return None
        return await self._flink.job(target.namespace, target.name, target.job_id)
