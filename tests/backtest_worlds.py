"""Policies, FlinkDeployments and past alerts for backtests; minutes count from 2026-03-02 00:00 UTC, a Monday."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from remediator.api.policy import PolicySpec
from remediator.core.backtest.occurrences import Occurrence, merge, occurrence
from remediator.core.backtest.outcomes import Assumed
from remediator.core.backtest.records import NamedPolicy, Record
from remediator.core.backtest.simulation import Simulation
from remediator.core.backtest.world import Target

START = datetime(2026, 3, 2, tzinfo=UTC)
FREE: dict[str, Any] = {"storm": None, "cooldown": "0s", "budget": []}


def at(minute: float) -> datetime:
    """A moment."""
    return START + timedelta(minutes=minute)


def minutes(moment: datetime | None) -> float | None:
    """The minute of a moment."""
    return None if moment is None else (moment - START) / timedelta(minutes=1)


def policy(name: str = "lag", alert: str = "Lag", **changes: Any) -> NamedPolicy:
    """A policy that doubles the parallelism up to 16, and holds nothing back unless told to."""
    guards = {**FREE, **changes.pop("guards", {})}
    document = {
        "match": [{"label": "alertname", "value": alert}],
        "target": {"nameLabel": "app"},
        "actions": [{"type": "Scale", "scale": {"max": 16}}],
        "verify": {"query": "lag < 1000", "for": "1m", "timeout": "10m"},
        "guards": guards,
    }
    return NamedPolicy(name, name, PolicySpec.model_validate({**document, **changes}, extra="forbid"))


def deployment(name: str = "orders", **changes: Any) -> dict[str, Any]:
    """A FlinkDeployment as in a file, without a status."""
    metadata = {
        "namespace": "streaming",
        "name": name,
        "labels": {"remediation.streaming-monitoring.dev/enabled": "true"},
    }
    spec = {"flinkVersion": "v1_20", "job": {"parallelism": 2, "upgradeMode": "last-state"}}
    return {"kind": "FlinkDeployment", "metadata": {**metadata, **changes}, "spec": spec}


def fires(begin: float, end: float | None, app: str = "orders", alert: str = "Lag", **labels: str) -> Occurrence:
    """An alert that fires from one minute to another."""
    named = {"alertname": alert, "namespace": "streaming", "app": app, "severity": "critical", **labels}
    return occurrence(named, at(begin), None if end is None else at(end))


def replay(
    policies: Sequence[NamedPolicy],
    found: Iterable[Occurrence],
    targets: Iterable[dict[str, Any]] = (),
    until: float = 3 * 24 * 60,
    helps: bool = True,
) -> list[Record]:
    """Replay alerts: of one FlinkDeployment, orders, unless others are given."""
    world = [Target(resource) for resource in (list(targets) or [deployment()])]
    return Simulation(policies, world, Assumed(helps)).run(merge(found), at(until))


def told(record: Record) -> list[tuple[float | None, str, str]]:
    """What happened in an incident: minute, kind, and what was done or the reason."""
    return [(minutes(s.time), str(s.kind), "" if s.kind == "ask" else s.text.split(":")[0]) for s in record.steps]
