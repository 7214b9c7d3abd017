"""From a snapshot to a decision."""

from remediator.api.reasons import Reason
from remediator.core.decision import Act, Decision, Refuse
from remediator.core.guards import first_objection
from remediator.core.naming import digest
from remediator.core.scale import plan_scale
from remediator.core.snapshot import Snapshot
from remediator.core.template import TemplateError, render


def decide(snapshot: Snapshot) -> Decision:
    """Decide what to do about a remediation that has not acted yet."""
    objection = first_objection(snapshot)
    if objection is not None:
        return objection
    query = snapshot.policy.verify.query
    if query is not None:
        try:
            render(query, snapshot.alert.labels, snapshot.target_ref)
        except TemplateError as error:
            return Refuse(Reason.POLICY_INVALID, f"verify.query: {error}; nothing is done that could not be verified.")
    target = snapshot.target
    assert target is not None  # the guards have found it
    plan_id = digest(snapshot.name, str(target.generation))
    plan = plan_scale(snapshot.policy.actions[0].scale, target, snapshot.job, plan_id)
    return plan if isinstance(plan, Refuse) else Act(plan)
