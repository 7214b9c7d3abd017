"""Takes one FlinkRemediation one step further: reads it anew, decides what is next, and hands what has a plan on.

Every step does one thing and writes the status; a plan that is written is carried out in the same step, for while it is
written, what the patch depends on is read. Who crashes in between finds out by the next step.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from remediator.adapters.kube import REMEDIATIONS, Conflict, Kube, Resource
from remediator.api.names import ENDED_LABEL, GROUP, PLAN_ANNOTATION
from remediator.api.policy import PolicySpec
from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import Intervention, InterventionKind, Plan, Times
from remediator.core import verification
from remediator.core.decide import decide
from remediator.core.decision import Act, Cancel, Refuse, Wait
from remediator.core.diagnosis import summary
from remediator.core.frozen import freeze, in_force, thaw
from remediator.core.guards import LOOK_AGAIN
from remediator.core.guards.approval import answer
from remediator.core.interventions import RETRYABLE, heeded, told
from remediator.core.naming import target_hash
from remediator.core.record import advance, begin_attempt, describe
from remediator.core.schedule import observes
from remediator.core.snapshot import Snapshot
from remediator.services.act import AT_ONCE, Actor
from remediator.services.gather import Clock, Gatherer
from remediator.services.recorder import Recorder
from remediator.services.records import Records
from remediator.services.resources import Remediation, cancelled_too_early, read_remediation, with_diagnosis

_OLD_FINALIZER = f"{GROUP}/in-flight"
"""Earlier versions held a record in work by it."""

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
        self, kube: Kube, records: Records, gatherer: Gatherer, actor: Actor, recorder: Recorder, clock: Clock
    ) -> None:
        self._kube = kube
        self._records = records
        self._gatherer = gatherer
        self._recorder = recorder
        self._clock = clock
        self._actor = actor
        self._targets = Locks()

    async def step(self, namespace: str, name: str) -> timedelta | None:
        """Do what is next; returns when to come again, or None when nothing is left to do.

        Raises KubeError when the API server does not let it; the step may then be repeated.
        """
        try:
            return await self._step(namespace, name)
        except Conflict:
            self._records.invalidate(name)
            raise

    async def _step(self, namespace: str, name: str) -> timedelta | None:
        resource = self._records.current(name)
        if resource is None:
            resource = await self._kube.get(REMEDIATIONS, namespace, name)
            if resource is None:
                self._records.remove(namespace, name)
                return None
            self._records.take(resource)
        if _OLD_FINALIZER in (resource["metadata"].get("finalizers") or ()):
            rest = [finalizer for finalizer in resource["metadata"]["finalizers"] if finalizer != _OLD_FINALIZER]
            await self._change(resource, {"finalizers": rest})
            return AT_ONCE
        remediation = read_remediation(resource)
        if remediation.deleting:
            return None
        if remediation.status.phase.terminal:
            return await self._look_again(remediation)
        if remediation.ended:
            # It was begun anew by a version that does not know the label.
            await self._change(resource, {"labels": {ENDED_LABEL: None}})
            return AT_ONCE
        reverting = remediation.status.phase is Phase.VERIFYING and remediation.status.times.reverting is not None
        cancel = remediation.asked(InterventionKind.CANCEL, self._clock())
        if cancel is not None and not reverting:
            return await self._actor.cancel(remediation, cancel)
        try:
            frozen = thaw(remediation.status.policy)
        except ValueError as error:
            text = f"The policy in status.policy cannot be read: {error}"
            return await self._without_policy(remediation, Refuse(Reason.POLICY_INVALID, text))
        if remediation.status.phase is Phase.EXECUTING:
            return await self._actor.execute(remediation, frozen, await self._gatherer.right_now(remediation))
        live, trouble = await self._policy(remediation)
        policy = in_force(frozen, live)
        match remediation.status.phase:
            case Phase.VERIFYING if policy is not None:
                return await (self._actor.revert if reverting else self._actor.verify)(remediation, policy)
            case Phase.PENDING | Phase.AWAITING_APPROVAL if policy is not None and live is not None:
                return await self._decide(remediation, policy)
            case _:
                return await self._without_policy(remediation, trouble)

    async def _policy(self, remediation: Remediation) -> tuple[PolicySpec | None, Refuse]:
        """Return the policy as it is now, or why there is none."""
        name = remediation.spec.policy_ref.name
        live = await self._gatherer.policy(remediation)
        if live is None:
            return None, Refuse(Reason.POLICY_NOT_FOUND, f"The policy {name} is gone.")
        return live.spec, Refuse(Reason.POLICY_INVALID, f"The policy {name} is invalid: {live.problem}")

    async def _without_policy(self, remediation: Remediation, why: Refuse) -> timedelta:
        if remediation.status.phase in (Phase.EXECUTING, Phase.VERIFYING):
            return await self._actor.finish(remediation, Phase.FAILED, why.reason, why.message)
        return await self._end(remediation, Phase.REFUSED, why.reason, why.message)

    async def _look_again(self, remediation: Remediation) -> timedelta | None:
        """Take up again what has ended, where somebody asks for it; else see that nobody watches it any more."""
        retry = remediation.asked(InterventionKind.RETRY, self._clock())
        again = cancelled_too_early(remediation.resource["metadata"], remediation.resource["status"])
        if retry is None and not again:
            if not remediation.ended:
                await self._change(remediation.resource, {"labels": {ENDED_LABEL: "true"}})
            return None
        if remediation.ended:
            await self._change(remediation.resource, {"labels": {ENDED_LABEL: None}})
            return AT_ONCE
        return await (self._retry(remediation, retry) if retry is not None else self._go_on(remediation))

    async def _change(self, resource: Resource, metadata: dict[str, Any]) -> None:
        """Change metadata of a record at the version that was read. Raises Conflict."""
        own = resource["metadata"]
        body = {"metadata": {**metadata, "resourceVersion": own["resourceVersion"]}}
        self._records.take(await self._kube.merge_patch(REMEDIATIONS, own["namespace"], own["name"], body))

    async def _retry(self, remediation: Remediation, asked: Intervention) -> timedelta:
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
            return AT_ONCE
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

    async def _decide(self, remediation: Remediation, policy: PolicySpec) -> timedelta:
        # Whoever decides next about the same target knows what was decided here.
        async with self._targets.of(target_hash(remediation.spec.target)):
            return await self._decide_alone(remediation, policy)

    async def _decide_alone(self, remediation: Remediation, policy: PolicySpec) -> timedelta:
        # A plan that is made at first sight is checked against the API server right before its patch.
        exact = bool(remediation.status.reason)
        snapshot = await self._gatherer.snapshot(remediation, policy, exact)
        late = _applied_late(remediation, snapshot)
        if late is not None:
            return await self._commit(with_diagnosis(remediation, snapshot.diagnosis), late, snapshot)
        decision = decide(snapshot)
        duplicate = isinstance(decision, Cancel) and decision.reason is Reason.DUPLICATE
        if duplicate:
            # The other's resolution may not have been seen yet.
            await self._records.refresh(self._kube, remediation.namespace, remediation.spec.target)
        if duplicate or (not exact and (isinstance(decision, Refuse | Cancel) or observes(policy, snapshot.now))):
            # It may end by that, so it must be true now.
            snapshot = await self._gatherer.snapshot(remediation, policy)
            decision = decide(snapshot)
        remediation = with_diagnosis(remediation, snapshot.diagnosis)
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
            case Act(plan) if observes(policy, snapshot.now):
                why = " ".join((*_seen(plan, snapshot), *plan.warnings))
                message = f"Would {describe(plan)}; the policy only observes. {why}".strip()
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
    ) -> timedelta:
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
        before = verification.measure(plan, snapshot.job, None)
        confirmed = snapshot.progress.checkpoint
        approved = answer(snapshot, plan).approved
        agreed = (f"Approved by {snapshot.progress.approved_by or 'an unknown field manager'}.",) if approved else ()
        approval = self._answer(remediation) if approved else None
        if confirmed and not before.checkpoint_path:
            before = before.model_copy(update={"checkpoint": confirmed.id, "checkpoint_path": confirmed.path})
        planned = advance(
            status,
            now,
            Phase.EXECUTING,
            Reason.PLANNED,
            " ".join((f"{describe(plan)} ({plan.method}).", *agreed, *plan.warnings, *_seen(plan, snapshot))),
            plan=plan,
            action=describe(plan),
            policy=status.policy or freeze(snapshot.policy),
            interventions=heeded(status, approval),
            attempts=begin_attempt(status, now, plan),
            before=before,
            after=None,
            times=Times(planned=now, approval_requested=status.times.approval_requested),
        )
        written, seen = await asyncio.gather(
            self._recorder.record(remediation, planned), self._gatherer.right_now(remediation)
        )
        return await self._actor.execute(written, thaw(planned.policy), seen)


class Locks:
    """A lock for each key that somebody waits for. One process leads: what it knows of a target is the whole truth."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, key: str) -> AsyncIterator[None]:
        """Hold the lock of a key as long as the block lasts."""
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(key)
            if users > 1:
                self._locks[key] = (lock, users - 1)


def _seen(plan: Plan, snapshot: Snapshot) -> tuple[str, ...]:
    """Say what the plan rests on."""
    return tuple(filter(None, (plan.sizing, summary(snapshot.diagnosis))))


def _applied_late(remediation: Remediation, snapshot: Snapshot) -> Plan | None:
    """Return the plan that was given up because its patch seemed not to be taken, if that was carried out after all."""
    plan, times = remediation.status.plan, remediation.status.times
    if plan is None or times.patched is not None or times.planned is not None or snapshot.target is None:
        return None
    return plan if snapshot.target.annotations.get(PLAN_ANNOTATION) == plan.id else None
