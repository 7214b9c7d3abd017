"""What can come out of a decision."""

from dataclasses import dataclass
from datetime import datetime

from remediator.api.reasons import Reason
from remediator.api.remediation import Plan


@dataclass(frozen=True)
class Act:
    """Carry out the plan."""

    plan: Plan


@dataclass(frozen=True)
class Wait:
    """Something that passes by itself is in the way; look again then."""

    reason: Reason
    message: str
    until: datetime
    proposal: str = ""
    """Id of the plan that a person may approve; empty if there is none."""


@dataclass(frozen=True)
class Refuse:
    """Nothing will be done."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Cancel:
    """There is nothing left to do: the alert is resolved."""

    reason: Reason
    message: str


Decision = Act | Wait | Refuse | Cancel
