"""The last guard: a person agrees to the plan."""

from remediator.api.base import format_duration
from remediator.api.names import APPROVAL_ANNOTATION
from remediator.api.policy import Mode
from remediator.api.reasons import Reason
from remediator.core.decision import Cancel, Wait
from remediator.core.guards.base import LOOK_AGAIN, Objection, guard
from remediator.core.planner import make_plan
from remediator.core.record import describe
from remediator.core.snapshot import Snapshot

APPROVED, DENIED = "approved", "denied"


@guard(Reason.APPROVAL_REQUIRED, Reason.APPROVAL_DENIED, Reason.APPROVAL_EXPIRED)
def approved(s: Snapshot) -> Objection | None:
    """A person has agreed, where the policy asks for it: to this action and to those that follow it on the ladder."""
    approval = s.policy.guards.approval
    answer = s.progress.approval
    if not approval.required or answer == APPROVED or s.policy.mode is Mode.OBSERVE:
        return None  # nobody is asked about what is not going to be done
    what = describe(make_plan(s))
    if answer == DENIED:
        return Cancel(Reason.APPROVAL_DENIED, f"{what} was denied by the annotation {APPROVAL_ANNOTATION}.")
    expires = (s.progress.approval_requested or s.now) + approval.timeout
    if s.now >= expires:
        limit = format_duration(approval.timeout)
        return Cancel(
            Reason.APPROVAL_EXPIRED,
            f"{what} was not approved within {limit} (guards.approval.timeout): look at the job yourself.",
        )
    following = [str(action.type) for action in s.policy.actions[s.progress.step + 1 :]]
    also = f" (and, if that does not help, {', '.join(following)})" if following else ""
    unknown = f" {answer!r} is neither." if answer else ""
    place = f"-n {s.namespace} " if s.namespace else ""
    return Wait(
        Reason.APPROVAL_REQUIRED,
        f"{what}{also} waits for approval until {expires:%H:%M:%S} UTC: "
        f"kubectl {place}annotate frem {s.name} {APPROVAL_ANNOTATION}={APPROVED} (or {DENIED}).{unknown}",
        min(expires, s.now + LOOK_AGAIN),
    )
