"""Takes one FlinkRemediation one step further: reads it anew, decides what is next, and hands what has a plan on.

Every step does one thing and writes the status. Who crashes in between finds out by the next step.
"""

from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from remediator.adapters.kube import REMEDIATIONS, Kube
from remediator.adapters.target_leases import IsAlive, TargetLeases
from remediator.api.names import PLAN_ANNOTATION
from remediator.api.policy import Mode, PolicySpec
from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import Intervention, InterventionKind, Plan, Times
from remediator.core import verification
from remediator.core.decide import decide
from remediator.core.decision import Act, Cancel, Refuse, Wait
from remediator.core.frozen import freeze, in_force, thaw
from remediator.core.guards import LOOK_AGAIN
from remediator.core.guards.approval import answer
from remediator.core.interventions import RETRYABLE, heeded, told
from remediator.core.naming import target_hash
from remediator.core.record import advance, begin_attempt, describe
from remediator.core.snapshot import Snapshot
from remediator.services.act import AT_ONCE, Actor
from remediator.services.gather import Clock, Gatherer
from remediator.services.recorder import Recorder
from remediator.services.resources import Remediation, cancelled_too_early, has_ended, read_remediation

# What of a status belongs to an attempt that is over.
_FRESH: dict[str, Any] = {
    "plan": None,
    "proposal": "",
    "action": "",
    "after": None,
    "times": Times(),
    "conditions": (),
}


