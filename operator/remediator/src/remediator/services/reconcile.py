"""Takes one FlinkRemediation one step further: reads it anew, decides what is next, and hands what has a plan on.

Every step does one thing and writes the status. Who crashes in between finds out by the next step.
"""

from datetime import timedelta

from pydantic import ValidationError

from remediator.adapters.kube import REMEDIATIONS, Kube
from remediator.adapters.target_leases import IsAlive, TargetLeases
from remediator.api.policy import Mode, PolicySpec
from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import Plan, Times
from remediator.core import verification
from remediator.core.decide import decide
from remediator.core.decision import Act, Cancel, Refuse, Wait
from remediator.core.guards import LOOK_AGAIN
from remediator.core.naming import target_hash
from remediator.core.record import advance, begin_attempt, describe
from remediator.core.snapshot import Snapshot
from remediator.services.act import AT_ONCE, Actor
from remediator.services.gather import Clock, Gatherer
from remediator.services.recorder import Recorder
from remediator.services.resources import Remediation, read_remediation


class Reconciler:
    """Drives remediations from Pending to their end."""

    def __init__(self, kube: Kube, gatherer: Gatherer, leases: TargetLeases, recorder: Recorder, clock: Clock) -> None:
        self._kube = kube
        self._gatherer = gatherer
        self._leases = leases
        self._recorder = recorder
        self._clock = clock
        self._actor = Actor(kube, gatherer, leases, recorder, clock)

    async def step(self, namespace: str, name: str) -> timedelta | None:
        """Do what is next; returns when to come again, or None when nothing is left to do.

        Raises KubeError when the API server does not let it; the step may then be repeated.
        """
        resource = await self._kube.get(REMEDIATIONS, namespace, name)
        if resource is None:
            return None
        remediation = read_remediation(resource)
        if remediation.status.phase.terminal:
            await self._leases.release(target_hash(remediation.spec.target), remediation.name)
            return None
        try:
            policy = await self._gatherer.policy(remediation)
        except ValidationError as error:
            return await self._without_policy(remediation, Reason.POLICY_INVALID, f"The policy is invalid: {error}")
        if policy is None:
            gone = f"The policy {remediation.spec.policy_ref.name} is gone."
            return await self._without_policy(remediation, Reason.POLICY_NOT_FOUND, gone)
        match remediation.status.phase:
            case Phase.EXECUTING:
                return await self._actor.execute(remediation)
            case Phase.VERIFYING if remediation.status.times.reverting is not None:
                return await self._actor.revert(remediation, policy)
            case Phase.VERIFYING:
                return await self._actor.verify(remediation, policy)
            case _:
                return await self._decide(remediation, policy)

    async def _without_policy(self, remediation: Remediation, reason: Reason, message: str) -> timedelta | None:
        begun = remediation.status.phase in (Phase.EXECUTING, Phase.VERIFYING)
        return await self._actor.finish(remediation, Phase.FAILED if begun else Phase.REFUSED, reason, message)

    async def _decide(self, remediation: Remediation, policy: PolicySpec) -> timedelta | None:
        snapshot = await self._gatherer.snapshot(remediation, policy)
        decision = decide(snapshot)
        match decision:
            case Refuse(reason, message):
                return await self._end(remediation, Phase.REFUSED, reason, message)
            case Cancel(reason, message):
                return await self._end(remediation, Phase.CANCELLED, reason, message)
            case Wait():
                return await self._wait(remediation, decision)
            case Act(plan) if policy.mode is Mode.OBSERVE:
                message = f"Would {describe(plan)}; the policy only observes. {' '.join(plan.warnings)}".strip()
                return await self._actor.finish(
                    remediation, Phase.OBSERVED, Reason.OBSERVE_MODE, message, plan=plan, action=describe(plan)
                )
            case Act(plan):
                return await self._commit(remediation, plan, snapshot)

    async def _end(self, remediation: Remediation, phase: Phase, reason: Reason, message: str) -> timedelta | None:
        done = [a for a in remediation.status.attempts if a.reason != Reason.CHANGED_BY_OTHERS]
        if done:
            # Something was done and did not help; that the ladder ends here must not hide it, and wakes somebody unless
            # the trouble is over.
            last = done[-1]
            message = f"{last.action} did not help ({last.reason}). {message}"
            phase = phase if reason is Reason.ALERT_RESOLVED else Phase.INEFFECTIVE
        return await self._actor.finish(remediation, phase, reason, message)

    async def _wait(self, remediation: Remediation, decision: Wait) -> timedelta:
        now, status = self._clock(), remediation.status
        asks = decision.reason is Reason.APPROVAL_REQUIRED
        phase = Phase.AWAITING_APPROVAL if asks else Phase.PENDING
        if (status.phase, status.reason) != (phase, decision.reason):
            times = status.times
            if asks and times.approval_requested is None:
                times = times.model_copy(update={"approval_requested": now})
            await self._recorder.record(
                remediation, advance(status, now, phase, decision.reason, decision.message, times=times)
            )
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
        if confirmed and not before.checkpoint_path:
            before = before.model_copy(update={"checkpoint": confirmed.id, "checkpoint_path": confirmed.path})
        await self._recorder.record(
            remediation,
            advance(
                status,
                now,
                Phase.EXECUTING,
                Reason.PLANNED,
                f"{describe(plan)} ({plan.method}). {' '.join(plan.warnings)}".strip(),
                plan=plan,
                action=describe(plan),
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
            return resource is not None and not read_remediation(resource).status.phase.terminal

        return in_flight
