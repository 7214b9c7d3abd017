"""Which records may go: history limit, time to live, and none whose alert could bring it back."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.api.policy import PolicySpec


@dataclass(frozen=True)
class Record:
    """A FlinkRemediation of one policy and target, as far as its deletion depends on it."""

    name: str
    created: datetime
    finished: datetime | None
    """None while it has not ended."""
    alert_started: datetime
    resolved: bool
    acted: datetime | None = None
    """When its last action was begun; None if it came to none."""


def remembered(policies: Iterable[PolicySpec]) -> timedelta:
    """Return how long records are needed at least: budgets and cooldowns are counted from them, whoever made them."""
    guards = [policy.guards for policy in policies]
    return max(
        (period for g in guards for period in (g.cooldown, *(entry.per for entry in g.budget))), default=timedelta(0)
    )


def expendable(
    records: Iterable[Record], now: datetime, limit: int, ttl: timedelta, max_alert_age: timedelta
) -> list[str]:
    """Return the names to delete: ended more than ``ttl`` ago, and not among the ``limit`` newest.

    The record of an alert that may still fire stays: without it the same occurrence would be answered again. Once the
    alert is older than ``max_alert_age``, no guard would let it pass any more.
    """
    newest_first = sorted(records, key=lambda r: (r.created, r.name), reverse=True)
    return [
        r.name
        for r in newest_first[limit:]
        if r.finished is not None and now - r.finished >= ttl and (r.resolved or now - r.alert_started > max_alert_age)
    ]


def surplus(
    records: Iterable[Record], now: datetime, total: int, needed: timedelta, max_alert_age: timedelta
) -> list[str]:
    """Return the names to delete, the oldest first, so that at most ``total`` records of all policies and targets are
    left: an alert that comes and goes for weeks fills no etcd.

    What was done within ``needed`` stays, for budgets and cooldowns are counted from it, and so does the record of an
    alert that may still fire.
    """
    oldest_first = sorted(records, key=lambda r: (r.created, r.name))
    may_go = [
        r.name
        for r in oldest_first
        if r.finished is not None
        and (r.acted is None or now - r.acted > needed)
        and (r.resolved or now - r.alert_started > max_alert_age)
    ]
    return may_go[: max(len(oldest_first) - total, 0)]
