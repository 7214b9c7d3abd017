"""Carries a plan out, verifies it, and takes it back: the only one who patches a FlinkDeployment.

What is about to be done is written before it is done, and the patch leaves its plan's id in the target's annotations in
the same request: after a crash anywhere the next step knows whether the patch was applied, and never applies it twice.
"""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from remediator.adapters.kube import FLINK_DEPLOYMENTS, Conflict, Kube, NotFound, Rejected, Unavailable
from remediator.api.names import PLAN_ANNOTATION
from remediator.api.policy import ActionType, PolicySpec
from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import Intervention, InterventionKind, Method, Plan, Times
from remediator.core import verification
from remediator.core.flinkdeployment import FlinkDeployment, Unreadable, parse
from remediator.core.frozen import in_force
from remediator.core.guards import BEFORE_PATCH_CHAIN, first_objection
from remediator.core.interventions import heeded, told
from remediator.core.patch import inverse_id
from remediator.core.record import advance, describe, end_attempt
from remediator.core.schedule import observes
from remediator.services.gather import Clock, Gatherer, RightNow
from remediator.services.recorder import Recorder
from remediator.services.resources import Remediation

AT_ONCE = timedelta(0)
WHILE_VERIFYING = timedelta(seconds=3)
PLAN_LIFETIME = timedelta(minutes=1)
"""A plan that was not carried out within this time is made anew: the world has moved on."""
LONGEST_BACKOFF = timedelta(seconds=15)


