"""A guard on what is seen of the running job: whether the action is a remedy for it."""

from remediator.api.diagnosis import FindingType
from remediator.api.reasons import Reason
from remediator.core import diagnosis
from remediator.core.decision import Refuse
from remediator.core.guards.base import Objection, guard, wait
from remediator.core.snapshot import Snapshot


@guard(Reason.FINDING_FORBIDS, Reason.FINDING_MISSING)
def findings_allow(s: Snapshot) -> Objection | None:
    """Nothing was found that the policy forbids the action for, and what it requires was. What was not seen forbids
    nothing: a remedy does not depend on whether somebody could look."""
    action = s.action
    against = diagnosis.found(s.diagnosis, action.forbidden)
    if against is not None:
        return Refuse(
            Reason.FINDING_FORBIDS,
            f"{against.type}: no {action.type} for it (findings.forbid of the action). {against.message}",
        )
    required = action.findings.require
    if not required or diagnosis.found(s.diagnosis, required) is not None:
        return None
    wanted = f"The action is for {_listed(required)} only (findings.require)"
    if s.diagnosis is None or not s.diagnosis.vertices:
        return wait(s, Reason.FINDING_MISSING, f"{wanted}, and the running job could not be looked at.")
    seen = diagnosis.summary(s.diagnosis) or "Nothing was found."
    return Refuse(Reason.FINDING_MISSING, f"{wanted}. {seen}")


def _listed(types: tuple[FindingType, ...]) -> str:
    return " or ".join(str(kind) for kind in types)
