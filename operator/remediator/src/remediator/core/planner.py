"""From a snapshot to a decision."""

from remediator.api.base import format_duration
from remediator.api.names import APPROVAL_ANNOTATION
from remediator.api.policy import ActionType, PolicySpec
from remediator.api.reasons import Reason
from remediator.api.remediation import Plan
from remediator.core.decision import Act, Cancel, Decision, Refuse, Wait
from remediator.core.guards import LOOK_AGAIN, first_objection
from remediator.core.naming import digest
from remediator.core.record import describe
from remediator.core.restore import plan_restart, plan_restore
from remediator.core.scale import plan_scale
from remediator.core.snapshot import Snapshot
from remediator.core.template import TemplateError, render


def decide(snapshot: Snapshot) -> Decision:
    """Decide what to do about a remediation that is not in flight."""
    if snapshot.progress.step >= len(snapshot.policy.actions):
        return Refuse(Reason.POLICY_INVALID, "The policy's ladder became shorter meanwhile; this rung is gone.")
    objection = first_objection(snapshot)
    if objection is not None:
        return objection
    for name, query in _queries(snapshot.policy):
        try:
            render(query, snapshot.alert.labels, snapshot.target_ref)
        except TemplateError as error:
            return Refuse(Reason.POLICY_INVALID, f"{name}: {error}; nothing is done that could not be verified.")
    plan = _plan(snapshot)
    if isinstance(plan, Refuse):
        return plan
    return _approval(snapshot, plan) or Act(plan)


def _queries(policy: PolicySpec) -> list[tuple[str, str]]:
    after = policy.revert.after
    named = [("verify.query", policy.verify.query), ("revert.after.query", after.query if after else None)]
    return [(name, query) for name, query in named if query is not None]


def _plan(s: Snapshot) -> Plan | Refuse:
    target, action = s.target, s.action
    assert target is not None  # the guards have found it
    plan_id = digest(s.name, str(s.progress.step), str(target.generation))
    match action.type:
        case ActionType.RESTORE:
            path = (s.job.latest.path if s.job and s.job.latest else "") or s.progress.checkpoint_path
            return plan_restore(action, target, s.job, path, plan_id)
        case ActionType.RESTART:
            return plan_restart(action, target, s.job, plan_id)
        case ActionType.SCALE:
            plan = plan_scale(action, target, s.job, plan_id)
    if isinstance(plan, Plan) and s.partitions is not None and s.partitions < plan.parallelism_after:
        warning = (
            f"{Reason.MORE_PARTITIONS_NEEDED}: the topics have {s.partitions} partitions at most; "
            f"of {plan.parallelism_after} source subtasks the others stay idle."
        )
        return plan.model_copy(update={"warnings": (warning,)})
    return plan


def _approval(s: Snapshot, plan: Plan) -> Wait | Refuse | Cancel | None:
    approval = s.policy.guards.approval
    if not approval.required or s.progress.approval == "approved":
        return None
    if s.progress.approval == "denied":
        return Cancel(Reason.APPROVAL_DENIED, f"{describe(plan)} was denied.")
    expires = (s.progress.approval_requested or s.now) + approval.timeout
    if s.now >= expires:
        limit = format_duration(approval.timeout)
        return Cancel(Reason.APPROVAL_EXPIRED, f"{describe(plan)} was not approved within {limit}.")
    return Wait(
        Reason.APPROVAL_REQUIRED,
        f"{describe(plan)} waits for approval until {expires:%H:%M:%S} UTC: "
        f"kubectl annotate flinkremediation {s.name} {APPROVAL_ANNOTATION}=approved (or denied).",
        min(expires, s.now + LOOK_AGAIN),
    )
