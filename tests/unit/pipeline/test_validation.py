"""The job's validation, features and model, without Flink."""

import contextlib
import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadgen.events import EventSource
from recommender import features, model, records, validation

NOW_MS = 1_764_000_000_000


def event(**changes):
    return {
        "event_id": "run-1",
        "user_id": "u1",
        "item_id": "i1",
        "action": "click",
        "device": "mobile",
        "price": 12.5,
        "session_seconds": 90.0,
        "ts_ms": NOW_MS,
        **changes,
    }


def refused(raw):
    with pytest.raises(validation.InvalidEvent) as caught:
        validation.parse(raw)
    return caught.value


def test_a_good_event_is_returned_as_it_is():
    assert validation.parse(json.dumps(event(extra=[1]))) == event(extra=[1])


@pytest.mark.parametrize("raw", ["", "{", '{"event_id": "run-1", "user', "\ufffd\x00", '{"price": NaN}', "[" * 100_000])
def test_text_that_is_not_json(raw):
    assert refused(raw).error_type == validation.MALFORMED


@pytest.mark.parametrize("raw", ["[]", "1", "null", '"text"', "{}"])
def test_json_that_is_not_an_event(raw):
    assert refused(raw).error_type == validation.SCHEMA


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_id", ""),
        ("user_id", 7),
        ("item_id", None),
        ("action", 1),
        ("device", ["mobile"]),
        ("ts_ms", "1764000000000"),
        ("ts_ms", True),
        ("price", None),
        ("session_seconds", "90"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(field, value):
    error = refused(json.dumps(event(**{field: value})))
    assert error.error_type == validation.SCHEMA
    assert error.message.startswith(f"{field}: ")


@pytest.mark.parametrize("field", ["event_id", "user_id", "item_id", "action", "device", "ts_ms", "price"])
def test_a_missing_field_is_named(field):
    incomplete = event()
    del incomplete[field]
    error = refused(json.dumps(incomplete))
    assert error.error_type == validation.SCHEMA
    assert error.message.startswith(f"{field}: missing")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("action", "steal"),
        ("device", "fridge"),
        ("ts_ms", NOW_MS // 1000),
        ("ts_ms", NOW_MS * 1000),
        ("price", -0.01),
        ("price", 10**400),
        ("session_seconds", 86_401),
    ],
)
def test_a_value_out_of_range(field, value):
    assert refused(json.dumps(event(**{field: value}))).error_type == validation.RANGE


def test_a_number_too_large_for_a_float_is_out_of_range():
    assert refused(json.dumps(event()).replace("12.5", "1e999")).error_type == validation.RANGE


@given(st.text())
def test_validation_never_fails_in_another_way(raw):
    with contextlib.suppress(validation.InvalidEvent):
        validation.parse(raw)


def test_a_dead_letter_keeps_the_text_and_the_id():
    raw = '{"event_id":"run-8","user_id":"u'
    letter = json.loads(records.dead_letter(raw, "malformed_json", "why", NOW_MS))
    assert letter == {
        "event_id": "run-8",
        "error_type": "malformed_json",
        "error": "why",
        "rejected_at_ms": NOW_MS,
        "raw": raw,
    }


@given(st.text())
def test_a_dead_letter_has_the_identity_of_its_event(raw):
    letter = records.dead_letter(raw, "malformed_json", "why", NOW_MS)
    assert records.dead_letter_identity(letter) == records.identity(raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ('{"event_id":"a-1","x":1}', "a-1"),
        ('{"x": 1, "event_id": "a-2"}', "a-2"),
        ('{"x": 1, "event_id": "a-3", "y', "a-3"),
        ('{"event_id": ""}', None),
        ('{"event_id": 5}', None),
        ("[1]", None),
        ("nothing", None),
    ],
)
def test_event_id_of(raw, expected):
    assert records.event_id_of(raw) == expected


def test_records_without_an_id_are_told_apart_by_their_text():
    assert records.identity("one") != records.identity("two")
    assert records.identity("one") == records.identity("one")


class Machine:
    """A clock, and a sleep that is late by up to so many seconds."""

    def __init__(self, late=0.0):
        self.now, self.late, self.random = 50.0, late, random.Random(5)

    def clock(self):
        return self.now

    def sleep(self, seconds):
        assert seconds > 0
        self.now += seconds + self.random.uniform(0, self.late)


