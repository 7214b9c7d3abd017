"""Which records go when there are too many of all policies. What one policy keeps: tests/services/test_sweeping.py."""

from datetime import timedelta

from remediator.core.history import Record, surplus
from worlds import NOW

HOUR = timedelta(hours=1)


def record(name: str, age: timedelta, **changes: object) -> Record:
    """Return one that ended, came to no action, and whose alert is over."""
    created = NOW - age
    fields = {"finished": created, "alert_started": created, "resolved": True, "acted": None, **changes}
    return Record(name, created, **fields)  # type: ignore[arg-type]


def names(records: list[Record], total: int) -> list[str]:
    return surplus(records, NOW, total, needed=6 * HOUR, max_alert_age=24 * HOUR)


def test_a_flapping_alert_of_a_week_fills_nothing() -> None:
    records = [record(f"r-{n}", timedelta(minutes=5 * n)) for n in range(2016)]
    gone = names(records, 500)
    assert len(gone) == 1516
    assert gone[0] == "r-2015", "the oldest first"
    assert "r-499" not in gone


def test_what_is_needed_stays_and_others_go_instead() -> None:
    records = [
        record("in-work", 50 * HOUR, finished=None),
        record("counts-for-a-budget", 5 * HOUR, acted=NOW - 5 * HOUR),
        record("may-fire-again", 20 * HOUR, resolved=False),
        record("too-old-to-fire", 30 * HOUR, resolved=False),
        record("counts-no-more", 20 * HOUR, acted=NOW - 7 * HOUR),
        record("young", HOUR),
    ]
    assert names(records, 3) == ["too-old-to-fire", "counts-no-more", "young"]
    assert names(records, 0) == ["too-old-to-fire", "counts-no-more", "young"]
    assert names(records, 6) == []
