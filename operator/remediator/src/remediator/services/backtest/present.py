"""Writes what a backtest has found: as a table, JSON or YAML."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import yaml

from remediator.api.base import format_duration
from remediator.api.reasons import Phase
from remediator.core.backtest.records import Record
from remediator.core.backtest.report import Change, Tally, Woken, compare, rows
from remediator.core.backtest.world import ASSUMPTIONS
from remediator.services.backtest.run import Replay, Result
from remediator.services.columns import table

Document = dict[str, Any]
MOST_CHANGES: Final = 50
_ENDED: Final = (Phase.SUCCEEDED, Phase.INEFFECTIVE, Phase.OBSERVED, Phase.CANCELLED)


def render(result: Result, form: str) -> str:
    """Write a result in one of the forms."""
    match form:
        case "json":
            return json.dumps(to_document(result), indent=2, ensure_ascii=False) + "\n"
        case "yaml":
            return str(yaml.safe_dump(to_document(result), sort_keys=False, allow_unicode=True, width=120))
        case _:
            return _text(result)


def to_document(result: Result) -> Document:
    """Return a result as plain data."""
    document: Document = {
        "from": _time(result.start),
        "to": _time(result.end),
        "sources": dict(result.sources),
        "outcome": _outcome(result),
        "assumptions": list(ASSUMPTIONS),
        "notes": list(result.notes),
        **_set(result.replay),
    }
    if result.compared is not None:
        changes = compare(result.compared.records, result.replay.records)
        document["compared"] = _set(result.compared)
        document["changes"] = [
            {
                "alert": change.alert,
                "began": _time(change.began),
                "target": _place(change.namespace, change.target),
                "before": change.before,
                "after": change.after,
            }
            for change in changes
        ]
    return document


def _set(replay: Replay) -> Document:
    return {
        "woken": _woken(replay.woken),
        "totals": _counts(replay.tally),
        "rows": [
            {"policy": row.policy, "target": _place(row.namespace, row.target), **_counts(row.tally)}
            for row in rows(replay.records)
        ],
        "incidents": [_incident(record) for record in replay.records],
    }


def _woken(woken: Woken) -> Document:
    return {
        "without": woken.without,
        "with": {"ifEveryActionHelps": woken.helps, "ifNoneDoes": woken.no_effect},
    }


def _counts(tally: Tally) -> Document:
    return {
        "incidents": tally.incidents,
        "acts": _plain(tally.acts),
        "refused": _plain(tally.refused),
        "waited": {
            str(reason): {"incidents": wait.count, "for": format_duration(wait.length)}
            for reason, wait in tally.waited.items()
        },
        "asked": tally.asked,
        "phases": _plain(tally.phases),
    }


def _incident(record: Record) -> Document:
    return {
        "policy": record.policy.name,
        "target": _place(*record.key),
        "labels": dict(record.labels),
        "began": _time(record.created),
        "alertEnded": _time(record.ends_at) if record.ends_at else None,
        "phase": str(record.phase),
        "reason": str(record.reason),
        "finished": _time(record.finished) if record.finished else None,
        "steps": [{"time": _time(step.time), "kind": str(step.kind), "what": step.text} for step in record.steps],
    }


def _text(result: Result) -> str:
    sources = [[f"{name[0].upper()}{name[1:]}", source] for name, source in result.sources.items()]
    told = [f"Replayed {result.start:%Y-%m-%d %H:%M} to {result.end:%Y-%m-%d %H:%M} UTC.\n", table(sources)]
    told += [f"{note[0].upper()}{note[1:]}\n" for note in result.notes]
    told += ["\n", _rows(result.replay), "\n", _people(result.replay.woken)]
    if result.compared is not None:
        told += ["\n", _changes(result.compared, result.replay)]
    told += [f"\nAssumed: {_outcome(result)}\n", *(f"  {text}\n" for text in ASSUMPTIONS)]
    return "".join(told)


def _rows(replay: Replay) -> str:
    head = ["POLICY", "TARGET", "INCIDENTS", "ACTED", "REFUSED", "WAITED", "ASKED", *map(str.upper, _ENDED), "OPEN"]
    lines = [[row.policy, _place(row.namespace, row.target), *_cells(row.tally)] for row in rows(replay.records)]
    return table([head, *lines, ["total", "", *_cells(replay.tally)]])


def _cells(tally: Tally) -> list[str]:
    waited = ", ".join(
        f"{wait.count} {reason} {format_duration(wait.length)}" for reason, wait in sorted(tally.waited.items())
    )
    numbers = [tally.asked, *(tally.phases[phase] for phase in _ENDED), tally.open]
    return [str(tally.incidents), _listed(tally.acts), _listed(tally.refused), waited or "-", *map(str, numbers)]


def _listed(counted: Counter[Any]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counted.items())) or "-"


def _people(woken: Woken) -> str:
    few, many = sorted((woken.helps, woken.no_effect))
    return (
        f"Critical alerts that wake somebody: {woken.without} without the policies; with them {woken.helps} if every "
        f"action helps, {woken.no_effect} if none does ({woken.without - many} to {woken.without - few} fewer).\n"
    )


def _changes(before: Replay, after: Replay) -> str:
    changes = compare(before.records, after.records)
    totals = [["", "BEFORE", "AFTER"]] + [
        [name, first, second]
        for name, first, second in zip(
            ("incidents", "acted", "refused", "waited", "asked", *(str(p).lower() for p in _ENDED), "open"),
            _cells(before.tally),
            _cells(after.tally),
            strict=True,
        )
    ]
    totals += [
        ["woken, if actions help", str(before.woken.helps), str(after.woken.helps)],
        ["woken, if none does", str(before.woken.no_effect), str(after.woken.no_effect)],
    ]
    told = [f"Incidents decided otherwise than by the policies compared with: {len(changes)}\n", table(totals)]
    if changes:
        told += ["\n", table([["BEGAN", "ALERT", "TARGET", "BEFORE", "AFTER"], *map(_change, changes[:MOST_CHANGES])])]
    if len(changes) > MOST_CHANGES:
        told.append(f"{len(changes) - MOST_CHANGES} more; -o json lists all of them.\n")
    return "".join(told)


def _change(change: Change) -> list[str]:
    where = _place(change.namespace, change.target)
    return [f"{change.began:%Y-%m-%d %H:%M}", change.alert, where, change.before, change.after]


def _outcome(result: Result) -> str:
    assumed = result.assumed
    runs = f"a job runs {format_duration(assumed.takes)} after an action"
    if assumed.helps:
        return f"every action helps: {runs}, and its alert ends {format_duration(assumed.recovers)} later."
    return f"no action has an effect: {runs}, and its alert ends when it did in history."


def _plain(counted: Mapping[Any, int]) -> dict[str, int]:
    return {str(what): count for what, count in sorted(counted.items())}


def _place(namespace: str, name: str) -> str:
    return f"{namespace or '(no namespace)'}/{name or '(no name)'}"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
