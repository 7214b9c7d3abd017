"""Predictions joined with the truth that arrives later, against sums over the whole lists."""

import math
import random
import statistics
from collections import Counter

import msgspec
import pytest
from data_monitor.core.bins import Categorical, Numeric
from data_monitor.core.truth import Held, Truth
from data_monitor.core.values import Type

MINUTE = 60_000
FIRST = 1_700_000_040_000
"""A whole minute."""
SCORE = Numeric("score", (0.5,))
CLASS = Categorical("class", ("cat", "dog"))


def truth_of(feature=SCORE, wait=10 * MINUTE, window=60 * MINUTE, capacity=1000):
    return Truth(feature, wait, window, capacity)


def label(name, value, written=FIRST):
    return written, name, value


@pytest.mark.parametrize("saved_every", [None, 7])
def test_errors_of_a_window_are_those_of_its_list(saved_every):
    """Labels come before and after, in any order; a restart from what was saved changes nothing."""
    dice = random.Random(3)
    rows = [
        (FIRST + at * MINUTE // 4, f"e{at}", dice.gauss(5, 2), dice.gauss(5, 2), dice.random() < 0.8)
        for at in range(600)
    ]
    arrivals = sorted(
        [(row[0], "prediction", row) for row in rows]
        + [(row[0] + dice.uniform(-1, 9) * MINUTE, "label", row) for row in rows if row[4]],
        key=lambda arrival: arrival[0],
    )
    truth = truth_of()
    for number, (time, what, (event_ms, name, value, true, _)) in enumerate(arrivals):
        if what == "prediction":
            truth.predicted([(event_ms, name, value)])
            truth.close(event_ms)
        else:
            truth.labelled([(int(time), name, true)])
        if saved_every and number % saved_every == 0:
            held = msgspec.msgpack.decode(msgspec.msgpack.encode(truth.held), type=Held)
            truth = truth_of()
            truth.resume(held)
    # The last prediction is at 149.75 minutes; ten minutes before, 139 are over.
    window = [row for row in rows if FIRST + 79 * MINUTE <= row[0] < FIRST + 139 * MINUTE]
    errors = [value - true for _, _, value, true, labelled in window if labelled]
    found = truth.quality()
    assert (found.end_ms, found.predictions, found.joined) == (FIRST + 139 * MINUTE, 240, len(errors))
    assert found.absolute_error == pytest.approx(statistics.fmean(map(abs, errors)))
    assert found.rms_error == pytest.approx(math.sqrt(statistics.fmean(error**2 for error in errors)))
    assert found.bias == pytest.approx(statistics.fmean(errors))
    assert found.accuracy is None


@pytest.mark.parametrize(
    ("feature", "pairs", "right"),
    [
        (CLASS, [("cat", "cat"), ("dog", "cat"), ("cow", "cow"), ("cat", "dog")], 2),
        (Categorical("b", ("false", "true"), Type.BOOLEAN), [(True, "yes"), (False, 0), (True, False)], 2),
        (Categorical("n", ("1", "2"), Type.NUMBER), [(1.0, "1"), (2, 2), (1, 2), (2, 1)], 2),
    ],
)
def test_categories_are_right_or_wrong_however_they_are_written(feature, pairs, right):
    truth = truth_of(feature)
    truth.predicted((FIRST, str(at), predicted) for at, (predicted, _) in enumerate(pairs))
    truth.labelled(label(at, true) for at, (_, true) in enumerate(pairs))
    truth.close(FIRST + 11 * MINUTE)
    found = truth.quality()
    assert (found.joined, found.accuracy) == (len(pairs), right / len(pairs))
    assert (found.absolute_error, found.rms_error, found.bias) == (None, None, None)


def test_a_probability_is_judged_by_what_happened():
    truth = truth_of()
    truth.predicted([(FIRST, "a", 0.9), (FIRST, "b", 0.2)])
    truth.labelled([label("a", True), label("b", False)])
    truth.close(FIRST + 11 * MINUTE)
    # The Brier score: (0.1² + 0.2²) / 2.
    assert truth.quality().rms_error ** 2 == pytest.approx(0.025)


def test_there_is_nothing_before_the_first_pane_is_closed_and_no_error_without_a_join():
    truth = truth_of()
    assert truth.quality() is None
    truth.predicted([(FIRST, "a", 0.5)])
    truth.close(FIRST + 10 * MINUTE)
    assert truth.quality() is None
    truth.close(FIRST + 11 * MINUTE)
    found = truth.quality()
    assert (found.predictions, found.joined, found.absolute_error, found.accuracy) == (1, 0, None, None)
    truth.close(FIRST + 71 * MINUTE)
    assert truth.quality() is None


def test_a_label_that_comes_after_the_wait_finds_nobody():
    truth = truth_of()
    truth.predicted([(FIRST, "a", 1.0), (FIRST + MINUTE, "b", 1.0)])
    truth.close(FIRST + 11 * MINUTE)
    truth.labelled([label("a", 2.0), label("b", 2.0)])
    truth.predicted([(FIRST, "c", 1.0)])
    assert truth.joined == 1
    assert truth.dropped == Counter({("prediction", "wait"): 2})
    assert truth.measured().waiting == {"prediction": 0, "label": 1}
    truth.close(FIRST + 12 * MINUTE)
    assert truth.dropped["label", "wait"] == 1
    assert truth.measured().waiting == {"prediction": 0, "label": 0}


def test_no_more_wait_than_there_is_room_for():
    truth = truth_of(capacity=3)
    truth.predicted((FIRST, f"p{at}", 1.0) for at in range(5))
    truth.labelled(label(f"l{at}", 1.0) for at in range(5))
    assert truth.measured().waiting == {"prediction": 3, "label": 3}
    assert truth.dropped == Counter({("prediction", "capacity"): 2, ("label", "capacity"): 2})
    # The first predictions are a sample; of labels, the last ones.
    truth.labelled([label("p0", 1.0), label("p4", 1.0)])
    truth.predicted([(FIRST, "l4", 1.0), (FIRST, "l0", 1.0)])
    assert truth.joined == 2
    truth.close(FIRST + 11 * MINUTE)
    found = truth.quality()
    assert (found.predictions, found.joined) == (7, 2)


def test_what_comes_twice_counts_once_and_the_last_label_is_right():
    truth = truth_of()
    truth.predicted([(FIRST, "a", 1.0), (FIRST, "a", 5.0)])
    truth.labelled([label("b", 1.0), label("b", 4.0), label("a", 2.0)])
    truth.predicted([(FIRST, "b", 1.0)])
    truth.close(FIRST + 11 * MINUTE)
    found = truth.quality()
    assert (found.predictions, found.joined, found.bias) == (2, 2, pytest.approx((-1 - 3) / 2))
    assert truth.dropped == Counter({("prediction", "duplicate"): 1, ("label", "duplicate"): 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [(None, 1.0), ("", 1.0), (True, 1.0), (1.5, 1.0), ("x" * 257, 1.0), ("a", None), ("a", math.nan), ("a", "high")],
)
def test_what_has_no_id_or_no_value_is_counted(name, value):
    truth = truth_of()
    truth.predicted([(FIRST, name, value)])
    truth.labelled([label(name, value)])
    assert truth.dropped == Counter({("prediction", "invalid"): 1, ("label", "invalid"): 1})
    assert truth.measured().waiting == {"prediction": 0, "label": 0}


def test_an_endless_category_is_not_kept():
    truth = truth_of(CLASS)
    truth.predicted([(FIRST, "a", "x" * 257)])
    assert truth.dropped == Counter({("prediction", "invalid"): 1})


def test_another_window_begins_anew_and_another_wait_goes_on():
    truth = truth_of()
    truth.predicted([(FIRST, "a", 1.0)])
    longer, other = truth_of(wait=20 * MINUTE), truth_of(window=120 * MINUTE)
    for one in (longer, other):
        one.resume(truth.held)
    assert [one.measured().waiting["prediction"] for one in (longer, other)] == [1, 0]
