"""The sample for the report: bounded, even, and whatever the batches were."""

import numpy as np
import pytest
from data_monitor.report.sampler import Sampler
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
def test_it_is_bounded_and_takes_rows_as_they_are(batches: list[int], seed: int) -> None:
    sampler, dice, begun = Sampler(["x", "twice"], 100, 5, seed), np.random.default_rng(seed), 0
    for size in batches:
        x = np.arange(begun, begun + size, dtype=float)
        begun += size
        sampler.add(dice.integers(0, 5, size), [x, (2 * x).tolist()])
    drawn = sampler.draw()
    assert len(drawn["x"]) == len(drawn["twice"]) <= 100 + 5
    assert len(set(drawn["x"])) == len(drawn["x"])
    assert all(b == 2 * a for a, b in zip(drawn["x"], drawn["twice"], strict=True))
    if begun <= 40:  # any of the five panes has room for as many
        assert sorted(drawn["x"]) == list(range(begun))


def test_a_window_that_has_just_begun_fills_the_sample() -> None:
    sampler = Sampler(["x"], 100, 60, 1)
    sampler.add(np.zeros(1000, np.int64), [np.arange(1000.0)])
    assert len(sampler.draw()["x"]) == 100


def test_every_event_has_the_same_chance() -> None:
    hits = np.zeros(1000)
    for seed in range(400):
        sampler = Sampler(["x"], 100, 10, seed)
        x = np.arange(1000, dtype=float)
        # Panes of unequal size, batches of unequal size.
        panes = np.sort(np.random.default_rng(0).choice(10, 1000, p=np.arange(1, 11) / 55))
        for part in np.array_split(np.arange(1000), [3, 500, 520, 900]):
            sampler.add(panes[part], [x[part]])
        drawn = sampler.draw()["x"]
        hits[np.asarray(drawn, dtype=int)] += 1
    # About 100 of 1000 in each of 400 draws: 40 hits each, give or take six.
    assert hits.mean() == pytest.approx(40, rel=0.05)
    assert hits.min() > 10
    halves = hits[:500].mean(), hits[500:].mean()
    assert halves[0] == pytest.approx(halves[1], rel=0.1)


def test_it_follows_the_window() -> None:
    sampler = Sampler(["x"], 100, 2, 1)

    def add(*panes: int) -> None:
        for pane in panes:
            sampler.add(np.full(10, pane), [np.full(10, float(pane))])

    add(1, 2, 3)
    sampler.advance(3)
    assert set(sampler.draw()["x"]) == {2.0, 3.0}
    # Late ones of the window, early ones of the next; not those that left, nor what claims to be years ahead.
    add(1, 2, 4, 1_000_000)
    assert set(sampler.draw()["x"]) == {2.0, 3.0}
    sampler.advance(4)
    assert set(sampler.draw()["x"]) == {3.0, 4.0}


def test_wrong_times_before_the_first_window_take_no_room_for_ever() -> None:
    sampler = Sampler(["x"], 100, 2, 1)
    for pane in range(1_000_000, 1_000_100):
        sampler.add(np.full(10, pane), [np.full(10, 0.0)])
    assert len(sampler._panes) <= 4
    sampler.advance(3)
    sampler.add(np.full(10, 3), [np.full(10, 3.0)])
    assert set(sampler.draw()["x"]) == {3.0}


def test_missing_values_are_none() -> None:
    sampler = Sampler(["x", "c"], 100, 1, 1)
    sampler.add(np.zeros(3, np.int64), [np.array([1.0, np.nan, np.inf]), ["a", None, True]])
    drawn = sampler.draw()
    rows = set(zip(drawn["x"], drawn["c"], strict=True))
    assert rows == {(1.0, "a"), (None, None), (None, True)}


def test_nothing_in_nothing_out() -> None:
    assert Sampler(["x"], 100, 5).draw() == {"x": []}
