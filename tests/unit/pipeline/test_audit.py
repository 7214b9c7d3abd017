"""The audit, on topics that are lists."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadgen.audit import audit
from loadgen.ledger import Tally
from recommender.records import dead_letter


class ListTopic:
    """Topics of which each read shows a little more."""

    def __init__(self, *reads):
        self.reads = list(reads)

    def read(self):
        return self.reads.pop(0) if self.reads else []


def event(number, run="run"):
    return json.dumps({"event_id": f"{run}-{number}", "user_id": "u"})


def prediction(number, run="run"):
    return json.dumps({"event_id": f"{run}-{number}", "score": 0.5})


def letter(raw):
    return dead_letter(raw, "malformed_json", "why", 0)


def look(events, predictions, letters=(), **options):
    return audit(ListTopic(events), ListTopic(predictions), ListTopic(letters), **options)


def test_all_there():
    found = look([event(0), event(1), event(2)], [prediction(2), prediction(0)], [letter(event(1))])
    assert found == {
        "produced": 3,
        "predicted": 2,
        "dead_lettered": 1,
        "lost": 0,
        "lost_examples": [],
        "duplicates": {"events": 0, "predictions": 0, "dead_letters": 0, "in_both": 0},
        "of_unknown_events": 0,
    }


def test_a_lost_event_is_named():
    found = look([event(n) for n in range(5)], [prediction(n) for n in (0, 1, 4)], [letter(event(2))])
    assert (found["lost"], found["lost_examples"]) == (1, ["run-3"])


def test_examples_are_few():
    found = look([event(n) for n in range(500)], [])
    assert found["lost"] == 500
    assert len(found["lost_examples"]) == 20


def test_duplicates_are_counted_and_hide_nothing():
    found = look([event(0), event(1)], [prediction(0), prediction(0), prediction(0)])
    assert found["duplicates"]["predictions"] == 2
    assert found["lost"] == 1


def test_an_event_in_both_topics():
    assert look([event(0)], [prediction(0)], [letter(event(0))])["duplicates"]["in_both"] == 1


def test_damaged_events_are_found_again():
    cut = event(0)[:-6]
    nameless = "no json, no id"
    found = look([cut, nameless], [], [letter(nameless), letter(cut)])
    assert (found["produced"], found["dead_lettered"], found["lost"]) == (2, 2, 0)


def test_answers_to_events_that_nobody_sent():
    assert look([event(0)], [prediction(0), prediction(9)])["of_unknown_events"] == 1


def test_only_the_events_of_a_run():
    found = look([event(0), event(0, "old"), event(1, "old")], [prediction(0)], runs=frozenset({"run"}))
    assert (found["produced"], found["lost"]) == (1, 0)


def test_nothing_produced_is_nothing_lost():
    found = look([], [])
    assert (found["produced"], found["lost"]) == (0, 0)


def test_it_waits_for_events_under_way():
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    topics = ListTopic([event(0), event(1)]), ListTopic([prediction(0)], [], [prediction(1)]), ListTopic()
    found = audit(*topics, wait_seconds=10, clock=lambda: now[0], sleep=sleep)
    assert found["lost"] == 0
    assert now == [2.0]


def test_it_does_not_wait_for_ever():
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    found = audit(ListTopic([event(0)]), ListTopic(), ListTopic(), wait_seconds=5, clock=lambda: now[0], sleep=sleep)
    assert found["lost"] == 1
    assert now == [5.0]


IDENTITIES = st.one_of(
    st.text(),
    st.builds("{}-{}".format, st.sampled_from(["a", "b-1", ""]), st.integers(0, 400)),
    st.sampled_from(["a-01", "a-99999999999", "a--1", "-1", "a-", "a-\u0663"]),
)


@given(st.lists(IDENTITIES))
def test_a_tally_counts_like_a_dictionary(identities):
    tally = Tally()
    for one in identities:
        tally.add(one)
    assert {one: tally[one] for one in set(identities)} == {one: identities.count(one) for one in set(identities)}
    assert sorted(tally) == sorted(set(identities))
    assert (tally.distinct(), tally.repeated()) == (len(set(identities)), len(identities) - len(set(identities)))
    assert tally["never"] == 0


@pytest.mark.parametrize("times", [255, 300])
def test_a_tally_saturates_but_counts_every_record(times):
    tally = Tally()
    for _ in range(times):
        tally.add("a-1")
    assert (tally["a-1"], tally.repeated()) == (255, times - 1)
