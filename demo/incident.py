"""An incident as it is seen from outside, and the verdict on it. Nothing in here talks to a cluster."""

from dataclasses import dataclass, field
from datetime import datetime
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

    def line(self, start: datetime) -> str:
        """Write the sample for the terminal."""
        lag = "-" if self.lag is None else f"{self.lag:.0f}"
        parallelism = "-" if self.parallelism is None else str(self.parallelism)
        seconds = (self.time - start).total_seconds()
        return (
            f"  {seconds:4.0f} s   rate {self.rate:4d}/s   lag {lag:>6}   parallelism {parallelism:>2}   "
            f"HighKafkaLag {self.alert:<8}   {self.remediation}"
        )


@dataclass
class Incident:
    """All that was seen."""

    start: datetime
    samples: list[Sample] = field(default_factory=list)
    marks: list[tuple[datetime, str]] = field(default_factory=list)
    """What happened when, for the timeline."""

    def mark(self, time: datetime, what: str) -> None:
        """Note that something happened."""
        self.marks.append((time, what))


def marks_of(remediation: dict[str, Any]) -> list[tuple[datetime, str]]:
    """Return the timeline that a FlinkRemediation recorded itself."""
    status = remediation.get("status") or {}
    name = remediation["metadata"]["name"]
    entries = status.get("timeline") or []
    return [
        (datetime.fromisoformat(e["time"]), f"{name}: {e['phase']} ({e['reason']}) {e.get('message', '')}".rstrip())
        for e in entries
    ]


def failures(
    incident: Incident, remediation: dict[str, Any], parallelism: int | None, audit: dict[str, Any]
) -> list[str]:
    """Say what did not go as promised; an empty list is success."""
    wrong = []
    status = remediation.get("status") or {}
    if status.get("phase") != "Succeeded":
        wrong.append(f"the remediation ended {status.get('phase')}: {status.get('message')}")
    if parallelism != 4:
        wrong.append(f"the job runs at parallelism {parallelism}, not 4")
    running = (status.get("times") or {}).get("running")
    if running is None:
        wrong.append("the job was not seen running as planned")
    elif not _drained(incident, datetime.fromisoformat(running)):
        wrong.append(f"the lag was not below {LAG_LIMIT} within {DRAIN_SECONDS} s of the job running at 4")
    if audit.get("lost", -1) != 0:
        wrong.append(f"records are missing: {audit}")
    if not audit.get("produced"):
        wrong.append("nothing was produced")
    return wrong


def _drained(incident: Incident, running: datetime) -> bool:
    def in_time(sample: Sample) -> bool:
        return 0 <= (sample.time - running).total_seconds() <= DRAIN_SECONDS

    return any(s.lag is not None and s.lag < LAG_LIMIT and in_time(s) for s in incident.samples)
