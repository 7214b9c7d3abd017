"""Asks Prometheus which alerts fired in a range, or would have fired by other rules."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.adapters.prometheus_history import History, pages
from remediator.api.policy import Matcher, PolicySpec
from remediator.core.backtest.occurrences import Occurrence, Rule, Tracker
from remediator.core.matching import first_mismatch
from remediator.services.backtest.alerts import for_state, series_key

Progress = Callable[[int, int], None]
"""Is told how many pages of how many are read."""


@dataclass(frozen=True)
class Range:
    """A range of moments that are a step apart."""

    start: datetime
    end: datetime
    step: timedelta


async def fired(history: History, policies: Iterable[PolicySpec], over: Range, progress: Progress) -> list[Occurrence]:
    """Return when the alerts fired that the policies answer. Raises NoHistory."""
    selectors = list(dict.fromkeys(_selector(policy.match) for policy in policies))
    found: list[Occurrence] = []
    count = _Count(len(selectors), over, progress)
    for selector in selectors:
        tracker = Tracker(over.step)
        for first, last in pages(over.start, over.end, over.step):
            alerts = await history.page(f'ALERTS{{alertstate="firing",{selector}}}', first, last, over.step)
            # Needed only where something fired, before and after a gap of it.
            states = await history.page(f"ALERTS_FOR_STATE{{{selector}}}", first, last, over.step) if alerts else []
            since = for_state(states)
            for series in alerts:
                found += tracker.take(series.labels, series.points, since.get(series_key(series)))
            count.one_more()
        found += tracker.finish(over.end)
    return found


async def would_fire(
    history: History, rules: Iterable[Rule], policies: Sequence[PolicySpec], over: Range, progress: Progress
) -> list[Occurrence]:
    """Return when the alerts of rules would have fired, as far as a policy may answer them. Raises NoHistory."""
    answered = [rule for rule in rules if any(_may_answer(policy, rule) for policy in policies)]
    found: list[Occurrence] = []
    count = _Count(len(answered), over, progress)
    for rule in answered:
        tracker = Tracker(over.step, rule)
        for first, last in pages(over.start, over.end, over.step):
            for series in await history.page(rule.expression, first, last, over.step):
                found += tracker.take(rule.labels_of(series.labels), series.points)
            count.one_more()
        found += tracker.finish(over.end)
    return found


def _selector(matchers: Iterable[Matcher]) -> str:
    """Write matchers in PromQL, whose operators are Alertmanager's."""
    return ",".join(f"{m.label}{m.operator}{json.dumps(m.value, ensure_ascii=False)}" for m in matchers)


def _may_answer(policy: PolicySpec, rule: Rule) -> bool:
    known = {**rule.labels, "alertname": rule.alert}
    return first_mismatch(tuple(m for m in policy.match if m.label in known), known) is None


class _Count:
    def __init__(self, queries: int, over: Range, progress: Progress) -> None:
        self._of = queries * len(list(pages(over.start, over.end, over.step)))
        self._progress = progress
        self._done = 0

    def one_more(self) -> None:
        self._done += 1
        self._progress(self._done, self._of)
