"""Takes one FlinkRemediation one step further.

Every step reads the remediation anew, does one thing and writes the status. What is about to be done is written before
it is done, and the patch leaves its plan's id in the target's annotations in the same request: after a crash anywhere
the next step knows whether the patch was applied, and never applies it twice.
"""

import json
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from remediator.adapters.kube import FLINK_DEPLOYMENTS, REMEDIATIONS, Conflict, Kube, Rejected
from remediator.adapters.leases import IsAlive, TargetLeases
from remediator.api.names import PLAN_ANNOTATION
from remediator.api.policy import Mode, PolicySpec
from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import Plan, Times
from remediator.core import verification
from remediator.core.decision import Act, Cancel, Refuse, Wait
from remediator.core.guards import LOOK_AGAIN
from remediator.core.naming import target_hash
from remediator.core.planner import decide
from remediator.core.record import advance, describe
from remediator.core.scale import inverse_id
from remediator.core.snapshot import Snapshot
from remediator.services.gather import Clock, Gatherer
from remediator.services.recorder import Recorder
from remediator.services.resources import Remediation, read_remediation

AT_ONCE = timedelta(0)
WHILE_VERIFYING = timedelta(seconds=3)
PLAN_LIFETIME = timedelta(minutes=1)
"""A plan that was not carried out within this time is made anew: the world has moved on."""


