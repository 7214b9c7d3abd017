"""Records to columns: typed, and what is wrong with those that are not as expected."""

import json
import math
from collections import Counter

import msgspec
import numpy as np
import pytest
from data_monitor.adapters.decode import DeadLetterDecoder, Decoder
from data_monitor.adapters.pane_records import FORMAT, PaneDecoder
from data_monitor.adapters.schema import ANY, NUMBER, Node
from data_monitor.config import Fields
from data_monitor.core.columns import Column
from data_monitor.core.judge import Judge, Rules
from data_monitor.core.learn import learn
from data_monitor.core.monitor import Monitor, Times
from data_monitor.core.panes import PartitionState
from data_monitor.core.values import Missing
from data_monitor.errors import InputError
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = np.random.default_rng(1).normal(size=1000).tolist()
REFERENCE = learn(
    [Column("price", NUMBERS), Column("d-v", ["m", "t"] * 500)],
    prediction=Column("score", NUMBERS),
    segment=Column("d-v", ["m", "t"] * 500),
)
DECODER = Decoder(REFERENCE, Fields())
GOOD = {"ts_ms": 1000, "inference_ms": 0.5, "score": 0.1, "features": {"price": 1, "d-v": "m"}, "more": [{}]}


def decode(*records):
    return DECODER.decode([one if isinstance(one, bytes) else json.dumps(one).encode() for one in records])


def test_good_records():
    decoded = decode(GOOD, {**GOOD, "ts_ms": 2000.7, "features": {"d-v": "t"}}, {**GOOD, "features": None})
    assert decoded.good.tolist() == [0, 1, 2]
    assert decoded.problems == []
    assert decoded.events.times_ms.tolist() == [1000, 2000, 1000]
    assert decoded.events.latencies_ms.tolist() == [0.5] * 3
    price, device, score = decoded.columns
    assert np.isnan(price).tolist() == [False, True, True]
    assert list(device) == ["m", "t", None]
    assert score.tolist() == [0.1] * 3
    assert (decoded.events.codes // REFERENCE.layout.size)[:, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("record", "kinds", "good"),
    [
        (b"", ["malformed_json"], 0),
        (b"\xff", ["malformed_json"], 0),
        (b"[" * 100_000, ["malformed_json"], 0),
        (b'{"ts_ms": 1', ["malformed_json"], 0),
        (b"3", ["malformed_json"], 0),
        (b'{"ts_ms": 1}{"ts_ms": 2}', ["malformed_json"], 0),
        (b'{"ts_ms": 1, "features": {"price": nan}}', ["malformed_json"], 0),
        (b'{"ts_ms": 1e999}', ["missing_time"], 0),
        (b'{"ts_ms": NaN}', ["missing_time"], 0),
        ({}, ["missing_time"], 0),
        ({**GOOD, "ts_ms": "soon"}, ["wrong_type", "missing_time"], 0),
        ({**GOOD, "ts_ms": True}, ["wrong_type", "missing_time"], 0),
        ({**GOOD, "features": {"price": "dear", "d-v": "m"}}, ["wrong_type"], 1),
        ({**GOOD, "features": {"price": True, "d-v": []}}, ["wrong_type"], 1),
        ({**GOOD, "features": [1]}, ["wrong_type"], 1),
        ({**GOOD, "features": {"price": 10**400}}, [], 1),
        ({**GOOD, "features": {"price": math.nan}}, [], 1),
        ({**GOOD, "inference_ms": math.inf}, [], 1),
    ],
)
def test_a_bad_record_is_told_apart_and_leaves_the_others_alone(record, kinds, good):
    decoded = decode(GOOD, record, GOOD)
    assert [kind for position, kind in decoded.problems if position == 1] == kinds == [k for _, k in decoded.problems]
    assert decoded.good.tolist() == ([0, 1, 2] if good else [0, 2])
    assert decoded.events.codes.shape == (2 + good, 3)


@pytest.mark.parametrize(
    "token", ["NaN", "Infinity", "-Infinity", "null", "1e999", "-1e400", "1" * 400, "1" * 5000, '""', '"NA"', '" "']
)
def test_a_number_that_is_none_is_one_missing_value(token):
    texts = json.dumps({**GOOD, "features": {"price": "HERE", "d-v": "m"}}).replace('"HERE"', token)
    decoded = DECODER.decode([texts.encode()])
    assert (decoded.problems, decoded.good.tolist()) == ([], [0])
    price, device, score = decoded.columns
    assert math.isnan(price[0])
    assert (device[0], score[0], decoded.events.latencies_ms[0]) == ("m", 0.1, 0.5)


def test_a_number_written_as_a_text_is_one():
    decoded = decode({**GOOD, "features": {"price": "12.50", "d-v": "m"}})
    assert decoded.problems == []
    assert decoded.columns[0].tolist() == [12.5]


