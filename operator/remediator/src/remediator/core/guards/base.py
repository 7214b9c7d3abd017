"""What all guards share."""

from collections.abc import Callable
from datetime import timedelta

from remediator.api.reasons import Reason
from remediator.core.decision import Cancel, Refuse, Wait
from remediator.core.flinkdeployment import FlinkDeployment
from remediator.core.snapshot import Snapshot

Objection = Wait | Refuse | Cancel
Guard = Callable[[Snapshot], Objection | None]

LOOK_AGAIN = timedelta(seconds=10)
"""How soon to look again at what passes at a moment nobody knows."""


def found(s: Snapshot) -> FlinkDeployment:
    """Return the target, which an earlier guard of the chain has found."""
    assert s.target is not None
    return s.target


def wait(s: Snapshot, reason: Reason, message: str) -> Wait:
    """Wait for what passes at a moment nobody knows."""
    return Wait(reason, message, s.now + LOOK_AGAIN)
