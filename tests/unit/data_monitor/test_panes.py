"""Panes and windows: merged by addition, lateness by partition, nothing that depends on how partitions interleave."""

import numpy as np
import pytest
from data_monitor.adapters import codec
from data_monitor.adapters.codec import Form, PartitionRecord
from data_monitor.core.bins import Numeric
from data_monitor.core.columns import Column
from data_monitor.core.judge import Judge, Rules
from data_monitor.core.learn import learn
from data_monitor.core.monitor import Monitor, Times
from data_monitor.core.panes import Events, PartitionState, Shape, merge
from data_monitor.core.quantiles import SIZE, encode, quantile
from data_monitor.core.reference import Reference
from hypothesis import given, settings
from hypothesis import strategies as st

SHAPE = Shape(bins=3)
START = 1_700_000_000_000


def events(times, code=0, latency=1.0):
    size = len(times)
    return Events(np.asarray(times, np.int64), np.full((size, 1), code, np.intp), np.full(size, latency))


def state_of(times, batches=1, keep=6, jump=10**9):
    state = PartitionState(0)
    for batch in np.array_split(np.asarray(times, np.int64), batches):
        state.add(events(batch), SHAPE, pane_ms=10_000, keep=keep, allowed_ms=5_000, jump_ms=jump, reach=60)
    return state


times = st.lists(st.integers(0, 200_000), min_size=1, max_size=60)


@given(times, st.integers(1, 10))
def test_batches_make_no_difference(moments, batches):
    whole, parts = state_of(moments), state_of(moments, batches)
    assert (whole.newest_ms, +whole.counters) == (parts.newest_ms, +parts.counters)
    assert whole.panes.keys() == parts.panes.keys()
    for number, pane in whole.panes.items():
        assert pane.tolist() == parts.panes[number].tolist()


@given(st.lists(times, min_size=2, max_size=4), st.randoms())
def test_merging_is_commutative_and_associative(partitions, dice):
    states = [state_of(moments) for moments in partitions]
    total = merge(states, 0, 20, SHAPE)
    shuffled = dice.sample(states, len(states))
    assert merge(shuffled, 0, 20, SHAPE).tolist() == total.tolist()
    split = merge(states[:1], 0, 20, SHAPE) + merge(states[1:], 0, 20, SHAPE)
    assert split.tolist() == total.tolist()


@given(times)
def test_every_event_is_seen_once_late_or_not_and_counted_unless_expired(moments):
    state = state_of(moments, keep=10**6)
    window = merge([state], 0, 20, SHAPE)
    assert SHAPE.seen(window) == len(moments) == SHAPE.counts(window).sum()
    assert SHAPE.late(window) == state.counters["late"]
    newest = np.maximum.accumulate(moments)
    assert state.counters["late"] == sum(moment < top - 5000 for moment, top in zip(moments, newest, strict=True))


def test_what_is_late_beyond_what_is_kept_is_expired_and_old_panes_go():
    state = state_of([0, 100_000, 30_000, 50_001])
    assert +state.counters == {"events": 4, "late": 2, "expired": 1}
    assert sorted(state.panes) == [5, 10]


@pytest.fixture(scope="module")
def judge():
    rows = np.random.default_rng(1).normal(size=10_000).tolist()
    return Judge(learn([Column("x", rows)]), Rules(min_samples=10))


def monitor_with(judge, **newest):
    monitor = Monitor(judge, Times(window=60_000))
    for name, (moment, count) in newest.items():
        key = ("t", int(name[1:]))
        monitor.adopt(key, PartitionState(0), now=0.0)
        monitor.add(key, events([START + moment] * count), now=START / 1000 + 200)
    return monitor


def test_a_slow_partition_holds_the_window_back_within_bounds_and_an_idle_one_does_not(judge):
    now = START / 1000
    even = monitor_with(judge, p0=(100_000, 20), p1=(95_000, 20))
    assert even.evaluate(now).samples == 20, "the pane of 100 s waits for the slower partition"
    far, now = monitor_with(judge, p0=(200_000, 20), p1=(0, 20)), now + 200
    assert far.evaluate(now).window_end_ms == START + 150_000, "held back by a minute at most"
    far.add(("t", 0), events([START + 200_001]), now + 61)
    assert far.evaluate(now + 61).window_end_ms == START + 210_000
    assert far.watermark_ms(now + 61) == START + 200_001 - 5_000