def test_times_as_a_feature_and_numbers_that_mean_missing():
    rows = [f"2024-01-{day:02d}T10:00:00+02:00" for day in range(1, 31)] * 10
    reference = learn([Column("since", rows), Column("level", NUMBERS[:300])], missing=Missing.of(["-999"]))
    records = [
        {"ts_ms": 1000, "features": {"since": since, "level": level}}
        for since, level in (("2024-01-02", 1.5), ("2024-01-02T00:00:00Z", -999), ("yesterday", 0), (None, 0))
    ]
    decoded = Decoder(reference, Fields()).decode([json.dumps(record).encode() for record in records])
    since, level = decoded.columns
    assert np.nan_to_num(since, nan=-1).tolist() == [1704153600, 1704153600, -1, -1]
    assert np.nan_to_num(level, nan=-1).tolist() == [1.5, -1, 0, 0]
    assert decoded.problems == [(2, "wrong_type")]


def test_inference_times_whose_sum_would_be_infinite_are_left_out():
    decoded = decode(*[{**GOOD, "inference_ms": value} for value in (1e308, -1, 5)])
    assert np.nan_to_num(decoded.events.latencies_ms, nan=-1).tolist() == [-1, -1, 5]


def test_a_tombstone_is_a_bad_record():
    assert DECODER.decode([None]).problems == [(0, "malformed_json")]


VALUE = st.sampled_from([0, -1.5, 2**60, 10**400, None, "m", "", True, [], {}])
FEATURES = st.dictionaries(st.sampled_from(["price", "d-v", "x"]), VALUE) | VALUE
RECORD = st.dictionaries(st.sampled_from(["ts_ms", "inference_ms", "score"]), VALUE).flatmap(
    lambda record: FEATURES.map(lambda features: {"ts_ms": 1000, **record, "features": features})
)
TEXT = (st.just(GOOD) | RECORD).map(lambda record: json.dumps(record).encode())


@given(st.lists(TEXT | st.sampled_from([None, b"", b"{", b"{}{}", b"[]", b"\xff"])))
def test_a_batch_is_decoded_as_its_records_are_one_by_one(records):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("data_monitor.adapters.decode._CHUNK", 3)
        decoded = DECODER.decode(records)
    alone = [DECODER.decode([record]) for record in records]
    assert decoded.good.tolist() == [at for at, one in enumerate(alone) if len(one.good)]
    assert sorted(decoded.problems) == sorted((at, kind) for at, one in enumerate(alone) for _, kind in one.problems)
    for name in ("times_ms", "latencies_ms", "codes"):
        found = getattr(decoded.events, name)
        expected = np.concatenate([found[:0], *(getattr(one.events, name) for one in alone)])
        assert np.array_equal(found, expected, equal_nan=True)


@given(st.data(), st.integers(1, 20), st.integers(0, 20))
def test_numbers_are_those_of_the_records_bit_for_bit(data, width, categories):
    root = Node()
    for number in range(width):
        root.leaf(f"inside.n{number}", NUMBER)
    for number in range(categories):
        root.leaf(f"inside.c{number}", ANY)
    decode = msgspec.json.Decoder(root.build()).decode
    paths, take = root.numbers()
    names = [path.removeprefix("inside.") for path in paths]
    value = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63) | st.none()
    rows = data.draw(st.lists(st.dictionaries(st.sampled_from([*names, "c0"]), value), max_size=40))
    found = take([decode(json.dumps({"inside": row}).encode()) for row in rows])
    expected = [[math.nan if row.get(name) is None else float(row[name]) for row in rows] for name in names]
    assert found.tobytes() == np.array(expected).tobytes()


def test_units_and_fields_of_ones_own():
    fields = Fields(
        time="meta.at", timeUnit="us", features="", prediction=None, inference_time="took", inferenceTimeUnit="s"
    )
    reference = learn([Column("user.age", NUMBERS)])
    decoded = Decoder(reference, fields).decode([b'{"meta": {"at": 5000}, "user": {"age": 3}, "took": 0.25}'])
    assert decoded.events.times_ms.tolist() == [5]
    assert decoded.events.latencies_ms.tolist() == [250]
    assert decoded.columns[0].tolist() == [3]


@pytest.mark.parametrize(
    ("unit", "value", "milliseconds"),
    [
        ("ms", 1_764_358_800_123, 1_764_358_800_123),
        ("ms", 1_764_358_800_123.7, 1_764_358_800_123),
        ("ms", "1764358800123", 1_764_358_800_123),
        ("s", 1_764_358_800.123, 1_764_358_800_123),
        ("s", "1764358800", 1_764_358_800_000),
        ("us", 1_764_358_800_123_456, 1_764_358_800_123),
        ("ns", 1_764_358_800_123_456_789, 1_764_358_800_123),
        ("ms", "2025-11-28T19:40:00.123Z", 1_764_358_800_123),
        ("iso8601", "2025-11-28T19:40:00.123456789Z", 1_764_358_800_123),
        ("iso8601", "2025-11-28t20:40:00,123+01:00", 1_764_358_800_123),
        ("iso8601", "2025-11-28 19:40:00.123z", 1_764_358_800_123),
        ("iso8601", "20251128T194000Z", 1_764_358_800_000),
        ("iso8601", "2025-11-28", 1_764_288_000_000),
        ("iso8601", "2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("iso8601", "2025-W48-5T19:40:00Z", None),
        ("iso8601", "2025-332", None),
        ("iso8601", "2025-02-30T00:00:00Z", None),
        ("iso8601", 1_764_358_800_123, None),
        ("ms", "1_000", None),
        ("ms", "nan", None),
        ("ms", "1e999", None),
        ("ms", None, None),
    ],
)
def test_times_as_they_come(unit, value, milliseconds):
    decoded = Decoder(REFERENCE, Fields(timeUnit=unit)).decode([json.dumps({**GOOD, "ts_ms": value}).encode()])
    assert decoded.events.times_ms.tolist() == ([] if milliseconds is None else [milliseconds])


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+08:00", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59-08:00"])
def test_times_that_cannot_be_are_times_all_the_same(moment):
    decoded = Decoder(REFERENCE, Fields(timeUnit="iso8601")).decode([json.dumps({**GOOD, "ts_ms": moment}).encode()])
    assert len(decoded.good) == 1


