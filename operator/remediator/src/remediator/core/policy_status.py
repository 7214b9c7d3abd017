"""What the controller says about a policy: whether it answers alerts, and what it has led to."""

from collections.abc import Iterable
from datetime import datetime

from remediator.api.base import Condition
from remediator.api.policy import PolicyStatus

READY = "Ready"
VALID, INVALID = "Valid", "Invalid"


def policy_status(
    before: PolicyStatus, generation: int, problem: str, records: Iterable[tuple[datetime, bool]], now: datetime
) -> PolicyStatus:
    """Return the status of a policy.

    ``problem``: why it cannot be read, empty if it can; ``records``: of each of its FlinkRemediations when it was
    created and whether it has ended. What is known of records that are gone by now stays.
    """
    created = list(records)
    latest = max([moment for moment, _ in created] + [m for m in [before.last_triggered] if m], default=None)
    return PolicyStatus(
        observed_generation=generation,
        conditions=(_ready(before, problem, now),),
        last_triggered=latest,
        open=sum(not ended for _, ended in created),
    )


def _ready(before: PolicyStatus, problem: str, now: datetime) -> Condition:
    status = "False" if problem else "True"
    last = next((c for c in before.conditions if c.type == READY), None)
    return Condition(
        type=READY,
        status=status,
        reason=INVALID if problem else VALID,
        message=problem[:1024] if problem else "The policy answers alerts.",
        last_transition_time=last.last_transition_time if last and last.status == status else now,
    )
