"""What all guards share."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from remediator.api.reasons import Reason
from remediator.core.decision import Cancel, Refuse, Wait
from remediator.core.flinkdeployment import FlinkDeployment
from remediator.core.snapshot import Snapshot

Objection = Wait | Refuse | Cancel
Check = Callable[[Snapshot], Objection | None]

LOOK_AGAIN = timedelta(seconds=10)
"""How soon to look again at what passes at a moment nobody knows."""


@dataclass(frozen=True)
class Guard:
    """A check on the snapshot, and all the reasons it may object for."""

    check: Check
    reasons: tuple[Reason, ...]

    def __call__(self, snapshot: Snapshot) -> Objection | None:
        """Return the objection, or None."""
        return self.check(snapshot)


def guard(*reasons: Reason) -> Callable[[Check], Guard]:
    """Make a guard of a function that objects for no other reasons than these."""
    return lambda check: Guard(check, reasons)


def found(s: Snapshot) -> FlinkDeployment:
    """Return the target, which an earlier guard of the chain has found."""
    assert s.target is not None
    return s.target


def wait(s: Snapshot, reason: Reason, message: str) -> Wait:
    """Wait for what passes at a moment nobody knows."""
    return Wait(reason, message, s.now + LOOK_AGAIN)
