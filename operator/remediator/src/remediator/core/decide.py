"""From a snapshot to a decision."""

from remediator.core.decision import Act, Decision
from remediator.core.guards import first_objection
from remediator.core.planner import make_plan
from remediator.core.snapshot import Snapshot


def decide(snapshot: Snapshot) -> Decision:
    """Decide what to do about a remediation that is not in flight."""
    return first_objection(snapshot) or Act(make_plan(snapshot))
