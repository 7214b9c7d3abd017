"""What the simulation keeps of each incident."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from remediator.api.policy import ActionType, PolicySpec
from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import AlertReference, Plan, TargetReference
from remediator.core.backtest.occurrences import Occurrence
from remediator.core.backtest.world import Target
from remediator.core.record import describe
from remediator.core.snapshot import Progress, Sibling

WAKES: Final = ("severity", "critical")
"""The label of alerts that wake people."""


@dataclass(frozen=True)
class NamedPolicy:
    """A policy with its name."""

    name: str
    uid: str
    spec: PolicySpec


class Kind(StrEnum):
    """What happened at a moment."""

    ACT = "act"
    REFUSE = "refuse"
    ASK = "ask"
    WAIT = "wait"
    OBSERVE = "observe"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class Step:
    """What happened at a moment."""

    time: datetime
    kind: Kind
    text: str


@dataclass(slots=True)
class Record:
    """An incident: what a FlinkRemediation is in a cluster."""

    name: str
    policy: NamedPolicy
    target_ref: TargetReference
    target: Target | None
    incident: str
    occurrence: Occurrence
    """The one that it was created for."""
    created: datetime
    ends_at: datetime | None
    """When the alert ends, in history or because an action helped; None: not before the end of the range."""
    began: list[datetime] = field(default_factory=list)
    """When its alert began; more than once where it ended and fired again before the record had ended."""
    phase: Phase = Phase.PENDING
    reason: str = ""
    resolved: bool = False
    step: int = 0
    actions: tuple[datetime, ...] = ()
    proposal: str = ""
    approval_requested: datetime | None = None
    finished: datetime | None = None
    outlasted: bool = False
    """Whether its alert fired on when the action counted as verified, in spite of it."""
    waiting: tuple[Reason, datetime] | None = None
    """For what it waits, and since when."""
    waited: defaultdict[Reason, timedelta] = field(default_factory=lambda: defaultdict(timedelta))
    steps: list[Step] = field(default_factory=list)
    looks: int = 0
    """Looks that were planned; an earlier one does not count once another is planned."""
    ends: int = 0
    """The same of ends of its alert."""
    key: tuple[str, str] = field(init=False)
    """The target's namespace and name."""
    sibling: Sibling = field(init=False)
    """As others see it."""
    alert: AlertReference | None = None
    """The alert as a FlinkRemediation holds it; kept only while something is to be decided."""

    def __post_init__(self) -> None:
        self.key = (self.target_ref.namespace, self.target_ref.name)
        self.changed()

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the alert."""
        return self.occurrence.labels

    @property
    def undecided(self) -> bool:
        """Whether something is still to be decided."""
        return self.phase in (Phase.PENDING, Phase.AWAITING_APPROVAL)

    @property
    def wakes(self) -> bool:
        """Whether the alert would have woken somebody."""
        return self.labels.get(WAKES[0]) == WAKES[1]

    @property
    def needed_a_person(self) -> bool:
        """Whether somebody had to see to it all the same: nothing was done or it did not help, a person was asked, a
        storm was on, or the alert outlasted an end that counts as success."""
        if self.phase in (Phase.INEFFECTIVE, Phase.FAILED, Phase.REFUSED, Phase.OBSERVED):
            return True
        asked = any(step.kind is Kind.ASK for step in self.steps)
        return asked or self.outlasted or Reason.STORM in self.waited

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        return Progress(
            step=self.step,
            actions=self.actions,
            proposal=self.proposal,
            approval_requested=self.approval_requested,
        )

    def done(self) -> Counter[str]:
        """Count the actions by what they did."""
        return Counter(step.text for step in self.steps if step.kind is Kind.ACT)

    def changed(self) -> None:
        """Let others see it as it is now."""
        self.sibling = Sibling(
            name=self.name,
            target=self.target_ref,
            phase=self.phase,
            created=self.created,
            actions=self.actions,
            finished=self.finished,
            starts_at=self.occurrence.starts_at,
            resolved=self.resolved,
            incident=self.incident,
        )

    def tell(self, now: datetime, kind: Kind, text: str) -> None:
        """Note what happens."""
        self.steps.append(Step(now, kind, text))

    def waits(self, now: datetime, reason: Reason | None) -> bool:
        """Go on by waiting for this, or for nothing; returns whether that is new."""
        if self.waiting is not None and self.waiting[0] is reason:
            return False
        if self.waiting is not None:
            self.waited[self.waiting[0]] += now - self.waiting[1]
        self.waiting = (reason, now) if reason is not None else None
        return reason is not None


def reference(one: Occurrence) -> AlertReference:
    """Return an alert as a FlinkRemediation holds it."""
    return AlertReference.model_construct(
        name=one.labels.get("alertname", ""),
        fingerprint=one.fingerprint,
        starts_at=one.starts_at,
        labels=dict(one.labels),
        annotations={},
        shortened=(),
        generator_url="",
        group_key="",
    )


def short(plan: Plan) -> str:
    """Say in a few words what a plan does, the same words for the same action."""
    return describe(plan) if plan.action is ActionType.SCALE else str(plan.action)