def test_a_partition_of_a_producer_whose_clock_is_ahead_is_no_measure_for_the_others(judge):
    now = START / 1000 + 100
    monitor = monitor_with(judge, p0=(100_000, 20), p1=(690_000, 20), p2=(99_000, 20))
    assert monitor.evaluate(now).window_end_ms == START + 100_000
    # In a replay the clock says nothing, but the others are more.
    assert monitor.evaluate(now + 10**6).window_end_ms == START + 110_000


def test_a_window_that_is_judged_already_is_not_judged_again(judge):
    monitor = monitor_with(judge, p0=(0, 20))
    assert monitor.evaluate(START / 1000).judged_at == START / 1000
    assert monitor.evaluate(START / 1000 + 900).judged_at == START / 1000
    resumed = Monitor(judge, Times(window=60_000))
    for key, state in monitor.states.items():
        resumed.adopt(key, state, START / 1000)
    resumed.resume(monitor.evaluation, START / 1000)
    assert resumed.evaluate(START / 1000 + 900).judged_at == START / 1000


def test_too_few_samples_hold_the_last_score(judge):
    monitor = monitor_with(judge, p0=(0, 20))
    first = monitor.evaluate(START / 1000)
    monitor.add(("t", 0), events(START + 300_000 + 4000 * np.arange(9)), START / 1000 + 300)
    second = monitor.evaluate(START / 1000 + 300)
    assert (first.ready, second.ready, second.samples) == (True, False, 9)
    assert (second.judgement, second.judged_at) == (first.judgement, first.judged_at)


def test_impossible_times_are_problems_and_do_not_move_the_watermark(judge):
    monitor = monitor_with(judge, p0=(0, 20))
    now = START / 1000
    monitor.add(("t", 0), events([START // 1000, START * 1000, START + 3_600_000, START + 60_000]), now)
    state = monitor.states["t", 0]
    assert state.counters["invalid.time_out_of_range"] == 3
    assert state.newest_ms == START + 60_000


def test_counters_of_the_process_leave_out_what_was_adopted(judge):
    monitor = monitor_with(judge, p0=(0, 20), p1=(0, 5))
    state = monitor.give_up(("t", 1))
    assert monitor.counted()["events"] == 25
    other = Monitor(judge, Times(window=60_000))
    other.adopt(("t", 1), state, 0.0)
    other.add(("t", 1), events([START]), START / 1000)
    assert other.counted()["events"] == 1
    assert state.counters["events"] == 6


@settings(max_examples=30)
@given(st.lists(st.floats(0.002, 50_000), min_size=1, max_size=300), st.sampled_from([0.5, 0.95, 0.99]))
def test_quantiles_are_within_a_hundredth(values, q):
    counts = np.bincount(encode(np.asarray(values)), minlength=SIZE)
    exact = np.quantile(values, q, method="inverted_cdf")
    assert quantile(counts, q) == pytest.approx(exact, rel=0.0101)


@pytest.mark.parametrize(("headline", "score"), [("max", 0.6), ("mean", 0.3), ("quantile", 0.6), ("weighted", 0.15)])
def test_headlines(headline, score):
    rules = Rules(headline=headline, quantile=1.0, weights={"b": 0.0, "c": 0.0, "d": 0.5, "a": 0.5})
    features = tuple(Numeric(name, ()) for name in "abcd")
    judge = Judge(Reference(features, np.ones(8, np.int64)), rules)
    assert judge.headline({"a": 0.3, "b": 0.3, "c": 0.6, "d": 0.0}) == pytest.approx(score)


@pytest.mark.parametrize(("deviations", "minutes"), [(2, 3.0), (1, 5.5), (0.5, 10.0)])
def test_a_shift_of_one_feature_among_twenty_is_found_in_time(deviations, minutes):
    """50 events a second, a window of 10 minutes, judged every 30 seconds; before it not a single false alarm."""
    dice = np.random.default_rng(3)
    names = [f"f{number}" for number in range(20)]
    reference = learn([Column(name, dice.normal(size=20_000).tolist()) for name in names])
    monitor = Monitor(Judge(reference, Rules()), Times())
    key, second, each = ("t", 0), 1000, 50 * 30
    monitor.adopt(key, PartitionState(0), 0.0)
    layout = reference.layout
    for step in range(62):
        begins = START + step * 30 * second
        values = dice.normal(size=(20, each))
        # The drift begins when the window has been full for a while.
        values[7] += deviations * (step >= 40)
        batch = Events(begins + np.arange(each) * 20, layout.encode(list(values)), np.full(each, np.nan))
        monitor.add(key, batch, begins / 1000 + 30)
        judgement = monitor.evaluate(begins / 1000 + 30).judgement
        if judgement.score > 0.2:
            assert judgement.drifted == ("f7",)
            assert 0 < (step - 39) * 0.5 <= minutes
            return
    pytest.fail("not found")


def test_a_segment_is_judged_against_its_own_reference_and_not_below_the_minimum():
    dice = np.random.default_rng(5)
    labels = dice.choice(["m", "d", "t"], 9000, p=[0.6, 0.39, 0.01])
    values = dice.normal(size=9000) + 3 * (labels == "d")
    reference = learn([Column("x", values.tolist())], segment=Column("device", labels.tolist()))
    judge = Judge(reference, Rules())
    assert reference.segments.values == ("m", "d", "t")
    window = np.zeros(judge.shape.size, np.int64)
    for group, (mean, count) in enumerate([(0, 2000), (4, 2000), (0, 99)]):
        judge.shape.counts(window)[group] = judge.layout.count([dice.normal(mean, size=count)])
    judgement = judge.drift(window)
    assert judgement.samples == 4099
    assert judgement.segments == {"m": pytest.approx(0, abs=0.05), "d": pytest.approx(0.39, abs=0.05)}


counted = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["a", "b", None]), st.integers(0, 9)), max_size=30)


