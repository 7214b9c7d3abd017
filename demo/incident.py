"""An incident as it is seen from outside, and the verdict on it. Nothing in here talks to a cluster."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

LAG_LIMIT = 1000
DRAIN_SECONDS = 120


@dataclass(frozen=True)
class Sample:
    """What was seen at one moment; None where nobody answered."""

    time: datetime
    lag: float | None
    parallelism: int | None
    rate: int
    alert: str
    """inactive, pending or firing."""
    remediation: str
    """Phase and reason; empty while there is none."""


@dataclass
class Incident:
    """All that was seen."""

    start: datetime
    alert: str
    """The alert's name."""
    samples: list[Sample] = field(default_factory=list)
    marks: list[tuple[datetime, str]] = field(default_factory=list)
    """What happened when, for the timeline."""

    def mark(self, time: datetime, what: str) -> None:
        """Note that something happened."""
        self.marks.append((time, what))

    def mark_now(self, what: str) -> None:
        """Note that something was done at this moment."""
        self.mark(datetime.now(UTC), what)

    def line(self, sample: Sample) -> str:
        """Write a sample for the terminal."""
        lag = "-" if sample.lag is None else f"{sample.lag:.0f}"
        parallelism = "-" if sample.parallelism is None else str(sample.parallelism)
        seconds = (sample.time - self.start).total_seconds()
        return (
            f"  {seconds:4.0f} s   rate {sample.rate:4d}/s   lag {lag:>6}   parallelism {parallelism:>2}   "
            f"{self.alert} {sample.alert:<8}   {sample.remediation}"
        )


@dataclass(frozen=True)
class Promise:
    """What the remediation of an incident is to come to."""

    action: str
    """How its column ACTION begins."""
    parallelism: int
    from_checkpoint: bool = False
    """Whether the job is to be started from the latest checkpoint that was known before."""
    consequences: frozenset[str] = frozenset()
    """Critical alerts that may fire beside the incident's own: what follows from it, where it lasts."""


@dataclass(frozen=True)
class Outcome:
    """What it came to, read from others than the remediator."""

    parallelism: int | None
    """By JobManager REST."""
    restored_checkpoint: int | None
    """What the job was last started from, by JobManager REST."""
    critical_alerts: list[str]
    """Those that fired, according to Prometheus."""
    audit: dict[str, Any]
    """Produced records looked for in what came out."""


def marks_of(remediation: dict[str, Any]) -> list[tuple[datetime, str]]:
    """Return the timeline that a FlinkRemediation recorded itself."""
    status = remediation.get("status") or {}
    name = remediation["metadata"]["name"]
    entries = status.get("timeline") or []
    return [
        (datetime.fromisoformat(e["time"]), f"{name}: {e['phase']} ({e['reason']}) {e.get('message', '')}".rstrip())
        for e in entries
    ]


def failures(incident: Incident, promise: Promise, remediation: dict[str, Any], outcome: Outcome) -> list[str]:
    """Say what did not go as promised; an empty list is success."""
    wrong = []
    status = remediation.get("status") or {}
    if status.get("phase") != "Succeeded":
        wrong.append(f"the remediation ended {status.get('phase')}: {status.get('message')}")
    if not str(status.get("action")).startswith(promise.action):
        wrong.append(f"the action was {status.get('action')}, not {promise.action}")
    if outcome.parallelism != promise.parallelism:
        wrong.append(f"the job runs at parallelism {outcome.parallelism}, not {promise.parallelism}")
    if promise.from_checkpoint and not _started_from(status, outcome.restored_checkpoint):
        wrong.append(f"the job was started from checkpoint {outcome.restored_checkpoint}, not from the latest one")
    false_alarms = set(outcome.critical_alerts) - {incident.alert} - promise.consequences
    if false_alarms:
        wrong.append(f"alerts fired without a cause: {', '.join(sorted(false_alarms))}")
    running = (status.get("times") or {}).get("running")
    if running is None:
        wrong.append("the job was not seen running as planned")
    elif not _drained(incident, datetime.fromisoformat(running)):
        wrong.append(f"the lag was not below {LAG_LIMIT} within {DRAIN_SECONDS} s of the job running as planned")
    if outcome.audit.get("lost", -1) != 0:
        wrong.append(f"records are missing: {outcome.audit}")
    if not outcome.audit.get("produced"):
        wrong.append("nothing was produced")
    return wrong


def _started_from(status: dict[str, Any], restored: int | None) -> bool:
    known = (status.get("before") or {}).get("checkpoint")
    return known is not None and restored is not None and restored >= known


def _drained(incident: Incident, running: datetime) -> bool:
    def in_time(sample: Sample) -> bool:
        return 0 <= (sample.time - running).total_seconds() <= DRAIN_SECONDS

    return any(s.lag is not None and s.lag < LAG_LIMIT and in_time(s) for s in incident.samples)