class Actor:
    """Takes remediations that have a plan to their end, or to the next rung of the ladder."""

    def __init__(self, kube: Kube, gatherer: Gatherer, recorder: Recorder, clock: Clock) -> None:
        self._kube = kube
        self._gatherer = gatherer
        self._recorder = recorder
        self._clock = clock

    async def execute(self, remediation: Remediation, frozen: PolicySpec | None, now: RightNow) -> timedelta:
        """Apply the plan's patch, unless it was applied already or the policy or the target forbid it ``now``."""
        plan, status = _plan(remediation), remediation.status
        live, target, stops = now
        policy = None if live is None or live.spec is None else in_force(frozen, live.spec)
        if isinstance(target, Unreadable):
            return await self._not_now(remediation, Reason.TARGET_UNREADABLE, f"It cannot be read any more: {target}.")
        if target is None or target.uid != remediation.spec.target.uid:
            gone = "The FlinkDeployment was deleted before it was patched."
            return await self.finish(remediation, Phase.FAILED, Reason.TARGET_DELETED, gone)
        if target.annotations.get(PLAN_ANNOTATION) != plan.id:
            if target.generation != plan.observed_generation:
                return await self._changed_meanwhile(remediation)
            stop = self._reason_to_stop(remediation, policy, target, stops)
            if stop is not None:
                return await self._not_now(remediation, *stop)
            try:
                target = await self.patch(remediation, plan.patch)
            except Conflict:
                return await self._changed_meanwhile(remediation)
            except NotFound:
                return AT_ONCE
            except Rejected as error:
                message = f"The API server refused the patch: {error}"
                return await self.finish(remediation, Phase.FAILED, Reason.PATCH_REJECTED, message)
            except Unavailable as error:
                # Whether it was applied all the same the next step finds out.
                assert status.times.planned is not None
                message = f"{describe(plan)}: the API server has not taken the patch; trying again. {error}"
                return await self._try_again(remediation, message, status.times.planned)
            if not verification.still_asked(plan, target):
                message = "The API server dropped a field of the patch: this version of Flink's operator lacks it."
                return await self.finish(remediation, Phase.FAILED, Reason.PATCH_NOT_KEPT, message)
        times = status.times.model_copy(update={"patched": self._clock()})
        message = f"{describe(plan)}: the FlinkDeployment is patched."
        await self._record(remediation, Phase.VERIFYING, Reason.PATCHED, message, times=times)
        return WHILE_VERIFYING

    async def verify(self, remediation: Remediation, policy: PolicySpec) -> timedelta:
        """Compare what is seen with the plan."""
        plan, status = _plan(remediation), remediation.status
        seen = await self._gatherer.observation(remediation, policy)
        verdict = verification.judge(policy, plan, status.times, seen)
        after = verification.measure(plan, seen.job, seen.query_value)
        found: dict[str, Any] = {"times": verdict.times, "after": after}
        match verdict:
            case verification.NotYet(reason, message, times):
                if (status.reason, status.message, status.times) != (reason, message, times):
                    await self._record(remediation, Phase.VERIFYING, reason, message, **found)
                return WHILE_VERIFYING
            case verification.Verified(message):
                return await self.finish(remediation, Phase.SUCCEEDED, Reason.VERIFIED, message, **found)
            case verification.Overridden(reason, message):
                return await self.finish(remediation, Phase.OVERRIDDEN, reason, message, **found)
            case verification.Broken(reason, message):
                return await self.finish(remediation, Phase.FAILED, reason, message, **found)
            case verification.Ineffective(reason, message):
                take_back = verification.to_be_taken_back(plan, verdict, seen.target)
                if not take_back or not policy.revert.on_ineffective:
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

    async def revert(self, remediation: Remediation, policy: PolicySpec) -> timedelta:
        """Apply the inverse patch, unless it was applied already, and see that the job runs as before; then the next
        rung of the ladder, or the end."""
        plan, status = _plan(remediation), remediation.status
        why = status.attempts[-1].message if status.attempts else ""
        if status.times.reverted is not None:
            return await self._verify_revert(remediation, policy, status.times.reverted, why)
        try:
            target = await self._gatherer.target(remediation)
        except Unreadable as error:
            return await self._revert_again(remediation, f"{why} Not taken back: it cannot be read: {error}.")
        if target is None or target.uid != remediation.spec.target.uid:
            return await self.finish(remediation, Phase.INEFFECTIVE, Reason.TARGET_DELETED, why)
        if target.annotations.get(PLAN_ANNOTATION) != inverse_id(plan.id):
            try:
                await self.patch(remediation, plan.inverse)
            except Conflict:
                return await self._not_taken_back(remediation, policy, why)
            except NotFound:
                return AT_ONCE
            except Rejected as error:
                message = f"{why} The API server refused to take it back: {error}"
                return await self.finish(remediation, Phase.FAILED, Reason.PATCH_REJECTED, message)
            except Unavailable as error:
                return await self._revert_again(remediation, f"{why} The API server has not taken it back: {error}")
        times = status.times.model_copy(update={"reverted": self._clock()})
        message = f"{why} Taken back; waiting until the job runs as before."
        await self._record(remediation, Phase.VERIFYING, Reason.REVERTING, message, times=times)
        return WHILE_VERIFYING

    async def cancel(self, remediation: Remediation, intervention: Intervention) -> timedelta:
        """Stop where it is, because a person asked for it; what was patched is left as it is."""
        status, plan = remediation.status, remediation.status.plan
        by = f"Cancelled by {told(intervention)}."
        if plan is None or status.phase not in (Phase.EXECUTING, Phase.VERIFYING):
            done = [attempt.action for attempt in status.attempts]
            left = f"Nothing further is done after {', '.join(done)}." if done else "Nothing was done."
        elif status.phase is Phase.VERIFYING or await self._applied(remediation, plan):
            left = f"{describe(plan)} was begun and is left as it is: nobody verifies it, and nobody takes it back."
        else:
            left = f"{describe(plan)} was not begun."
        return await self.finish(
            remediation,
            Phase.CANCELLED,
            Reason.CANCEL_REQUESTED,
            f"{by} {left}",
            interventions=heeded(status, intervention),
        )

    async def finish(
        self, remediation: Remediation, phase: Phase, reason: Reason, message: str, **changes: Any
    ) -> timedelta:
        """Write the end."""
        changes["attempts"] = end_attempt(remediation.status, self._clock(), reason, message)
        await self._record(remediation, phase, reason, message, **changes)
        return AT_ONCE

    def _reason_to_stop(
        self, remediation: Remediation, policy: PolicySpec | None, target: FlinkDeployment, stops: tuple[str, ...]
    ) -> tuple[Reason, str] | None:
        planned = remediation.status.times.planned
        assert planned is not None
        if policy is None:
            return Reason.POLICY_NOT_FOUND, "The policy is gone or cannot be read; nothing was done."
        if observes(policy, self._clock()):
            return Reason.OBSERVE_MODE, "The policy only observes now; nothing was done."
        snapshot = replace(self._gatherer.at_hand(remediation, policy, target), stops=stops)
        objection = first_objection(snapshot, BEFORE_PATCH_CHAIN)
        if objection is not None:
            return objection.reason, f"{objection.message} Nothing was done."
        if self._clock() - planned > PLAN_LIFETIME:
            status = remediation.status
            unavailable = status.reason == Reason.API_UNAVAILABLE
            why = status.message if unavailable else "The plan was not carried out in time."
            return Reason.API_UNAVAILABLE, f"{why} It is planned anew; nothing was done."
        return None

    async def _verify_revert(
        self, remediation: Remediation, policy: PolicySpec, reverted: datetime, why: str
    ) -> timedelta:
        plan = _plan(remediation)
        verdict = verification.judge_revert(plan, reverted, await self._gatherer.seen(remediation))
        if isinstance(verdict, verification.TakenBack):
            return await self._next_rung(remediation, policy, Reason.REVERTED, f"{why} {verdict.message}")
        message = f"{why} {verdict.message}"
        if remediation.status.message != message:
            await self._record(remediation, Phase.VERIFYING, Reason.REVERTING, message)
        return WHILE_VERIFYING

    async def _not_taken_back(self, remediation: Remediation, policy: PolicySpec, why: str) -> timedelta:
        plan = _plan(remediation)
        target = await self._gatherer.target(remediation)
        if target is not None and not target.opted_in:
            message = f"{why} Not taken back: its owner does not allow remediation any more."
            return await self.finish(remediation, Phase.INEFFECTIVE, Reason.NOT_OPTED_IN, message)
        if target is not None and plan.action is not ActionType.SCALE and verification.still_asked(plan, target):
            message = f"{why} Not taken back: Flink's operator took it up at the last moment."
            return await self._next_rung(remediation, policy, Reason.VERIFICATION_TIMEOUT, message)
        message = f"{why} Not taken back: somebody else has changed it meanwhile."
        return await self.finish(remediation, Phase.INEFFECTIVE, Reason.CHANGED_BY_OTHERS, message)

    async def _revert_again(self, remediation: Remediation, message: str) -> timedelta:
        plan, began = _plan(remediation), remediation.status.times.reverting
        assert began is not None
        if self._clock() - began < plan.timeout:
            return await self._try_again(remediation, f"{message} Trying again.", began)
        left = f"It is left as it is: {describe(plan)}."
        return await self.finish(remediation, Phase.FAILED, Reason.API_UNAVAILABLE, f"{message} {left}")

    async def _try_again(self, remediation: Remediation, message: str, since: datetime) -> timedelta:
        status = remediation.status
        if status.reason != Reason.API_UNAVAILABLE:
            await self._record(remediation, status.phase, Reason.API_UNAVAILABLE, message)
        # As long again as it has lasted: exponential, without a count that a restart would lose.
        return min(max(self._clock() - since, timedelta(seconds=1)), LONGEST_BACKOFF)

    async def _applied(self, remediation: Remediation, plan: Plan) -> bool:
        try:
            target = await self._gatherer.target(remediation)
        except Unreadable:
            return True  # for all that is known
        return target is not None and target.annotations.get(PLAN_ANNOTATION) == plan.id

    async def _next_rung(
        self, remediation: Remediation, policy: PolicySpec, reason: Reason, message: str, **changes: Any
    ) -> timedelta:
        plan, status = _plan(remediation), remediation.status
        cancelled = remediation.asked(InterventionKind.CANCEL, self._clock())
        if cancelled is not None:
            changes["interventions"] = heeded(status, cancelled)
            message = f"{message} Nothing further is done: cancelled by {told(cancelled)}."
        # Only then is the explicit path tried: by the same rung, which asked for it.
        again = reason is Reason.MANUAL_RESTORE_REQUIRED and plan.method is Method.LAST_STATE
        step = status.step if again else status.step + 1
        if cancelled is not None or step >= len(policy.actions):
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
        return AT_ONCE

    async def _changed_meanwhile(self, remediation: Remediation) -> timedelta:
        """Plan anew. Nobody knows whether our patch was applied and taken back: it counts."""
        why = "The FlinkDeployment changed after the plan was made."
        attempts = end_attempt(remediation.status, self._clock(), Reason.CHANGED_BY_OTHERS, why)
        return await self._back_to_pending(
            remediation, Reason.CHANGED_BY_OTHERS, why, attempts=attempts, plan=None, action=""
        )

    async def _not_now(self, remediation: Remediation, reason: Reason, why: str) -> timedelta:
        """Plan anew. The patch is not there, so it does not count; the plan stays in the record, because a request that
        got no answer may still be carried out."""
        attempts = remediation.status.attempts[:-1]
        return await self._back_to_pending(remediation, reason, why, attempts=attempts)

    async def _back_to_pending(self, remediation: Remediation, reason: Reason, why: str, **changes: Any) -> timedelta:
        times = Times(approval_requested=remediation.status.times.approval_requested)
        await self._record(remediation, Phase.PENDING, reason, why, times=times, **changes)
        return AT_ONCE

    async def patch(self, remediation: Remediation, operations: str) -> FlinkDeployment:
        """Patch the target. Raises Conflict, NotFound, Rejected or Unavailable."""
        ref = remediation.spec.target
        return parse(await self._kube.json_patch(FLINK_DEPLOYMENTS, ref.namespace, ref.name, json.loads(operations)))

    async def _record(
        self, remediation: Remediation, phase: Phase, reason: Reason, message: str, **changes: Any
    ) -> Remediation:
        status = advance(remediation.status, self._clock(), phase, reason, message, **changes)
        return await self._recorder.record(remediation, status)


def _plan(remediation: Remediation) -> Plan:
    if remediation.status.plan is None:
        raise ValueError(f"{remediation.name} is {remediation.status.phase} without a plan")
    return remediation.status.plan
