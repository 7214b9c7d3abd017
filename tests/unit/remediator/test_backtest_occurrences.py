"""From points of range queries, and notices of Alertmanager, to occurrences of alerts."""

from datetime import timedelta
from itertools import pairwise

from backtest_worlds import at, fires, minutes
from hypothesis import given
from hypothesis import strategies as st
from remediator.core.backtest.occurrences import Occurrence, Rule, Tracker, merge

LABELS = {"__name__": "ALERTS", "alertstate": "firing", "alertname": "Lag", "app": "orders"}
MINUTE = timedelta(minutes=1)
END = 100
Spans = list[tuple[float | None, float | None]]


def seconds(*at_minutes: float) -> list[float]:
    return [at(minute).timestamp() for minute in at_minutes]


def spans(found: list[Occurrence]) -> Spans:
    return [(minutes(one.starts_at), minutes(one.ends_at)) for one in found]


def read(points: list[float], since: dict[float, float] | None = None, rule: Rule | None = None) -> list[Occurrence]:
    tracker = Tracker(MINUTE, rule)
    return [*tracker.take(LABELS, points, since), *tracker.finish(at(END))]


def test_a_missing_point_ends_an_occurrence() -> None:
    found = read(seconds(3, 4, 5, 8, 9))
    assert spans(found) == [(3, 6), (8, 10)]
    assert [one.labels for one in found] == [{"alertname": "Lag", "app": "orders"}] * 2


def test_what_fires_at_the_end_has_no_end() -> None:
    assert spans(read(seconds(3, 99, 100))) == [(3, 4), (99, None)]


def test_a_restart_of_prometheus_ends_nothing() -> None:
    points = seconds(3, 4, 9, 10, 20, 21)
    active = dict(zip(points, [*seconds(1, 1, 1, 1, 18, 18)], strict=True))
    assert spans(read(points, active)) == [(3, 11), (20, 22)]


def test_for_is_waited_for_and_a_gap_begins_anew() -> None:
    rule = Rule("Lag", "lag > 1", hold_for=timedelta(minutes=3))
    assert spans(read(seconds(0, 1, 2, 10, 11, 12, 13, 14), rule=rule)) == [(13, 15)]


def test_without_for_it_fires_at_once() -> None:
    assert spans(read(seconds(7), rule=Rule("Lag", "lag > 1"))) == [(7, 8)]


def test_keep_firing_for_bridges_gaps_and_lets_it_end_later() -> None:
    rule = Rule("Lag", "lag > 1", timedelta(minutes=1), timedelta(minutes=5))
    # Missed first at 3; at 8 that is 5 minutes ago. At 12 it is there again after a first miss at 11.
    assert spans(read(seconds(0, 1, 2), rule=rule)) == [(1, 8)]
    assert spans(read(seconds(0, 1, 2, 7, 8), rule=rule)) == [(1, 14)]
    assert spans(read(seconds(0, 1, 2, 10, 11), rule=rule)) == [(1, 8), (11, 17)]


def test_what_is_pending_is_not_kept() -> None:
    rule = Rule("Lag", "lag > 1", timedelta(minutes=2), timedelta(minutes=5))
    assert spans(read(seconds(0, 3, 4, 5), rule=rule)) == [(5, 11)]


def test_labels_of_the_rule_count_more_than_those_of_the_series() -> None:
    rule = Rule("Lag", "lag > 1", labels={"severity": "critical"})
    assert rule.labels_of({"__name__": "lag", "severity": "low", "app": "a"}) == {
        "alertname": "Lag",
        "severity": "critical",
        "app": "a",
    }


@given(
    fired=st.sets(st.integers(0, END)),
    cuts=st.sets(st.integers(0, END)),
    hold=st.integers(0, 4),
    keep=st.integers(0, 4),
)
def test_pages_change_nothing_and_rules_are_evaluated_as_by_prometheus(
    fired: set[int], cuts: set[int], hold: int, keep: int
) -> None:
    rule = Rule("Lag", "lag > 1", hold * MINUTE, keep * MINUTE)
    tracker, found = Tracker(MINUTE, rule), list[Occurrence]()
    pages = sorted({0, END + 1} | cuts)
    for begin, end in pairwise(pages):
        found += tracker.take(LABELS, seconds(*sorted(m for m in fired if begin <= m < end)))
    found += tracker.finish(at(END))
    assert spans(found) == evaluated(fired, hold, keep)


def evaluated(fired: set[int], hold: int, keep: int) -> Spans:
    """The states of an alert minute by minute, as AlertingRule.Eval of Prometheus goes through them."""
    spans: Spans = []
    active: int | None = None
    firing = False
    missing: int | None = None
    for now in range(END + 1):
        if now in fired:
            active, missing = now if active is None else active, None
            if not firing and now - active >= hold:
                firing = True
                spans.append((now, None))
        elif firing:
            missing = now if missing is None else missing
            if now - missing >= keep:
                spans[-1] = (spans[-1][0], now)
                active, firing, missing = None, False, None
        else:
            active = None
    return spans


def test_several_sources_tell_of_the_same_occurrences() -> None:
    notices = [
        fires(0, None),
        fires(0, 10),
        fires(0, 10),
        fires(5, 12),
        fires(6, None),
        fires(20, None),
        fires(1, 3, app="other"),
    ]
    assert spans(merge(notices)) == [(0, 12), (1, 3), (20, None)]


def test_a_later_notice_belongs_to_what_has_not_ended() -> None:
    assert spans(merge([fires(0, None), fires(30, 40), fires(50, 60)])) == [(0, 40), (50, 60)]