def store_on(machine, seconds, **more):
    return features.SlowFeatureStore(seconds, machine.clock, machine.sleep, **more)


def test_a_lookup_answers_the_same():
    store = store_on(Machine(), 0.003)
    assert store("u1") == store("u1") != store("u2")


@pytest.mark.parametrize("overlap", [0.001, features.CATCH_UP_SECONDS])
@pytest.mark.parametrize("late", [0.0, 0.002, 0.02])
def test_a_busy_subtask_carries_what_the_store_allows(late, overlap):
    machine = Machine(late)
    store = store_on(machine, 0.003, overlap=overlap)
    for _ in range(10_000):
        store("u1")
        machine.now += 0.0005
    assert machine.now - 50.0 == pytest.approx(30.0, rel=0.01)


def test_a_pause_is_no_credit_for_long():
    machine = Machine()
    store = store_on(machine, 0.003)
    machine.now += 3600
    began = machine.now
    for _ in range(1000):
        store("u1")
    assert machine.now - began == pytest.approx(3.0, abs=0.06)


@pytest.mark.parametrize(("overlap", "waited"), [(0.001, 2.0), (features.CATCH_UP_SECONDS, 0.0)])
def test_a_subtask_with_little_to_do_waits_for_a_store_that_begins_with_the_request(overlap, waited):
    machine = Machine()
    store = store_on(machine, 0.003, overlap=overlap)
    began = machine.now
    for _ in range(1000):
        machine.now += 0.01
        store("u1")
    assert machine.now - began - 1000 * 0.01 == pytest.approx(waited, abs=0.01)


def test_a_store_that_takes_no_time():
    machine = Machine()
    store = store_on(machine, 0.0)
    for _ in range(100):
        store("u1")
    assert machine.now == 50.0


def test_a_hanging_store_answers_when_it_no_longer_hangs():
    machine = Machine()
    store = features.SlowFeatureStore(0, machine.clock, machine.sleep, lambda: machine.now < 80)
    store("u1")
    assert machine.now >= 80


def test_features_of_an_event():
    found = features.extract(event(), lambda user: (0.25, 1.5))
    assert found == {
        "price_log": round(math.log(13.5), 4),
        "session_minutes": 1.5,
        "intent": 0.3,
        "device": "mobile",
        "user_propensity": 0.25,
        "user_years": 1.5,
    }


@given(st.floats(0, 1e6), st.floats(0, 86_400), st.sampled_from(validation.ACTIONS), st.text(min_size=1))
def test_a_score_is_a_probability(price, seconds, action, user):
    valid = event(price=price, session_seconds=seconds, action=action, user_id=user)
    store = store_on(Machine(), 0)
    assert 0 <= model.score(features.extract(valid, store)) <= 1


def test_a_buyer_scores_higher_than_a_viewer():
    viewer, buyer = (features.extract(event(action=a), lambda user: (0.5, 1.0)) for a in ("view", "buy"))
    assert model.score(buyer) > model.score(viewer)


def test_a_prediction_carries_the_event():
    found = features.extract(event(), lambda user: (0.25, 1.5))
    prediction = json.loads(model.predict(event(), found, NOW_MS + 20))
    assert prediction["event_id"] == "run-1"
    assert (prediction["user_id"], prediction["item_id"], prediction["ts_ms"]) == ("u1", "i1", NOW_MS)
    assert prediction["predicted_at_ms"] == NOW_MS + 20
    assert prediction["features"] == found
    assert prediction["score"] == pytest.approx(model.score(found), abs=1e-6)
    assert 0 <= prediction["inference_ms"] < 1000


def test_the_generator_makes_what_the_validation_expects():
    source = EventSource("run", bad_fraction=0.3, random=random.Random(7))
    wrong = 0
    for number in range(2000):
        raw = source.next(NOW_MS)
        assert records.identity(raw) == f"run-{number}"
        try:
            validation.parse(raw)
        except validation.InvalidEvent:
            wrong += 1
    assert wrong == sum(source.bad.values())
    assert 500 < wrong < 700
    assert len(source.bad) == 4
