"""Panes that the job counts, without Flink: they are what the data monitor makes of the same predictions."""

import base64
import copy
import json
import random
from collections import Counter

import numpy as np
import pytest
from data_monitor.adapters.decode import Decoder
from data_monitor.adapters.pane_records import PaneDecoder
from data_monitor.config import Fields
from data_monitor.core import bins
from data_monitor.core.columns import Column
from data_monitor.core.judge import Judge, Rules
from data_monitor.core.learn import learn
from data_monitor.core.monitor import Monitor, Times
from data_monitor.core.panes import PartitionState
from data_monitor.core.values import Missing, Type
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from recommender import panes

START = 1_700_000_000_000
PANE_MS, KEEP = 10_000, 6
# Without an allowance, both say "late" of the same events, and of a pane that it arrived in the newest.
# Nor is any event so far ahead that the monitor doubts its clock, which the job never does.
TIMES = Times(window=KEEP * PANE_MS, pane=PANE_MS, allowed=0, hold_back=0, jump=10**9)
KEY = ("predictions", 0)


@pytest.fixture(scope="module")
def reference():
    dice = random.Random(1)
    rows = [prediction(START, dice) for _ in range(2000)]
    columns = [Column(name, [row["features"][name] for row in rows]) for name in rows[0]["features"]]
    return learn(columns, prediction=Column("score", [row["score"] for row in rows]))


def prediction(time_ms, dice):
    features = {
        "price_log": round(dice.gauss(3, 1), 4),
        "intent": dice.choice([0.1, 0.3, 0.7, 1.0]),
        "device": dice.choice(["mobile", "desktop", "tablet"]),
        "member": dice.choice([True, False]),
    }
    record = {"event_id": f"r-{dice.random()}", "ts_ms": time_ms, "features": features}
    return {**record, "score": round(dice.random(), 6), "inference_ms": dice.randint(1, 999) / 100}


def odd(time_ms, dice):
    """A prediction in which anything may be missing, new, or of another type."""
    found = prediction(time_ms, dice)
    for name in found["features"]:
        found["features"][name] = dice.choice(
            [None, "", "new", True, 1, 1.0, 0.3, "0.3", -1e300, found["features"][name]]
        )
    return found


def monitored(reference, predictions):
    """What the data monitor counts of predictions in this order."""
    monitor = Monitor(Judge(reference, Rules()), TIMES)
    monitor.adopt(KEY, PartitionState(0), 0.0)
    decoder = Decoder(reference, Fields())
    monitor.add(KEY, decoder.decode([json.dumps(one).encode() for one in predictions]).events, START / 1000 + 3600)
    return monitor.states[KEY]


def told(reference, records):
    """What the data monitor counts of pane records in this order."""
    judge = Judge(reference, Rules())
    monitor = Monitor(judge, TIMES)
    monitor.adopt(KEY, PartitionState(0), 0.0)
    decoder, problems = PaneDecoder(judge, PANE_MS), Counter()
    for record in records:
        pane = decoder.decode(record.encode(), problems)
        assert pane, problems
        monitor.add_pane(KEY, pane.start_ms, pane.vector, pane.part, START / 1000 + 3600)
    return monitor.states[KEY]


class Job:
    """The job as far as it counts: what Flink would keep of it and bring back after a failure."""

    def __init__(self, reference):
        document = {**reference.to_document(), "digest": reference.digest}
        self._counter = panes.PaneCounter(json.loads(json.dumps(document)), PANE_MS, KEEP * PANE_MS)
        self.panes, self.newest_ms = {}, 0

    def add(self, one):
        self.newest_ms = max(self.newest_ms, one["ts_ms"])
        self._counter.add(self.panes, one, self.newest_ms)

    def send(self):
        for start in sorted(start for start, pane in self.panes.items() if pane.changed):
            self.panes[start].changed = False
            yield self._counter.record(start, self.panes[start], "job/0")


