"""Lets an owner's change of a job's parallelism take effect where overrides of an earlier scale hide it, or says so."""

from remediator.adapters.kube import Conflict, Rejected
from remediator.api.policy import PolicySpec
from remediator.api.reasons import Reason
from remediator.core.configuration import OVERRIDES_KEY
from remediator.core.guards import HAND_BACK_CHAIN, first_objection
from remediator.core.handback import hand_back, hidden_parallelism
from remediator.core.record import advance
from remediator.core.schedule import observes
from remediator.services.act import Actor
from remediator.services.gather import Clock, Gatherer
from remediator.services.recorder import Recorder
from remediator.services.resources import Remediation


class HandBack:
    """Looks at a FlinkDeployment beside the record that scaled it last."""

    def __init__(self, gatherer: Gatherer, actor: Actor, recorder: Recorder, clock: Clock) -> None:
        self._gatherer = gatherer
        self._actor = actor
        self._recorder = recorder
        self._clock = clock

    async def look(self, remediation: Remediation, policy: PolicySpec | None) -> bool | None:
        """Give a job back whose owner has changed its parallelism; returns whether it was, or None where nothing is to
        be given back. Raises KubeError."""
        plan = remediation.status.plan
        target = await self._gatherer.target(remediation)
        parallelism = hidden_parallelism(plan, target) if plan is not None and target is not None else None
        if plan is None or target is None or parallelism is None or target.uid != remediation.spec.target.uid:
            return None
        obstacle = await self._obstacle(remediation, policy)
        if not obstacle:
            try:
                await self._actor.patch(remediation, hand_back(plan, target, parallelism))
            except Conflict:
                return False  # somebody was quicker; the next sweep looks again
            except Rejected as error:
                obstacle = f"The API server refused the patch: {error}"
        asked = f"The owner has set job.parallelism to {parallelism}"
        if not obstacle:
            message = f"{asked}: the vertices that were scaled get it, too."
            await self._record(remediation, Reason.HANDED_BACK, message)
            return True
        await self._record(
            remediation,
            Reason.OWNERS_CHANGE_HIDDEN,
            f"{asked}, which has no effect on the vertices that were scaled: their overrides in "
            f"{OVERRIDES_KEY} win. They are not changed: {obstacle} Set them yourself, or what stands against it.",
        )
        return False

    async def _obstacle(self, remediation: Remediation, policy: PolicySpec | None) -> str:
        if policy is None:
            return "The policy is gone or cannot be read."
        if observes(policy, self._clock()):
            return "The policy only observes."
        objection = first_objection(await self._gatherer.snapshot(remediation, policy), HAND_BACK_CHAIN)
        return objection.message if objection is not None else ""

    async def _record(self, remediation: Remediation, reason: Reason, message: str) -> None:
        status = remediation.status
        if (status.reason, status.message) != (reason, message):
            await self._recorder.record(remediation, advance(status, self._clock(), status.phase, reason, message))
