"""Carries a backtest out: gathers what is replayed, and replays it."""

import gc
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from remediator.adapters.kube import Kube
from remediator.adapters.prometheus_history import History
from remediator.core.backtest.occurrences import Occurrence, merge
from remediator.core.backtest.outcomes import Assumed
from remediator.core.backtest.records import NamedPolicy, Record
from remediator.core.backtest.report import Tally, Woken, answered, people, total
from remediator.core.backtest.simulation import Simulation
from remediator.core.backtest.world import Target
from remediator.core.matching import first_mismatch, target_query
from remediator.services.backtest.alerts import alerts_in
from remediator.services.backtest.inputs import policies_in, policies_of, rules_in, targets_in, targets_of
from remediator.services.backtest.replayed import Progress, Range, fired, would_fire
from remediator.services.backtest.request import Request
from remediator.services.documents import BadInput

Cluster = Callable[[], Awaitable[Kube]]
"""Connects to the cluster, which is asked only for what no file gives."""
_DEFAULT_RANGE = timedelta(days=7)
_AFTER_THE_LAST = timedelta(hours=1)


@dataclass(frozen=True)
class Replay:
    """What one set of policies would have done."""

    policies: Sequence[NamedPolicy]
    records: list[Record]
    tally: Tally
    woken: Woken


@dataclass(frozen=True)
class Result:
    """What a backtest has found."""

    start: datetime
    end: datetime
    assumed: Assumed
    sources: dict[str, str]
    """Where policies, targets and alerts are from."""
    notes: list[str]
    """What was left out."""
    replay: Replay
    compared: Replay | None

    @property
    def figure_woken(self) -> int:
        """How many people are woken, by the outcome that was asked for."""
        return self.replay.woken.helps if self.assumed.helps else self.replay.woken.no_effect


async def run(request: Request, cluster: Cluster, namespace: str, progress: Progress) -> Result:
    """Carry a backtest out. Raises BadInput, KubeError and NoHistory."""
    _check(request)
    notes: list[str] = []
    kube = None if request.policies and request.targets else await cluster()
    compared = policies_in(request.compared)
    if kube is None or request.policies:
        policies, policies_from = policies_in(request.policies), _files(request.policies)
    else:
        policies, left_out = await policies_of(kube, namespace)
        policies_from, notes = f"the namespace {namespace} of the cluster, as they are now", notes + left_out
        if not policies:
            raise BadInput(f"there is no policy that can be read in the namespace {namespace}; give one by --policy")
    found, over, alerts_from = await _alerts(request, [*policies, *compared], progress)
    unanswered = sum(not _answered(one, [*policies, *compared]) for one in found)
    if unanswered or not found:
        notes.append(f"Alerts that no policy answers: {unanswered}." if found else "There is no alert in this range.")
    if kube is None or request.targets:
        targets, targets_from = targets_in(request.targets, namespace), _files(request.targets)
    else:
        named = sorted(_namespaces([*policies, *compared], found))
        targets, left_out = await targets_of(kube, named) if named else ([], [])
        targets_from, notes = "the cluster, as they are now", notes + left_out
    return Result(
        start=over.start,
        end=over.end,
        assumed=request.assumed,
        sources={
            "policies": f"{len(policies)} of {policies_from}",
            "targets": f"{len(targets)} of {targets_from}",
            "alerts": f"{len(found)} of {alerts_from}",
            **({"compared with": f"{len(compared)} policies of {_files(request.compared)}"} if compared else {}),
        },
        notes=notes,
        replay=_replay(policies, targets, found, over.end, request.assumed),
        compared=_replay(compared, targets, found, over.end, request.assumed) if compared else None,
    )


def _check(request: Request) -> None:
    if bool(request.alerts) and bool(request.rules):
        raise BadInput("--rules are asked of Prometheus: give --prometheus, and no --alerts")
    if not request.alerts and not request.prometheus:
        raise BadInput("give past alerts by --alerts FILE or --prometheus URL")
    if request.rules and not request.prometheus:
        raise BadInput("--rules are asked of Prometheus: give --prometheus URL")
    if request.start and request.end and request.start >= request.end:
        raise BadInput("the range is empty: --from is not before --to")


async def _alerts(
    request: Request, policies: Sequence[NamedPolicy], progress: Progress
) -> tuple[list[Occurrence], Range, str]:
    """Return the alerts of the range, the range, and where they are from."""
    specs, rules = [policy.spec for policy in policies], rules_in(request.rules)
    found = [one for path in request.alerts for one in alerts_in(path, request.step)]
    over, sources = _range(request, found), [_files(request.alerts)] if request.alerts else []
    if request.prometheus:
        history = History(request.prometheus)
        if rules:
            found += await would_fire(history, rules, specs, over, progress)
            sources.append(f"the rules of {_files(request.rules)}, asked of {history.address}")
        else:
            found += await fired(history, specs, over, progress)
            sources.append(f"ALERTS of {history.address}")
    known = [
        _from(one, over.start)
        for one in merge(found)
        if one.starts_at <= over.end and (one.ends_at is None or one.ends_at > over.start)
    ]
    return known, over, " and ".join(sources)


def _from(one: Occurrence, start: datetime) -> Occurrence:
    """What began before the range counts as begun with it."""
    return replace(one, starts_at=max(one.starts_at, start))


def _range(request: Request, found: Iterable[Occurrence]) -> Range:
    moments = [m for one in found for m in (one.starts_at, one.ends_at) if m is not None]
    if request.prometheus or not moments:
        end = request.end or datetime.now(UTC)
        start = request.start or end - _DEFAULT_RANGE
    else:
        start, end = request.start or min(moments), request.end or max(moments) + _AFTER_THE_LAST
    # Moments that are the same in every page, and in the next backtest of the same range.
    step = request.step.total_seconds()
    first, last = (datetime.fromtimestamp(moment.timestamp() // step * step, UTC) for moment in (start, end))
    return Range(first, last, request.step)


def _answered(one: Occurrence, policies: Iterable[NamedPolicy]) -> list[NamedPolicy]:
    return [policy for policy in policies if first_mismatch(policy.spec.match, one.labels) is None]


def _namespaces(policies: Sequence[NamedPolicy], found: Iterable[Occurrence]) -> set[str]:
    asked = [(policy, one) for one in found for policy in _answered(one, policies)]
    named = {target_query(policy.spec.target, one.labels).namespace for policy, one in asked}
    return named - {""}


def _replay(
    policies: Sequence[NamedPolicy],
    targets: Iterable[dict[str, Any]],
    found: Sequence[Occurrence],
    end: datetime,
    assumed: Assumed,
) -> Replay:
    def simulate(assumed: Assumed) -> list[Record]:
        return Simulation(policies, [Target(resource) for resource in targets], assumed).run(found, end)

    with _no_collector():
        # Of the outcome that was not asked for only this number is wanted.
        other = people(simulate(replace(assumed, helps=not assumed.helps)))
        records = simulate(assumed)
    helps, no_effect = (people(records), other) if assumed.helps else (other, people(records))
    return Replay(policies, records, total(records), Woken(answered(records), helps, no_effect))


@contextmanager
def _no_collector() -> Iterator[None]:
    """Keep the collector of cycles away: a simulation makes none, and to look for them takes a sixth of its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _files(paths: Iterable[Any]) -> str:
    return ", ".join(map(str, paths))