def assert_same(left, right):
    assert left.panes.keys() == right.panes.keys()
    assert all(np.array_equal(left.panes[number], right.panes[number]) for number in left.panes)


moments = st.lists(st.integers(START, START + 150_000), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(moments, st.randoms())
def test_a_pane_record_holds_exactly_what_the_monitor_counts_itself(reference, times, dice):
    predictions = [odd(time_ms, dice) for time_ms in times]
    job = Job(reference)
    for one in predictions:
        job.add(one)
    own, from_job = monitored(reference, predictions), told(reference, job.send())
    assert_same(own, from_job)
    told_of = ("events", "late")
    assert [from_job.counters[name] for name in told_of] == [own.counters[name] for name in told_of]


@settings(max_examples=60, deadline=None)
@given(moments, st.randoms(), st.lists(st.sampled_from(["checkpoint", "fail", "send", ""]), min_size=40, max_size=40))
def test_whatever_is_sent_again_after_failures_counts_once(reference, times, dice, happenings):
    predictions = [prediction(time_ms, dice) for time_ms in times]
    job, position, records = Job(reference), 0, []
    checkpoint = copy.deepcopy(job), position
    happenings = iter(happenings)
    while position < len(predictions):
        job.add(predictions[position])
        position += 1
        match next(happenings, ""):
            case "checkpoint":
                checkpoint = copy.deepcopy(job), position
            case "send":
                records += job.send()
            case "fail":
                job, position = copy.deepcopy(checkpoint[0]), checkpoint[1]
    records += job.send()
    assert_same(monitored(reference, predictions), told(reference, records))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    st.sampled_from(["", " ", "-", "1", "01", "0.10", "true", "True", "yes", "mobile", "x", "-2"]),
)


@given(st.lists(st.floats(-10, 10), max_size=9, unique=True), st.lists(VALUES, min_size=1))
def test_numbers_go_to_the_monitors_bins(edges, values):
    missing = Missing.of(["", "-", "-2"])
    ours = panes.Numeric(sorted(edges), missing.texts)
    theirs = bins.Numeric("x", tuple(sorted(edges)), missing_values=missing)
    assert [ours(value) for value in values] == theirs.encode(theirs.take(values)[0]).tolist()
    assert {ours(value) for value in (True, [], {})} == {theirs.missing}
    assert ours.size == theirs.size


@given(
    st.lists(st.sampled_from(["1", "0.1", "true", "false", "mobile", "nan", "-3"]), unique=True),
    st.sampled_from(["text", "number", "boolean"]),
    st.none() | st.lists(st.sampled_from(["x", "0.1", "true", "yes", "3"]), min_size=1),
    st.lists(VALUES),
)
def test_categories_go_to_the_monitors_bins(categories, type_, known, values):
    assume(type_ != "boolean" or {*categories} <= {"true", "false"})  # a reference has no others
    missing = Missing.of(["", "-", "-2"])
    tail = bins.Tail(np.unique(bins.hashes_of(known)), 3) if known else None
    theirs = bins.Categorical("x", tuple(categories), Type(type_), tail, missing)
    document = {"groups": 3, "known": base64.b64encode(tail.known.astype("<u4").tobytes())} if tail else None
    ours = panes.Categorical(categories, type_, document, missing.texts)
    assert [ours(value) for value in values] == theirs.encode(values).tolist()
    assert {ours(value) for value in ([], {})} == {theirs.missing}
    assert ours.size == theirs.size


def test_an_event_is_of_the_same_part_each_time_and_parts_are_about_equal():
    texts = [json.dumps({"event_id": f"run-{number}"}) for number in range(8000)]
    found = Counter(map(panes.part_of, texts))
    assert found == Counter(map(panes.part_of, reversed(texts)))
    assert len(found) == panes.PARTS
    assert min(found.values()) > 0.8 * 8000 / panes.PARTS


def test_what_is_no_reference_is_refused():
    with pytest.raises(ValueError, match="not a drift reference"):
        panes.PaneCounter({"features": []}, PANE_MS, PANE_MS)
