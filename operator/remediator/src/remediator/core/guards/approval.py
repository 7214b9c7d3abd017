"""A person agrees to the plan: the last guard, and the way through a storm."""

from dataclasses import dataclass

from remediator.api.base import format_duration
from remediator.api.names import APPROVAL_ANNOTATION
from remediator.api.reasons import Reason
from remediator.api.remediation import Plan
from remediator.core.decision import Cancel, Wait
from remediator.core.diagnosis import summary
from remediator.core.guards.base import LOOK_AGAIN, Objection, guard
from remediator.core.ownership import is_ours
from remediator.core.planner import make_plan
from remediator.core.record import describe
from remediator.core.schedule import asks, observes
from remediator.core.snapshot import Snapshot

APPROVED, DENIED = "approved", "denied"


@dataclass(frozen=True)
class Answer:
    """What a person has answered about a plan."""

    approved: bool = False
    hint: str = ""
    """What is wrong with an answer that does not approve it; begins with a space."""


def answer(s: Snapshot, plan: Plan) -> Answer:
    """Read the annotation: ``approved:PLAN`` approves that plan and no other."""
    text, _, named = s.progress.approval.partition(":")
    if not s.progress.approval:
        return Answer()
    if is_ours(s.progress.approved_by):
        return Answer(
            hint=f" The answer {s.progress.approval!r} was written by {s.progress.approved_by}, not a person."
        )
    match text, named:
        case "approved", plan.id:
            return Answer(approved=True)
        case "approved", "":
            return Answer(hint=f" {APPROVED!r} alone names no plan: write {APPROVED}:{plan.id}.")
        case "approved", other:
            return Answer(hint=f" What was approved is plan {other}, and this is another: the world has changed.")
        case _:
            return Answer(hint=f" {s.progress.approval!r} is neither.")


def is_denial(text: str) -> bool:
    """Tell whether an answer is no; who names a plan with it denies any plan all the same."""
    return text.partition(":")[0] == DENIED


def how_to_answer(s: Snapshot, plan: Plan) -> str:
    """Say how a person answers."""
    place = f"-n {s.namespace} " if s.namespace else ""
    return (
        f"kubectl {place}annotate --overwrite frem {s.name} {APPROVAL_ANNOTATION}={APPROVED}:{plan.id} (or {DENIED})."
    )


@guard(Reason.APPROVAL_DENIED)
def not_denied(s: Snapshot) -> Objection | None:
    """Nobody has said no, whether asked or not: it holds for any plan."""
    if not is_denial(s.progress.approval) or is_ours(s.progress.approved_by) or observes(s.policy, s.now):
        return None
    what = describe(make_plan(s))
    return Cancel(Reason.APPROVAL_DENIED, f"{what} was denied by the annotation {APPROVAL_ANNOTATION}.")


@guard(Reason.APPROVAL_REQUIRED, Reason.APPROVAL_EXPIRED)
def approved(s: Snapshot) -> Objection | None:
    """A person has agreed to this very plan, where the policy asks for it."""
    approval = s.policy.guards.approval
    if not asks(s.policy, s.now) or observes(s.policy, s.now):
        return None  # nobody is asked about what is not going to be done
    plan = make_plan(s)
    given = answer(s, plan)
    if given.approved:
        return None
    asked_before = s.progress.approval_requested if s.progress.proposal == plan.id else None
    expires = (asked_before or s.now) + approval.timeout
    if s.now >= expires:
        limit = format_duration(approval.timeout)
        return Cancel(
            Reason.APPROVAL_EXPIRED,
            f"{describe(plan)} was not approved within {limit} (guards.approval.timeout): look at the job yourself.",
        )
    following = [str(action.type) for action in s.policy.actions[s.progress.step + 1 :]]
    also = f" (if that does not help, {', '.join(following)} will be asked about)" if following else ""
    return Wait(
        Reason.APPROVAL_REQUIRED,
        f"{describe(plan)}{also}, plan {plan.id}, waits for approval until {expires:%H:%M:%S} UTC: "
        + " ".join(filter(None, (f"{how_to_answer(s, plan)}{given.hint}", plan.sizing, summary(s.diagnosis)))),
        min(expires, s.now + LOOK_AGAIN),
        plan.id,
    )