@given(counted)
def test_a_part_counts_as_it_was_told_last_and_what_names_no_part_adds_up(records):
    state, last, rest = PartitionState(0), {}, 0
    form = Form("ref", 10_000, SHAPE)
    for number, part, count in records:
        vector = np.full(SHAPE.size, count)
        vector[-1] = 0
        state.add_pane(number, vector, part, SHAPE, pane_ms=10_000, keep=100)
        # Each time, as if the process had been replaced.
        _, state = codec.from_record(
            codec.unpack(codec.pack(codec.to_record(("t", 0), state, form)), PartitionRecord), form
        )
        if part:
            last[number, part] = count
        else:
            rest += count
    total = merge([state], 0, 5, SHAPE)
    assert total.tolist()[:-1] == [sum(last.values()) + rest] * (SHAPE.size - 1)


def test_a_repeated_pane_moves_no_counter_and_a_larger_one_by_the_difference(judge):
    monitor = Monitor(judge, Times(window=60_000))
    monitor.adopt(("t", 0), PartitionState(0), now=0.0)
    vector = np.zeros(judge.shape.size, np.int64)
    # How many events, and in which bin their times are: those of the second repeat were measured anew.
    for seen, code in ((10, 5), (10, 5), (10, 6), (14, 6), (13, 6)):
        judge.shape.latencies(vector)[:] = 0
        judge.shape.latencies(vector)[code] = seen
        vector[-2:] = seen, 1
        monitor.add_pane(("t", 0), START, vector, "a", now=START / 1000)
    state = monitor.states["t", 0]
    assert +state.counters == {"events": 14, "late": 1}
    assert monitor.latencies.sum() == 14
    assert judge.shape.seen(merge([state], 0, START, judge.shape)) == 13


def test_parts_go_with_their_pane():
    state = PartitionState(0)
    for number in range(10):
        state.add_pane(number, np.ones(SHAPE.size, np.int64), "a", SHAPE, pane_ms=10_000, keep=6)
    state.add_pane(0, np.ones(SHAPE.size, np.int64), "a", SHAPE, pane_ms=10_000, keep=6)
    assert sorted(state.panes) == sorted(state.parts) == [4, 5, 6, 7, 8, 9]
    assert state.counters["expired"] == 1