class Reconciler:
    """Drives remediations from Pending to their end."""

    def __init__(
        self, kube: Kube, gatherer: Gatherer, actor: Actor, leases: TargetLeases, recorder: Recorder, clock: Clock
    ) -> None:
        self._kube = kube
        self._gatherer = gatherer
        self._leases = leases
        self._recorder = recorder
        self._clock = clock
        self._actor = actor

    async def step(self, namespace: str, name: str) -> timedelta | None:
        """Do what is next; returns when to come again, or None when nothing is left to do.

        Raises KubeError when the API server does not let it; the step may then be repeated.
        """
        resource = await self._kube.get(REMEDIATIONS, namespace, name)
        if resource is None:
            return None
        remediation = read_remediation(resource)
        if remediation.deleting:
            return await self._let_go(remediation)
        if remediation.status.phase.terminal:
            retry = remediation.asked(InterventionKind.RETRY, self._clock())
            if retry is not None:
                return await self._retry(remediation, retry)
            metadata = remediation.resource["metadata"]
            again = cancelled_too_early(metadata, remediation.resource["status"])
            return await (self._go_on(remediation) if again else self._let_go(remediation))
        reverting = remediation.status.phase is Phase.VERIFYING and remediation.status.times.reverting is not None
        cancel = remediation.asked(InterventionKind.CANCEL, self._clock())
        if cancel is not None and not reverting:
            return await self._actor.cancel(remediation, cancel)
        live, trouble = await self._live_policy(remediation)
        try:
            frozen = thaw(remediation.status.policy)
        except ValueError as error:
            text = f"The policy in status.policy cannot be read: {error}"
            return await self._without_policy(remediation, Refuse(Reason.POLICY_INVALID, text))
        policy = in_force(frozen, live)
        match remediation.status.phase:
            case Phase.EXECUTING:
                return await self._actor.execute(remediation, policy if live else None)
            case Phase.VERIFYING if policy is not None:
                return await (self._actor.revert if reverting else self._actor.verify)(remediation, policy)
            case Phase.PENDING | Phase.AWAITING_APPROVAL if policy is not None and live is not None:
                return await self._decide(remediation, policy)
            case _:
                return await self._without_policy(remediation, trouble)

    async def _live_policy(self, remediation: Remediation) -> tuple[PolicySpec | None, Refuse]:
        """Return the policy as it is now, or why there is none."""
        name = remediation.spec.policy_ref.name
        try:
            live = await self._gatherer.policy(remediation)
        except ValidationError as error:
            return None, Refuse(Reason.POLICY_INVALID, f"The policy {name} is invalid: {error}")
        return live, Refuse(Reason.POLICY_NOT_FOUND, f"The policy {name} is gone.")

    async def _without_policy(self, remediation: Remediation, why: Refuse) -> timedelta | None:
        if remediation.status.phase in (Phase.EXECUTING, Phase.VERIFYING):
            return await self._actor.finish(remediation, Phase.FAILED, why.reason, why.message)
        return await self._end(remediation, Phase.REFUSED, why.reason, why.message)

    async def _let_go(self, remediation: Remediation) -> timedelta | None:
        await self._leases.release(target_hash(remediation.spec.target), remediation.name)
        return None

    async def _retry(self, remediation: Remediation, asked: Intervention) -> timedelta | None:
        """Begin anew with the first rung, by the policy as it is now; what was done counts against the budget."""
        now, status = self._clock(), remediation.status
        interventions = heeded(status, asked)
        why_not = ""
        if remediation.resolved:
            why_not = "the alert is resolved"
        elif status.phase not in RETRYABLE:
            why_not = f"it is {status.phase}"
        if why_not:
            message = f"Not tried again, as {told(asked)} asked: {why_not}. {status.message}"
            ended = status.model_copy(update={"message": message[:2048], "interventions": interventions})
            await self._recorder.record(remediation, ended)
            return await self._let_go(remediation)
        message = f"Tried again by {told(asked)}. Before: {status.reason}. {status.message}"
        fresh = status.model_copy(update={**_FRESH, "interventions": interventions, "step": 0, "policy": ""})
        await self._recorder.record(remediation, advance(fresh, now, Phase.PENDING, Reason.RETRY_REQUESTED, message))
        return AT_ONCE

    async def _go_on(self, remediation: Remediation) -> timedelta:
        """Take up again, at the rung where it was, what was cancelled for a resolution that came too early."""
        fresh = remediation.status.model_copy(update=_FRESH)
        message = "The alert fires still, or again: its resolution was taken back."
        status = advance(fresh, self._clock(), Phase.PENDING, Reason.ALERT_FIRING_AGAIN, message)
        await self._recorder.record(remediation, status)
        return AT_ONCE

    async def _decide(self, remediation: Remediation, policy: PolicySpec) -> timedelta | None:
        snapshot = await self._gatherer.snapshot(remediation, policy)
        late = _applied_late(remediation, snapshot)
        if late is not None:
            return await self._commit(remediation, late, snapshot)
        decision = decide(snapshot)
        match decision:
            case Refuse(reason, message):
                return await self._end(remediation, Phase.REFUSED, reason, message)
            case Cancel(reason, message):
                changes: dict[str, Any] = {}
                if reason is Reason.APPROVAL_DENIED:
                    changes["interventions"] = heeded(remediation.status, self._answer(remediation))
                return await self._end(remediation, Phase.CANCELLED, reason, message, **changes)
            case Wait():
                return await self._wait(remediation, decision)
            case Act(plan) if policy.mode is Mode.OBSERVE:
                message = f"Would {describe(plan)}; the policy only observes. {' '.join(plan.warnings)}".strip()
                return await self._end(
                    remediation, Phase.OBSERVED, Reason.OBSERVE_MODE, message, plan=plan, action=describe(plan)
                )
            case Act(plan):
                return await self._commit(remediation, plan, snapshot)

    def _answer(self, remediation: Remediation) -> Intervention | None:
        return remediation.asked(InterventionKind.APPROVAL, self._clock())

    async def _end(
        self,
        remediation: Remediation,
        phase: Phase,
        reason: Reason,
        message: str,
        **changes: Any,
    ) -> timedelta | None:
        done = [a for a in remediation.status.attempts if a.reason != Reason.CHANGED_BY_OTHERS]
        if done:
            # Something was done and did not help; that the ladder ends here must not hide it, and wakes somebody unless
            # the trouble is over.
            last = done[-1]
            message = f"{last.action} did not help ({last.reason}). {message}"
            phase = phase if reason is Reason.ALERT_RESOLVED else Phase.INEFFECTIVE
        return await self._actor.finish(remediation, phase, reason, message, **changes)

    async def _wait(self, remediation: Remediation, decision: Wait) -> timedelta:
        now, status = self._clock(), remediation.status
        asks = decision.reason is Reason.APPROVAL_REQUIRED
        phase = Phase.AWAITING_APPROVAL if asks else Phase.PENDING
        times = status.times
        if asks and (times.approval_requested is None or status.proposal != decision.proposal):
            times = times.model_copy(update={"approval_requested": now})
        proposal = decision.proposal or status.proposal
        waiting = advance(status, now, phase, decision.reason, decision.message, times=times, proposal=proposal)
        if waiting != status:
            await self._recorder.record(remediation, waiting)
        # A longer wait may end early: the alert resolves, the policy changes, somebody agrees.
        return min(max(decision.until - now, AT_ONCE), LOOK_AGAIN)

    async def _commit(self, remediation: Remediation, plan: Plan, snapshot: Snapshot) -> timedelta:
        now, status = self._clock(), remediation.status
        target = target_hash(remediation.spec.target)
        holder = await self._leases.acquire(target, remediation.name, self._in_flight(remediation.namespace))
        if holder is not None:
            busy = Wait(Reason.TARGET_BUSY, f"{holder} is in flight on the same FlinkDeployment.", now + LOOK_AGAIN)
            return await self._wait(remediation, busy)
        before = verification.measure(plan, snapshot.job, None)
        confirmed = snapshot.progress.checkpoint
        approved = answer(snapshot, plan).approved
        agreed = (f"Approved by {snapshot.progress.approved_by or 'an unknown field manager'}.",) if approved else ()
        approval = self._answer(remediation) if approved else None
        if confirmed and not before.checkpoint_path:
            before = before.model_copy(update={"checkpoint": confirmed.id, "checkpoint_path": confirmed.path})
        await self._recorder.record(
            remediation,
            advance(
                status,
                now,
                Phase.EXECUTING,
                Reason.PLANNED,
                " ".join((f"{describe(plan)} ({plan.method}).", *agreed, *plan.warnings)),
                plan=plan,
                action=describe(plan),
                policy=status.policy or freeze(snapshot.policy),
                interventions=heeded(status, approval),
                attempts=begin_attempt(status, now, plan),
                before=before,
                after=None,
                times=Times(planned=now, approval_requested=status.times.approval_requested),
            ),
        )
        return AT_ONCE

    def _in_flight(self, namespace: str) -> IsAlive:
        async def in_flight(name: str) -> bool:
            resource = await self._kube.get(REMEDIATIONS, namespace, name)
            return resource is not None and not has_ended(resource["metadata"], resource.get("status") or {})

        return in_flight


def _applied_late(remediation: Remediation, snapshot: Snapshot) -> Plan | None:
    """Return the plan that was given up because its patch seemed not to be taken, if that was carried out after all."""
    plan, times = remediation.status.plan, remediation.status.times
    if plan is None or times.patched is not None or times.planned is not None or snapshot.target is None:
        return None
    return plan if snapshot.target.annotations.get(PLAN_ANNOTATION) == plan.id else None
