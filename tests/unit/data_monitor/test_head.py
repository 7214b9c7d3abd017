"""How far event time has come: the newest event, unless it is of somebody whose clock is ahead."""

import numpy as np
import pytest
from data_monitor.adapters import codec
from data_monitor.adapters.codec import Form, PartitionRecord
from data_monitor.core.bins import Numeric
from data_monitor.core.head import Head
from data_monitor.core.judge import Judge, Rules
from data_monitor.core.monitor import Monitor, Times
from data_monitor.core.panes import Events, PartitionState
from data_monitor.core.reference import Reference
from hypothesis import given
from hypothesis import strategies as st

START = 1_700_000_000_000
KEY = ("t", 0)
REFERENCE = Reference((Numeric("x", ()),), np.ones(2, np.int64))


def monitored(times, batch=500):
    monitor = Monitor(Judge(REFERENCE, Rules()), Times())
    monitor.adopt(KEY, PartitionState(0), 0.0)
    for at in range(0, len(times), batch):
        part = np.asarray(times[at : at + batch], np.int64)
        monitor.add(KEY, Events(part, np.zeros((len(part), 1), np.intp), np.full(len(part), np.nan)), 2e9)
    return monitor


def producers(seconds, share, ahead_ms, in_a_row=1, rate=100):
    """Event times as they arrive: so many of each ``in_a_row`` times ten, then those of the one that is ahead."""
    times = START + np.arange(seconds * rate) * 1000 // rate
    turn = np.arange(len(times)) // in_a_row % 10
    return np.where(turn < share * 10, times + ahead_ms, times), turn < share * 10


@pytest.mark.parametrize("in_a_row", [1, 50])
@pytest.mark.parametrize("seconds_ahead", [120, 590])
def test_one_producer_ahead_is_counted_and_takes_nothing_from_the_window(seconds_ahead, in_a_row):
    times, ahead = producers(1500, 0.1, seconds_ahead * 1000, in_a_row)
    monitor = monitored(times)
    counters = monitor.states[KEY].counters
    assert (counters["late"], counters["expired"]) == (0, 0)
    # At first nobody knows which of them it is.
    assert counters["ahead"] == pytest.approx(ahead.sum(), abs=250)
    evaluation = monitor.evaluate(2e9)
    assert evaluation.window_end_ms == START + 1_500_000
    # Ten minutes of everybody, and of those that were ahead, what was written then with times of now.
    assert evaluation.samples == pytest.approx(60_000, rel=0.01)
    assert len(monitor.states[KEY].panes) <= Times().keep + 60


def test_the_first_events_may_be_of_the_one_that_is_ahead():
    times, _ = producers(120, 0.1, 300_000, in_a_row=50)
    monitor = monitored(times)
    assert monitor.states[KEY].newest_ms == times[-1]
    assert monitor.states[KEY].counters["late"] == 0


def test_time_goes_on_after_a_silence():
    before = START + np.arange(6000) * 10
    after = before + 3_600_000
    monitor = monitored([*before, *after[:1400]])
    assert monitor.states[KEY].newest_ms == before[-1]
    monitor = monitored([*before, *after[:1600]])
    assert monitor.states[KEY].newest_ms == after[1599]
    assert monitor.states[KEY].counters["late"] == 0
    assert monitor.evaluate(2e9).samples == 1600


def test_time_goes_on_where_events_are_few():
    times = START + np.arange(100) * 90_000
    assert monitored(times, batch=1).states[KEY].newest_ms > times[-8]


def test_late_events_do_not_turn_time_back():
    times = START + np.arange(6000) * 10
    monitor = monitored([*times, *(times[:3000] - 600_000)])
    assert monitor.states[KEY].newest_ms == times[-1]
    assert monitor.states[KEY].counters["late"] == 3000


def test_scattered_times_take_bounded_memory():
    dice = np.random.default_rng(1)
    wild = START + np.arange(20_000) * 10
    wild[::3] += dice.integers(0, 10**9, len(wild[::3]))
    times = Times()
    assert len(monitored(wild).states[KEY].panes) <= 2 * times.keep + times.reach + 1


moments = st.lists(st.sampled_from([0, 1, 2, 5, 300, 301, 900]).map(lambda s: s * 1000), min_size=1, max_size=80)


@given(moments, st.integers(1, 7))
def test_batches_and_restarts_make_no_difference(steps, batch):
    times = START + np.asarray(steps) + np.arange(len(steps)) * 500
    form = Form("r", 10_000, Judge(REFERENCE, Rules()).shape)
    whole, parts = monitored(times).states[KEY], PartitionState(0)
    for at in range(0, len(times), batch):
        part = times[at : at + batch]
        events = Events(part, np.zeros((len(part), 1), np.intp), np.full(len(part), np.nan))
        parts.add(events, form.shape, pane_ms=10_000, keep=66, allowed_ms=5000, jump_ms=60_000, reach=60)
        packed = codec.pack(codec.to_record(KEY, parts, form))
        _, parts = codec.from_record(codec.unpack(packed, PartitionRecord), form)
    assert (whole.head, +whole.counters) == (parts.head, +parts.counters)
    assert {number: pane.tolist() for number, pane in whole.panes.items()} == {
        number: pane.tolist() for number, pane in parts.panes.items()
    }


def test_most_of_the_time_it_is_the_maximum():
    head = Head(START)
    heads, rivals = head.follow(np.array([START + 5, START - 9000, START + 3, START + 59_000]), 60_000)
    assert heads.tolist() == [START + 5, START + 5, START + 5, START + 59_000]
    assert not rivals.any()
