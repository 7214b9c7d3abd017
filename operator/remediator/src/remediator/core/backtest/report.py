"""What a replay comes to: by policy and target, in total, how many people it wakes, and what two sets differ in."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from remediator.api.reasons import Phase, Reason
from remediator.core.backtest.records import Kind, Record


@dataclass
class Wait:
    """How often, and how long in total, something was waited for."""

    count: int = 0
    length: timedelta = timedelta(0)


@dataclass
class Tally:
    """What was decided, counted."""

    incidents: int = 0
    acts: Counter[str] = field(default_factory=Counter)
    """By what was done, such as Scale 2 to 4."""
    refused: Counter[Reason] = field(default_factory=Counter)
    waited: defaultdict[Reason, Wait] = field(default_factory=lambda: defaultdict(Wait))
    asked: int = 0
    """How often a person was asked to approve."""
    phases: Counter[Phase] = field(default_factory=Counter)
    """How the incidents stand at the end of the range."""

    def add(self, record: Record) -> None:
        """Count an incident."""
        self.incidents += 1
        self.acts += record.done()
        if record.phase is Phase.REFUSED:
            self.refused[Reason(record.reason)] += 1
        for reason, length in record.waited.items():
            if reason is not Reason.APPROVAL_REQUIRED:
                self.waited[reason].count += 1
                self.waited[reason].length += length
        self.asked += sum(step.kind is Kind.ASK for step in record.steps)
        self.phases[record.phase] += 1

    @property
    def open(self) -> int:
        """Incidents that have not ended."""
        return sum(count for phase, count in self.phases.items() if not phase.terminal)


@dataclass(frozen=True)
class Row:
    """One policy and one target."""

    policy: str
    namespace: str
    target: str
    tally: Tally


@dataclass(frozen=True)
class Woken:
    """How many critical alerts woke somebody."""

    without: int
    """Without the policies: every one that they answer."""
    helps: int
    """With them, if every action helps."""
    no_effect: int
    """With them, if none does."""


def total(records: Iterable[Record]) -> Tally:
    """Count all incidents."""
    tally = Tally()
    for record in records:
        tally.add(record)
    return tally


def rows(records: Iterable[Record]) -> list[Row]:
    """Count the incidents by policy and target."""
    found: dict[tuple[str, str, str], Tally] = {}
    for record in records:
        key = (record.policy.name, record.target_ref.namespace, record.target_ref.name)
        found.setdefault(key, Tally()).add(record)
    return [Row(*key, found[key]) for key in sorted(found)]


def answered(records: Iterable[Record]) -> int:
    """Count the critical alerts that the policies answer; one that several answer is one."""
    return len({(r.occurrence.fingerprint, began) for r in records if r.wakes for began in r.began})


def people(records: Iterable[Record]) -> int:
    """Count the critical alerts that somebody had to see to in spite of the policies."""
    return len({(r.occurrence.fingerprint, r.created) for r in records if r.wakes and r.needed_a_person})


@dataclass(frozen=True)
class Change:
    """An incident about which two sets of policies decide otherwise."""

    alert: str
    began: datetime
    namespace: str
    target: str
    before: str
    after: str


def compare(before: Iterable[Record], after: Iterable[Record]) -> list[Change]:
    """Return what another set of policies changes, in the order of time."""
    told: tuple[dict[_Incident, str], dict[_Incident, str]] = (_stories(before), _stories(after))
    return [
        Change(alert, began, namespace, target, *stories)
        for began, alert, namespace, target, fingerprint in sorted(told[0].keys() | told[1].keys())
        if (stories := [one.get((began, alert, namespace, target, fingerprint), NOBODY) for one in told])[0]
        != stories[1]
    ]


NOBODY = "no policy answers it"
_Incident = tuple[datetime, str, str, str, str]


def _stories(records: Iterable[Record]) -> dict[_Incident, str]:
    found: defaultdict[_Incident, list[str]] = defaultdict(list)
    for record in records:
        alert = record.labels.get("alertname", "")
        key = (record.created, alert, *record.key, record.occurrence.fingerprint)
        found[key].append(story(record))
    return {key: "; ".join(sorted(stories)) for key, stories in found.items()}


def story(record: Record) -> str:
    """Say in a line what became of an incident."""
    told = [step.text for step in record.steps if step.kind is Kind.ACT]
    told += ["asked"] if any(step.kind is Kind.ASK for step in record.steps) else []
    told += [f"waited for {reason}" for reason in record.waited if reason is not Reason.APPROVAL_REQUIRED]
    return ", ".join([*told, f"{record.phase} ({record.reason})"])
