import math

import numpy as np
import pytest
from data_monitor.core import bins
from data_monitor.core.bins import Categorical, Layout, Numeric
from data_monitor.core.columns import Column
from data_monitor.core.learn import column_for, learn, learn_feature
from data_monitor.core.reference import BadReference, Reference
from data_monitor.core.score import drift_score
from data_monitor.core.values import Type
from hypothesis import given
from hypothesis import strategies as st

ROWS = np.random.default_rng(1).normal(size=20_000)


def test_numbers_get_deciles_with_open_tails_and_a_missing_bin():
    reference = learn([Column("x", ROWS.tolist())])
    (feature,) = reference.features
    assert isinstance(feature, Numeric)
    assert len(feature.edges) == 9
    assert reference.counts[:-1].tolist() == pytest.approx([2000] * 10, abs=1)
    assert reference.counts[-1] == 0
    assert feature.encode(np.array([-1e300, 1e300, np.nan, np.inf, feature.edges[0]])).tolist() == [0, 9, 10, 10, 1]


EDGES = st.lists(st.floats(-10, 10), max_size=40, unique=True).map(sorted)
VALUES = st.lists(st.sampled_from([-0.0, 0.0, 1.0, np.nan, np.inf, -np.inf]) | st.floats(-11, 11), max_size=20)


@given(st.lists(EDGES, max_size=4), VALUES)
def test_features_together_get_the_bins_that_each_gets_alone(edges, values):
    column = np.array([*values, *(edges[0] if edges else [])])
    features = [Numeric(str(at), tuple(one)) for at, one in enumerate(edges)]
    features.insert(1, Categorical("c", ("1",)))
    columns = [column if isinstance(one, Numeric) else [1] * len(column) for one in features]
    layout = Layout(features)
    alone = [one.encode(values) for one, values in zip(features, columns, strict=True)]
    codes = layout.encode(columns).T - [[part.start] for part in layout.slices]
    assert codes.tolist() == [one.tolist() for one in alone]


@pytest.mark.parametrize("spike", [0.0, -999.0, 1.0, 0.1])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_spike_gets_a_bin_of_its_own(spike, share):
    values = np.where(np.random.default_rng(3).random(len(ROWS)) < share, spike, ROWS.clip(max=1)).tolist()
    reference = learn([Column("x", values)])
    (feature,) = reference.features
    assert list(feature.edges) == sorted(set(feature.edges))
    (own,) = set(feature.encode(np.array([spike, spike * (1 + 1e-9)])).tolist())
    assert reference.counts[own] == values.count(spike)
    # What is as high as the rows, but for the spike, is judged as finely as without one.
    assert np.count_nonzero(reference.counts) >= 10


def test_a_number_that_is_nearly_always_zero_is_judged():
    dice = np.random.default_rng(4)

    def purchases(count, zeros, mean):
        return np.where(dice.random(count) < zeros, 0, dice.exponential(mean, count) + 1).round(2).tolist()

    reference = learn([Column("x", purchases(20_000, 0.95, 20))])
    assert scored(reference, purchases(5000, 0.95, 20)) < 0.05
    assert scored(reference, purchases(20_000, 0.5, 20)) >= 0.445
    assert scored(reference, purchases(5000, 0, 500)) >= 0.92


def test_edges_lie_between_values_so_that_rounding_moves_none():
    values = (np.random.default_rng(5).integers(100, 2000, 20_000) / 100).tolist()
    reference = learn([Column("x", values)])
    assert scored(reference, [float(np.float32(value)) for value in values]) == 0


@pytest.mark.parametrize("values", [[1, 2.0, True] * 100, ["a", "b"] * 100, [None, "", float("nan")]])
def test_few_numbers_texts_and_nothing_are_categories(values):
    assert isinstance(learn_feature(Column("x", values)), Categorical)


def test_a_stray_text_does_not_make_numbers_categories():
    values = [*ROWS[:1000].tolist(), "n/a"]
    feature = learn_feature(Column("x", values))
    assert isinstance(feature, Numeric)
    assert feature.encode(column_for(feature, values))[-1] == feature.missing


def test_categories_beyond_the_most_frequent_and_new_ones_are_other():
    feature = learn_feature(Column("x", [f"c{i}" for i in range(30) for _ in range(40 - i)]))
    assert feature.categories == tuple(f"c{i}" for i in range(20))
    codes = feature.encode(["c0", "c29", "new", None, "", " ", "NA"]).tolist()
    assert codes[0] == 0
    assert 20 <= codes[1] < feature.other
    assert codes[2:] == [feature.other, *[feature.missing] * 4]


def test_a_category_is_known_by_its_text_number_or_boolean_as_its_type_says():
    text = Categorical("x", ("1", "2.5", "true"))
    assert text.encode([1, 1.0, "1", 2.5, True, "true", False, "1.0"]).tolist() == [0, 0, 0, 1, 2, 2, 3, 3]
    number = Categorical("x", ("1", "2.5"), Type.NUMBER)
    assert number.encode([1, "1.0", " 1", "01", "2.50", "x", math.inf]).tolist() == [0, 0, 0, 0, 1, 2, 3]
    boolean = Categorical("x", ("false", "true"), Type.BOOLEAN)
    assert boolean.encode([True, "TRUE", "t", 1, 1.0, "1", "yes", False, "no", 2]).tolist() == [1] * 7 + [0, 0, 2]


