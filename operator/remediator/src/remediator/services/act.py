"""Carries a plan out, verifies it, and takes it back.

What is about to be done is written before it is done, and the patch leaves its plan's id in the target's annotations in
the same request: after a crash anywhere the next step knows whether the patch was applied, and never applies it twice.
"""

import json
from datetime import timedelta
from typing import Any

from remediator.adapters.kube import FLINK_DEPLOYMENTS, Conflict, Kube, Rejected
from remediator.adapters.target_leases import TargetLeases
from remediator.api.names import PLAN_ANNOTATION
from remediator.api.policy import PolicySpec
from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import Method, Plan, Times
from remediator.core import verification
from remediator.core.flinkdeployment import FlinkDeployment, parse
from remediator.core.naming import target_hash
from remediator.core.patch import inverse_id
from remediator.core.record import advance, describe, end_attempt
from remediator.services.gather import Clock, Gatherer
from remediator.services.recorder import Recorder
from remediator.services.resources import Remediation

AT_ONCE = timedelta(0)
WHILE_VERIFYING = timedelta(seconds=3)
PLAN_LIFETIME = timedelta(minutes=1)
"""A plan that was not carried out within this time is made anew: the world has moved on."""


class Actor:
    """Takes remediations that have a plan to their end, or to the next rung of the ladder."""

    def __init__(self, kube: Kube, gatherer: Gatherer, leases: TargetLeases, recorder: Recorder, clock: Clock) -> None:
        self._kube = kube
        self._gatherer = gatherer
        self._leases = leases
        self._recorder = recorder
        self._clock = clock

    async def execute(self, remediation: Remediation) -> timedelta | None:
        """Apply the plan's patch, unless it was applied already."""
        plan = _plan(remediation)
        spec, status = remediation.spec, remediation.status
        target = await self._gatherer.target(remediation)
        if target is None or target.uid != spec.target.uid:
            gone = "The FlinkDeployment was deleted before it was patched."
            return await self.finish(remediation, Phase.FAILED, Reason.TARGET_DELETED, gone)
        if target.annotations.get(PLAN_ANNOTATION) != plan.id:
            assert status.times.planned is not None
            if target.generation != plan.observed_generation:
                return await self._plan_anew(remediation, "The FlinkDeployment changed after the plan was made.")
            if remediation.resolved or self._clock() - status.times.planned > PLAN_LIFETIME:
                too_late = "The plan is too old, or the alert is over; nothing was done."
                return await self._plan_anew(remediation, too_late, begun=False)
            try:
                target = await self._patch(remediation, plan.patch)
            except Conflict:
                return await self._plan_anew(remediation, "The FlinkDeployment changed after the plan was made.")
            except Rejected as error:
                message = f"The API server refused the patch: {error}"
                return await self.finish(remediation, Phase.FAILED, Reason.PATCH_REJECTED, message)
            if not verification.still_asked(plan, target):
                message = "The API server dropped a field of the patch: this version of Flink's operator lacks it."
                return await self.finish(remediation, Phase.FAILED, Reason.PATCH_NOT_KEPT, message)
        now = self._clock()
        times = status.times.model_copy(update={"patched": now})
        message = f"{describe(plan)}: the FlinkDeployment is patched."
        await self._record(remediation, Phase.VERIFYING, Reason.PATCHED, message, times=times)
        return WHILE_VERIFYING

    async def verify(self, remediation: Remediation, policy: PolicySpec) -> timedelta | None:
        """Compare what is seen with the plan."""
        plan, status = _plan(remediation), remediation.status
        seen = await self._gatherer.observation(remediation, policy)
        verdict = verification.judge(policy, plan, status.times, seen)
        after = verification.measure(plan, seen.job, seen.query_value)
        found: dict[str, Any] = {"times": verdict.times, "after": after}
        match verdict:
            case verification.NotYet(reason, message, times):
                if status.reason != reason or status.times != times:
                    await self._record(remediation, Phase.VERIFYING, reason, message, **found)
                return WHILE_VERIFYING
            case verification.Verified(message):
                return await self.finish(remediation, Phase.SUCCEEDED, Reason.VERIFIED, message, **found)
            case verification.Overridden(reason, message):
                return await self.finish(remediation, Phase.OVERRIDDEN, reason, message, **found)
            case verification.Broken(reason, message):
                return await self.finish(remediation, Phase.FAILED, reason, message, **found)
            case verification.Ineffective(reason, message):
                if not plan.inverse or not policy.revert.on_ineffective:
                    return await self._next_rung(remediation, policy, reason, message, **found)
                found["times"] = verdict.times.model_copy(update={"reverting": seen.now})
                await self._record(
                    remediation,
                    Phase.VERIFYING,
                    Reason.REVERTING,
                    message,
                    attempts=end_attempt(status, seen.now, reason, message),
                    **found,
                )
                return AT_ONCE

    async def revert(self, remediation: Remediation, policy: PolicySpec) -> timedelta | None:
        """Apply the inverse patch, unless it was applied already; then the next rung of the ladder, or the end."""
        plan, why = _plan(remediation), remediation.status.message
        target = await self._gatherer.target(remediation)
        if target is None or target.uid != remediation.spec.target.uid:
            return await self.finish(remediation, Phase.INEFFECTIVE, Reason.TARGET_DELETED, why)
        if target.annotations.get(PLAN_ANNOTATION) != inverse_id(plan.id):
            try:
                await self._patch(remediation, plan.inverse)
            except Conflict:
                message = f"{why} Not taken back: somebody else has changed it meanwhile."
                return await self.finish(remediation, Phase.INEFFECTIVE, Reason.CHANGED_BY_OTHERS, message)
            except Rejected as error:
                message = f"{why} The API server refused to take it back: {error}"
                return await self.finish(remediation, Phase.FAILED, Reason.PATCH_REJECTED, message)
        message = f"{why} Taken back to parallelism {plan.parallelism_before}."
        return await self._next_rung(remediation, policy, Reason.REVERTED, message)

    async def finish(
        self, remediation: Remediation, phase: Phase, reason: Reason, message: str, **changes: Any
    ) -> timedelta | None:
        """Write the end, and give the target back."""
        changes["attempts"] = end_attempt(remediation.status, self._clock(), reason, message)
        await self._record(remediation, phase, reason, message, **changes)
        await self._release(remediation)
        return None

    async def _next_rung(
        self, remediation: Remediation, policy: PolicySpec, reason: Reason, message: str, **changes: Any
    ) -> timedelta | None:
        plan, status = _plan(remediation), remediation.status
        # Only then is the explicit path tried: by the same rung, which asked for it.
        again = reason is Reason.MANUAL_RESTORE_REQUIRED and plan.method is Method.LAST_STATE
        step = status.step if again else status.step + 1
        if step >= len(policy.actions):
            return await self.finish(remediation, Phase.INEFFECTIVE, reason, message, **changes)
        await self._record(
            remediation,
            Phase.PENDING,
            Reason.NEXT_ACTION,
            message,
            **changes,
            attempts=end_attempt(status, self._clock(), reason, message),
            step=step,
        )
        await self._release(remediation)
        return AT_ONCE

    async def _plan_anew(self, remediation: Remediation, why: str, begun: bool = True) -> timedelta:
        # Where the FlinkDeployment has changed, nobody knows whether our patch was applied and taken back: it counts.
        status = remediation.status
        ended = end_attempt(status, self._clock(), Reason.CHANGED_BY_OTHERS, why)
        await self._record(
            remediation,
            Phase.PENDING,
            Reason.CHANGED_BY_OTHERS,
            why,
            plan=None,
            action="",
            attempts=ended if begun else status.attempts[:-1],
            times=Times(approval_requested=status.times.approval_requested),
        )
        await self._release(remediation)
        return AT_ONCE

    async def _patch(self, remediation: Remediation, operations: str) -> FlinkDeployment:
        ref = remediation.spec.target
        return parse(await self._kube.json_patch(FLINK_DEPLOYMENTS, ref.namespace, ref.name, json.loads(operations)))

    async def _record(
        self, remediation: Remediation, phase: Phase, reason: Reason, message: str, **changes: Any
    ) -> None:
        await self._recorder.record(
            remediation, advance(remediation.status, self._clock(), phase, reason, message, **changes)
        )

    async def _release(self, remediation: Remediation) -> None:
        await self._leases.release(target_hash(remediation.spec.target), remediation.name)


def _plan(remediation: Remediation) -> Plan:
    if remediation.status.plan is None:
        raise ValueError(f"{remediation.name} is {remediation.status.phase} without a plan")
    return remediation.status.plan
