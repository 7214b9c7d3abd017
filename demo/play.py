"""Plays an incident and writes down what is to be seen of it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from remediator.api.reasons import Phase

from demo.incident import DRAIN_SECONDS, LAG_LIMIT, Incident, Sample, marks_of
from demo.pipeline import Pipeline
from demo.scenarios import Scenario

TERMINAL = {str(phase) for phase in Phase if phase.terminal}
HEALTHY_SECONDS = 10
"""How long the healthy pipeline is watched before the incident."""
_SAMPLE_SECONDS = 2


def play(
    scenario: Scenario, pipeline: Pipeline, progress: Callable[[str], None]
) -> tuple[Incident, dict[str, Any] | None]:
    """Play the incident; returns what was seen, and the remediation as it ended (None: there was none)."""
    incident = Incident(start=datetime.now(UTC), alert=scenario.alert)
    incident.mark(incident.start, f"{pipeline.rate} events/s: all is well")
    _watch(pipeline, incident, progress, HEALTHY_SECONDS, lambda: False)

    scenario.provoke(pipeline, incident)
    ended = _watch(pipeline, incident, progress, 600, lambda: _ended(pipeline, incident))
    remediation = pipeline.remediation(incident.start)
    if remediation is not None:
        for moment, what in marks_of(remediation):
            incident.mark(moment, what)
    if ended:
        _watch(pipeline, incident, progress, DRAIN_SECONDS, lambda: _settled(incident.samples[-1]))
    return incident, remediation


def _ended(pipeline: Pipeline, incident: Incident) -> bool:
    remediation = pipeline.remediation(incident.start)
    return remediation is not None and (remediation.get("status") or {}).get("phase") in TERMINAL


def _settled(sample: Sample) -> bool:
    return sample.alert == "inactive" and sample.lag is not None and sample.lag < LAG_LIMIT


def _watch(
    pipeline: Pipeline,
    incident: Incident,
    progress: Callable[[str], None],
    seconds: float,
    done: Callable[[], bool],
) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        sample = pipeline.sample(incident.start)
        _note_changes(incident, sample)
        incident.samples.append(sample)
        progress(incident.line(sample))
        if done():
            return True
        time.sleep(_SAMPLE_SECONDS)
    return False


def _note_changes(incident: Incident, sample: Sample) -> None:
    last = incident.samples[-1] if incident.samples else None
    if last is not None and sample.alert != last.alert:
        incident.mark(sample.time, f"{incident.alert} is {sample.alert}")
    known = [s.parallelism for s in incident.samples if s.parallelism is not None]
    if known and sample.parallelism is not None and sample.parallelism != known[-1]:
        incident.mark(sample.time, f"the job runs at parallelism {sample.parallelism}, by JobManager REST")