def test_integers_beyond_a_double_stay_apart():
    odd, even = 2**53 + 1, 2**53
    reference = learn([Column("x", [odd, even] * 500)])
    assert reference.features[0].categories == (str(even), str(odd))
    assert scored(reference, [even] * 1000) == pytest.approx(0.558, abs=0.01)
    assert scored(reference, [str(odd), str(even)] * 500) == 0


@pytest.mark.parametrize("kinds", [300, 1000, 5000, 10_000])
def test_thousands_of_categories(kinds):
    dice = np.random.default_rng(6)

    def rows(count, name="item"):
        return [f"{name}_{number:05d}" for number in dice.integers(0, kinds, count)]

    training = rows(20_000)
    reference = Reference.from_document(learn([Column("x", training)]).to_document())
    assert scored(reference, training) < 0.01
    assert max(scored(reference, rows(2000)) for _ in range(20)) < 0.1
    assert scored(reference, rows(5000, "other")) > 0.8
    assert scored(reference, rows(1000) + rows(1000, "other")) > 0.35
    # Only the known ones of five groups: none is new.
    assert scored(reference, [one for one in rows(8000) if bins.hashes_of([one])[0] % 10 < 5]) > 0.35


def test_a_few_of_many_categories_are_judged_by_themselves():
    dice = np.random.default_rng(7)
    training = [f"c{number}" for number in dice.zipf(1.3, 20_000)]
    reference = learn([Column("x", training)])
    assert reference.features[0].categories[0] == "c1"
    window = [f"c{number}" for number in dice.zipf(1.3, 5000)]
    assert scored(reference, window) < 0.1
    assert scored(reference, ["c2" if one == "c1" else one for one in window]) > 0.35


def scored(reference, values):
    layout = reference.layout
    counts = layout.count([column_for(layout.features[0], values)])
    return float(drift_score(layout.features[0].expected(reference.counts, counts), counts))


def test_half_missing_a_new_category_and_one_absurd_value():
    numbers = learn([Column("x", ROWS.tolist())])
    window = np.random.default_rng(2).normal(size=10_000).tolist()
    plain = scored(numbers, window)
    assert plain < 0.05
    assert scored(numbers, [*window[:5000], *[None] * 5000]) == pytest.approx(0.558, abs=0.01)
    # A bin of the reference takes it, so it neither alarms nor hides what the others say.
    assert scored(numbers, [*window[1:], 1e30]) == pytest.approx(plain, abs=0.01)
    shifted = [value + 0.5 for value in window]
    assert scored(numbers, [*shifted[1:], 1e30]) == pytest.approx(scored(numbers, shifted), abs=0.01)
    texts = learn([Column("x", ["a", "b"] * 5000)])
    assert scored(texts, ["a", "b"] * 450 + ["c"] * 100) == pytest.approx(0.228, abs=0.01)


def test_a_reference_survives_its_file_and_is_known_by_what_it_judges():
    reference = learn(
        [Column("x", ROWS.tolist()), Column("d", ["m", "t"] * 10_000)],
        prediction=Column("score", (ROWS * 2).tolist()),
        segment=Column("d", ["m", "t"] * 10_000),
        block=1000,
        source={"file": "a.csv"},
    )
    again = Reference.from_document(reference.to_document())
    assert again.to_document() == reference.to_document()
    assert again.digest == reference.digest
    assert reference.segments.counts.sum(0).tolist() == reference.counts.tolist()
    assert set(reference.thresholds) == {"x", "d", "score"}
    elsewhere = Reference.from_document({**reference.to_document(), "source": {"file": "b.csv"}})
    assert elsewhere.digest == reference.digest
    assert learn([Column("x", (ROWS + 1e-9).tolist())]).digest != learn([Column("x", ROWS.tolist())]).digest


def test_blocks_that_follow_a_season_need_a_higher_threshold():
    season = np.sin(np.arange(20_000) / 20_000 * 4 * np.pi)
    calm, seasonal = (learn([Column("x", v.tolist())], block=1000).thresholds["x"] for v in (ROWS, ROWS + season))
    assert calm < 0.1 < 0.3 < seasonal


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "x"}, "not a drift reference"),
        ({"features": []}, "no features"),
        ({"features": [{"name": "x", "kind": "numeric", "edges": [1, 0], "counts": [1, 1, 1, 1]}]}, "edges must rise"),
        ({"features": [{"name": "x", "kind": "numeric", "edges": [], "counts": [1]}]}, "1 counts for 2 bins"),
        ({"features": [{"name": "x", "kind": "numeric", "edges": [], "counts": [0, 0]}]}, "x has no counts"),
        ({"features": [{"name": "x", "kind": "text"}]}, "wanted numeric or categorical"),
        ({"features": [{"kind": "numeric"}]}, "damaged: KeyError: 'name'"),
    ],
)
def test_what_is_wrong_with_a_reference_is_said(change, said):
    document = learn([Column("x", ROWS.tolist())]).to_document()
    with pytest.raises(BadReference, match=said):
        Reference.from_document({**document, **change})


def test_a_layout_counts_every_event_once_for_each_feature():
    layout = Layout([Numeric("a", (0.0,)), Categorical("b", ("x",))])
    assert layout.count([np.array([-1.0, 1.0, np.nan]), ["x", "y", None]]).tolist() == [1, 1, 1, 1, 1, 1]