class Reconciler:
    """Drives remediations from Pending to their end."""

    def __init__(self, kube: Kube, gatherer: Gatherer, leases: TargetLeases, recorder: Recorder, clock: Clock) -> None:
        self._kube = kube
        self._gatherer = gatherer
        self._leases = leases
        self._recorder = recorder
        self._clock = clock

    async def step(self, namespace: str, name: str) -> timedelta | None:
        """Do what is next; returns when to come again, or None when nothing is left to do.

        Raises KubeError when the API server does not let it; the step may then be repeated.
        """
        resource = await self._kube.get(REMEDIATIONS, namespace, name)
        if resource is None:
            return None
        remediation = read_remediation(resource)
        if remediation.status.phase.terminal:
            await self._release(remediation)
            return None
        try:
            policy = await self._gatherer.policy(remediation)
        except ValidationError as error:
            return await self._without_policy(remediation, Reason.POLICY_INVALID, f"The policy is invalid: {error}")
        if policy is None:
            gone = f"The policy {remediation.spec.policy_ref.name} is gone."
            return await self._without_policy(remediation, Reason.POLICY_NOT_FOUND, gone)
        match remediation.status.phase:
            case Phase.PENDING:
                return await self._decide(remediation, policy)
            case Phase.EXECUTING:
                return await self._execute(remediation)
            case _:
                if remediation.status.times.reverting is not None:
                    return await self._revert(remediation)
                return await self._verify(remediation, policy)

    async def _without_policy(self, remediation: Remediation, reason: Reason, message: str) -> timedelta | None:
        phase = Phase.REFUSED if remediation.status.phase is Phase.PENDING else Phase.FAILED
        return await self._finish(remediation, phase, reason, message)

    async def _decide(self, remediation: Remediation, policy: PolicySpec) -> timedelta | None:
        snapshot = await self._gatherer.snapshot(remediation, policy)
        decision = decide(snapshot)
        match decision:
            case Refuse(reason, message):
                return await self._finish(remediation, Phase.REFUSED, reason, message)
            case Cancel(reason, message):
                return await self._finish(remediation, Phase.CANCELLED, reason, message)
            case Wait():
                return await self._wait(remediation, decision)
            case Act(plan):
                if policy.mode is Mode.OBSERVE:
                    message = f"Would {describe(plan)}; the policy only observes."
                    return await self._finish(
                        remediation, Phase.OBSERVED, Reason.OBSERVE_MODE, message, plan=plan, action=describe(plan)
                    )
                return await self._commit(remediation, plan, snapshot)

    async def _wait(self, remediation: Remediation, decision: Wait) -> timedelta:
        now = self._clock()
        if remediation.status.reason != decision.reason:
            status = advance(remediation.status, now, Phase.PENDING, decision.reason, decision.message)
            await self._recorder.record(remediation, status)
        # A longer wait may end early: the alert resolves, the policy changes.
        return min(max(decision.until - now, AT_ONCE), LOOK_AGAIN)

    async def _commit(self, remediation: Remediation, plan: Plan, snapshot: Snapshot) -> timedelta:
        now = self._clock()
        target = target_hash(remediation.spec.target)
        holder = await self._leases.acquire(target, remediation.name, self._in_flight(remediation.namespace))
        if holder is not None:
            busy = Wait(Reason.TARGET_BUSY, f"{holder} is in flight on the same FlinkDeployment.", now + LOOK_AGAIN)
            return await self._wait(remediation, busy)
        status = advance(
            remediation.status,
            now,
            Phase.EXECUTING,
            Reason.PLANNED,
            f"{describe(plan)} ({plan.strategy}).",
            plan=plan,
            action=describe(plan),
            before=verification.measure(plan, snapshot.job, None),
            times=Times(planned=now),
        )
        await self._recorder.record(remediation, status)
        return AT_ONCE

    async def _execute(self, remediation: Remediation) -> timedelta | None:
        plan = _plan(remediation)
        spec, status = remediation.spec, remediation.status
        target = await self._gatherer.target(remediation)
        if target is None or target.uid != spec.target.uid:
            gone = "The FlinkDeployment was deleted before it was patched."
            return await self._finish(remediation, Phase.FAILED, Reason.TARGET_DELETED, gone)
        if target.annotations.get(PLAN_ANNOTATION) != plan.id:
            assert status.times.planned is not None
            if remediation.resolved or self._clock() - status.times.planned > PLAN_LIFETIME:
                return await self._plan_anew(remediation, "The plan is too old, or the alert is over.")
            try:
                await self._kube.json_patch(
                    FLINK_DEPLOYMENTS, spec.target.namespace, spec.target.name, json.loads(plan.patch)
                )
            except Conflict:
                return await self._plan_anew(remediation, "The FlinkDeployment changed after the plan was made.")
            except Rejected as error:
                message = f"The API server refused the patch: {error}"
                return await self._finish(remediation, Phase.FAILED, Reason.PATCH_REJECTED, message)
        now = self._clock()
        await self._recorder.record(
            remediation,
            advance(
                status,
                now,
                Phase.VERIFYING,
                Reason.PATCHED,
                f"{describe(plan)}: the FlinkDeployment is patched.",
                times=status.times.model_copy(update={"patched": now}),
            ),
        )
        return WHILE_VERIFYING

    async def _plan_anew(self, remediation: Remediation, why: str) -> timedelta:
        status = advance(
            remediation.status,
            self._clock(),
            Phase.PENDING,
            Reason.CHANGED_BY_OTHERS,
            why,
            plan=None,
            action="",
            before=None,
            times=Times(),
        )
        await self._recorder.record(remediation, status)
        return AT_ONCE

    async def _verify(self, remediation: Remediation, policy: PolicySpec) -> timedelta | None:
        plan, status = _plan(remediation), remediation.status
        seen = await self._gatherer.observation(remediation, policy)
        verdict = verification.judge(policy, plan, status.times, seen)
        after = verification.measure(plan, seen.job, seen.query_value)
        found: dict[str, Any] = {"times": verdict.times, "after": after}
        match verdict:
            case verification.NotYet(reason, message, times):
                if status.reason != reason or status.times != times:
                    status = advance(status, seen.now, Phase.VERIFYING, reason, message, **found)
                    await self._recorder.record(remediation, status)
                return WHILE_VERIFYING
            case verification.Verified(message):
                return await self._finish(remediation, Phase.SUCCEEDED, Reason.VERIFIED, message, **found)
            case verification.Overridden(reason, message):
                return await self._finish(remediation, Phase.OVERRIDDEN, reason, message, **found)
            case verification.Ineffective(reason, message):
                if not policy.revert.on_ineffective:
                    return await self._finish(remediation, Phase.INEFFECTIVE, reason, message, **found)
                found["times"] = verdict.times.model_copy(update={"reverting": seen.now})
                status = advance(status, seen.now, Phase.VERIFYING, Reason.REVERTING, message, **found)
                await self._recorder.record(remediation, status)
                return AT_ONCE

    async def _revert(self, remediation: Remediation) -> timedelta | None:
        plan, ref = _plan(remediation), remediation.spec.target
        why = remediation.status.message
        target = await self._gatherer.target(remediation)
        if target is None or target.uid != ref.uid:
            return await self._finish(remediation, Phase.INEFFECTIVE, Reason.TARGET_DELETED, why)
        if target.annotations.get(PLAN_ANNOTATION) != inverse_id(plan.id):
            try:
                await self._kube.json_patch(FLINK_DEPLOYMENTS, ref.namespace, ref.name, json.loads(plan.inverse))
            except Conflict:
                message = f"{why} Not taken back: somebody else has changed it meanwhile."
                return await self._finish(remediation, Phase.INEFFECTIVE, Reason.CHANGED_BY_OTHERS, message)
            except Rejected as error:
                message = f"{why} The API server refused to take it back: {error}"
                return await self._finish(remediation, Phase.FAILED, Reason.PATCH_REJECTED, message)
        message = f"{why} Taken back to parallelism {plan.parallelism_before}."
        return await self._finish(remediation, Phase.INEFFECTIVE, Reason.REVERTED, message)

    async def _finish(
        self, remediation: Remediation, phase: Phase, reason: Reason, message: str, **changes: Any
    ) -> timedelta | None:
        status = advance(remediation.status, self._clock(), phase, reason, message, **changes)
        await self._recorder.record(remediation, status)
        await self._release(remediation)
        return None

    async def _release(self, remediation: Remediation) -> None:
        await self._leases.release(target_hash(remediation.spec.target), remediation.name)

    def _in_flight(self, namespace: str) -> IsAlive:
        async def in_flight(name: str) -> bool:
            resource = await self._kube.get(REMEDIATIONS, namespace, name)
            return resource is not None and not read_remediation(resource).status.phase.terminal

        return in_flight


def _plan(remediation: Remediation) -> Plan:
    if remediation.status.plan is None:
        raise ValueError(f"{remediation.name} is {remediation.status.phase} without a plan")
    return remediation.status.plan