def test_the_time_of_the_record_in_the_topic():
    decoder = Decoder(REFERENCE, Fields(time=None))
    decoded = decoder.decode([b"{}", b"{", b"{}"], [5000, 6000, -1])
    assert decoder.by_record
    assert decoded.events.times_ms.tolist() == [5000]
    assert decoded.problems == [(1, "malformed_json"), (2, "missing_time")]


def test_fields_inside_one_another_are_refused():
    with pytest.raises(InputError, match="features is a value of its own in another field"):
        Decoder(REFERENCE, Fields(time="features"))


def test_dead_letters_by_type():
    decoder = DeadLetterDecoder("meta.type", ["a"])
    values = [b'{"meta":{"type":"a"},"x":NaN}', b'{"meta":{"type":"b"}}', b'{"meta":1}', b"{}", b"x", None]
    assert decoder.decode(values) == Counter({"dead.a": 1, "dead.other": 5})


def pane(**changes):
    counts = {"price": [1] * 11, "d-v": [5, 6, 0, 0], "score": [0] * 10 + [11]}
    record = {"format": FORMAT, "reference": REFERENCE.digest, "startMs": 10_000, "lengthMs": 10_000}
    record |= {"counts": counts, "events": 12, "late": 1, "segment": "t", "latenciesMs": [[0.5, 3], [2, 8]]}
    return json.dumps({**record, **changes}).encode()


def test_a_pane_record_is_what_its_events_would_be():
    judge = Judge(REFERENCE, Rules())
    decoder = PaneDecoder(judge, 10_000)
    counters = Counter()
    found = decoder.decode(pane(), counters)
    shape = judge.shape
    assert not counters
    assert found.start_ms == 10_000
    assert shape.counts(found.vector).sum(1).tolist() == [0, 33, 0]
    assert (shape.seen(found.vector), shape.late(found.vector)) == (12, 1)
    assert judge.traffic(found.vector).latency_ms[0.95] == pytest.approx(2, rel=0.01)
    assert found.part is None


def test_the_same_part_of_two_segments_is_two_parts():
    decoder = PaneDecoder(Judge(REFERENCE, Rules()), 10_000)
    segments = (None, "t", "unknown", "unknown as well")
    parts = {decoder.decode(pane(part="3", segment=segment), Counter()).part for segment in segments}
    assert len(parts) == 4


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"reference": "other"}, "reference_mismatch"),
        ({"lengthMs": 5000}, "reference_mismatch"),
        ({"startMs": 1}, "reference_mismatch"),
        ({"counts": {}}, "reference_mismatch"),
        ({"events": "many"}, "wrong_type"),
        ({"events": -1}, "wrong_type"),
        ({"events": True}, "wrong_type"),
        ({"events": 10**30}, "wrong_type"),
        ({"startMs": 10**30}, "wrong_type"),
        ({"late": 2**31}, "wrong_type"),
        ({"latenciesMs": [[-1, 1]]}, "wrong_type"),
        ({"latenciesMs": [[1, 10**30]]}, "wrong_type"),
        ({"counts": {"price": [10**30]}}, "wrong_type"),
    ],
)
def test_a_pane_record_that_does_not_fit_is_counted(changes, kind):
    counters = Counter()
    assert PaneDecoder(Judge(REFERENCE, Rules()), 10_000).decode(pane(**changes), counters) is None
    assert counters == {f"invalid.{kind}": 1}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(min_value=10**18) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(json.loads(pane()))), ANYTHING)
def test_whatever_a_pane_record_holds_it_is_one_problem_or_none(key, value):
    judge, counters = Judge(REFERENCE, Rules()), Counter()
    found = PaneDecoder(judge, 10_000).decode(pane(**{key: value}), counters)
    assert counters.total() == (found is None)
    if found:
        monitor = Monitor(judge, Times())
        monitor.adopt(("t", 0), PartitionState(0), 0.0)
        monitor.add_pane(("t", 0), found.start_ms, found.vector, found.part, 1.7e9)


@given(st.dictionaries(st.sampled_from(["ts_ms", "inference_ms", "score", "features"]), ANYTHING) | ANYTHING)
def test_whatever_a_record_holds_the_next_one_is_read(record):
    assert decode(record, GOOD).good.tolist()[-1] == 1
