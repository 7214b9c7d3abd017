"""Takes a scale that helped back when it is no longer needed, a step with each sweep."""

from remediator.adapters.kube import Conflict, Rejected
from remediator.api.names import PLAN_ANNOTATION
from remediator.api.policy import PolicySpec
from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import Plan, Times
from remediator.core.guards import SCALE_BACK_CHAIN, first_objection
from remediator.core.handback import hidden_parallelism
from remediator.core.patch import inverse_id
from remediator.core.record import advance
from remediator.core.schedule import observes
from remediator.core.verification import TakenBack, judge_revert, still_asked
from remediator.services.act import Actor
from remediator.services.gather import Clock, Gatherer
from remediator.services.recorder import Recorder
from remediator.services.resources import Remediation, is_reversible

_CHANGED = "somebody else has changed the FlinkDeployment meanwhile"


class ScaleBack:
    """Begins, and finishes what a crash or an error has left half done."""

    def __init__(self, gatherer: Gatherer, actor: Actor, recorder: Recorder, clock: Clock) -> None:
        self._gatherer = gatherer
        self._actor = actor
        self._recorder = recorder
        self._clock = clock

    async def step(self, remediation: Remediation, policy: PolicySpec | None) -> bool:
        """Do what is next for a remediation, if anything; returns whether it is now taken back.

        Raises KubeError, or Unreadable; the next sweep then goes on.
        """
        plan, times = remediation.status.plan, remediation.status.times
        if plan is None or times.finished is None or not is_reversible(remediation.status):
            return False
        after = policy.revert.after if policy else None
        due = after is not None and self._clock() - times.finished >= after.quiet_for
        if times.reverting is None and not due:
            return False
        wanted = due and policy is not None and await self._wanted(remediation, policy, plan)
        return await self._go_on(remediation, plan, wanted)

    async def _wanted(self, remediation: Remediation, policy: PolicySpec, plan: Plan) -> bool:
        after = policy.revert.after
        if after is None or observes(policy, self._clock()):
            return False
        snapshot = await self._gatherer.snapshot(remediation, policy)
        if snapshot.target is None or not still_asked(plan, snapshot.target):
            return False
        if hidden_parallelism(plan, snapshot.target) is not None:
            return False  # the owner asks for something else
        if any(not sibling.phase.terminal and not sibling.deleting for sibling in snapshot.target_siblings):
            return False  # another alert is about to need what would be taken away
        if first_objection(snapshot, SCALE_BACK_CHAIN) is not None:
            return False
        return await self._gatherer.been_quiet(remediation, after)

    async def _go_on(self, remediation: Remediation, plan: Plan, wanted: bool) -> bool:
        """``wanted`` is whether it is quiet enough and nothing stands against it."""
        times = remediation.status.times
        target = await self._gatherer.target(remediation)
        left_behind = target.annotations.get(PLAN_ANNOTATION) if target is not None else None
        if times.reverting is None:
            if not wanted or left_behind != plan.id:
                return False
            message = f"Quiet enough for parallelism {plan.parallelism_before}."
            times = times.model_copy(update={"reverting": self._clock()})
            remediation = await self._record(remediation, Reason.SCALING_BACK, message, times)
        if left_behind == inverse_id(plan.id):
            return await self._scaled_back(remediation, plan)
        if times.reverted is not None or left_behind != plan.id:
            return await self._keep(remediation, _CHANGED, Reason.CHANGED_BY_OTHERS)
        if not wanted:
            return await self._keep(remediation, "it is not quiet any more")
        try:
            await self._actor.patch(remediation, plan.inverse)
        except Conflict:
            return await self._keep(remediation, _CHANGED)
        except Rejected as error:
            refused = f"the API server refused the patch: {error}"
            return await self._keep(remediation, refused, Reason.PATCH_REJECTED)
        return await self._scaled_back(remediation, plan)

    async def _scaled_back(self, remediation: Remediation, plan: Plan) -> bool:
        """See that the job runs as before the scale."""
        times = remediation.status.times
        if times.reverted is None:
            times = times.model_copy(update={"reverted": self._clock()})
            message = f"Taken back to parallelism {plan.parallelism_before} after a quiet period."
            await self._record(remediation, Reason.SCALING_BACK, message, times)
            return False
        seen = await self._gatherer.seen(remediation)
        verdict = judge_revert(plan, times.reverted, seen)
        if not isinstance(verdict, TakenBack):
            return False
        times = times.model_copy(update={"scaled_back": seen.now})
        message = f"Helped, and is not needed any more. {verdict.message}"
        await self._record(remediation, Reason.SCALED_BACK, message, times)
        return True

    async def _keep(self, remediation: Remediation, why: str, reason: Reason = Reason.VERIFIED) -> bool:
        """Give a scale-back up; with the reason Verified the next sweep may begin it anew."""
        times = remediation.status.times.model_copy(update={"reverting": None, "reverted": None})
        message = f"Helped, and was not taken back: {why}."
        await self._record(remediation, reason, message, times)
        return False

    async def _record(self, remediation: Remediation, reason: Reason, message: str, times: Times) -> Remediation:
        status = advance(remediation.status, self._clock(), Phase.SUCCEEDED, reason, message, times=times)
        return await self._recorder.record(remediation, status)
