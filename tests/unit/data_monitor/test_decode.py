"""Records to columns: typed, and what is wrong with those that are not as expected."""

import json
from collections import Counter

import numpy as np
import pytest
from data_monitor.adapters.decode import DeadLetterDecoder, Decoder
from data_monitor.adapters.pane_records import FORMAT, PaneDecoder
from data_monitor.config import Fields
from data_monitor.core.judge import Judge, Rules
from data_monitor.core.learn import Column, learn
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
        (b'{"ts_ms": 1e999}', ["malformed_json"], 0),
        ({}, ["missing_time"], 0),
        ({**GOOD, "ts_ms": "1000"}, ["wrong_type", "missing_time"], 0),
        ({**GOOD, "features": {"price": "dear", "d-v": "m"}}, ["wrong_type"], 1),
        ({**GOOD, "features": {"price": True, "d-v": []}}, ["wrong_type"], 1),
        ({**GOOD, "features": [1]}, ["wrong_type"], 1),
        ({**GOOD, "features": {"price": 10**400}}, ["wrong_type"], 1),
    ],
)
def test_a_bad_record_is_told_apart_and_leaves_the_others_alone(record, kinds, good):
    decoded = decode(GOOD, record, GOOD)
    assert [kind for position, kind in decoded.problems if position == 1] == kinds == [k for _, k in decoded.problems]
    assert decoded.good.tolist() == ([0, 1, 2] if good else [0, 2])
    assert decoded.events.codes.shape == (2 + good, 3)


def test_a_tombstone_is_a_bad_record():
    assert DECODER.decode([None]).problems == [(0, "malformed_json")]


@given(st.lists(st.sampled_from([b"{", b"}", b"{}", b"", b" ", b'{"a":{"b":1}', b'{"a":', b"1}", b"{}{}"]), max_size=6))
def test_records_that_are_decoded_together_are_never_taken_for_one_another(records):
    together = DECODER.decode(records)
    alone = [(at, kind) for at, one in enumerate(records) for _, kind in DECODER.decode([one]).problems]
    assert sorted(together.problems) == alone


def test_units_and_fields_of_ones_own():
    fields = Fields(
        time="meta.at", timeUnit="us", features="", prediction=None, inference_time="took", inferenceTimeUnit="s"
    )
    reference = learn([Column("user.age", NUMBERS)])
    decoded = Decoder(reference, fields).decode([b'{"meta": {"at": 5000}, "user": {"age": 3}, "took": 0.25}'])
    assert decoded.events.times_ms.tolist() == [5]
    assert decoded.events.latencies_ms.tolist() == [250]
    assert decoded.columns[0].tolist() == [3]


def test_fields_inside_one_another_are_refused():
    with pytest.raises(InputError, match="features is a value of its own in another field"):
        Decoder(REFERENCE, Fields(time="features"))


def test_dead_letters_by_type():
    decoder = DeadLetterDecoder("meta.type", ["a"])
    values = [b'{"meta":{"type":"a"}}', b'{"meta":{"type":"b"}}', b'{"meta":1}', b"{}", b"x", None]
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


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"reference": "other"}, "reference_mismatch"),
        ({"lengthMs": 5000}, "reference_mismatch"),
        ({"startMs": 1}, "reference_mismatch"),
        ({"counts": {}}, "reference_mismatch"),
        ({"events": "many"}, "wrong_type"),
        ({"events": -1}, "wrong_type"),
    ],
)
def test_a_pane_record_that_does_not_fit_is_counted(changes, kind):
    counters = Counter()
    assert PaneDecoder(Judge(REFERENCE, Rules()), 10_000).decode(pane(**changes), counters) is None
    assert counters == {f"invalid.{kind}": 1}
