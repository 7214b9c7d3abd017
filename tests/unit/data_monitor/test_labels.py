"""Labels and predictions with ids: decoded, and waited for as long as labels are still to be read."""

import json

import numpy as np
import pytest
from data_monitor.adapters.decode import DeadLetterDecoder, Decoder
from data_monitor.adapters.formats import Json
from data_monitor.adapters.labels import LabelDecoder
from data_monitor.config import Config, Fields, GroundTruth
from data_monitor.core.columns import Column
from data_monitor.core.judge import Judge, Rules
from data_monitor.core.learn import learn
from data_monitor.core.monitor import Monitor, Times
from data_monitor.core.panes import PartitionState
from data_monitor.errors import InputError
from data_monitor.ingest import Ingest
from data_monitor.service import truth_of

NUMBERS = np.random.default_rng(1).normal(size=1000).tolist()
REFERENCE = learn([Column("price", NUMBERS)], prediction=Column("score", NUMBERS))
FIRST_MS = 1_700_000_040_000
NOW = FIRST_MS / 1000 + 7200


class Message:
    def __init__(self, key, offset, **content):
        self._key, self._offset, self._content = key, offset, content

    def topic(self):
        return self._key[0]

    def partition(self):
        return self._key[1]

    def offset(self):
        return self._offset

    def value(self):
        return json.dumps(self._content).encode()

    def timestamp(self):
        return 1, FIRST_MS


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b'{"about": {"id": "a"}, "clicked": true, "more": [{}]}', ("a", True)),
        (b'{"about": {"id": 7}, "clicked": "yes"}', (7, "yes")),
        (b'{"about": {"id": "a"}, "clicked": {"x": 1}}', ("a", None)),
        (b'{"about": "a", "clicked": 1}', (None, 1)),
        (b'{"about": {"id": "a"}, "clicked": ' + b"9" * 5000 + b"}", ("a", float("inf"))),
        (b'{"about": {"id": "a"}}', ("a", None)),
        (b"{", (None, None)),
        (b"[]", (None, None)),
        (b"\xff", (None, None)),
        (b"[" * 100_000, (None, None)),
        (b"", (None, None)),
        (None, (None, None)),
    ],
)
def test_labels(value, found):
    settings = GroundTruth(topic="labels", fields={"id": "about.id", "value": "clicked"})
    good = b'{"about": {"id": "b"}, "clicked": 2}'
    ids, values = LabelDecoder(settings, Json()).decode([good, value, good])
    assert (ids, values) == (["b", found[0], "b"], [2, found[1], 2])


def test_ids_are_those_of_the_good_records_and_asked_for_only_with_ground_truth():
    records = [
        b'{"event_id": "a", "ts_ms": 1}',
        b'{"event_id": "b"}',
        b"{",
        b'{"event_id": {"x": 1}, "ts_ms": 1}',
        b'{"event_id": 4, "ts_ms": 1}',
    ]
    decoded = Decoder(REFERENCE, Fields(), with_ids=True).decode(records)
    assert (decoded.good.tolist(), list(decoded.ids)) == ([0, 3, 4], ["a", None, 4])
    assert (0, "wrong_type") not in decoded.problems
    plain = Decoder(REFERENCE, Fields()).decode(records)
    assert (plain.good.tolist(), list(plain.ids)) == ([0, 3, 4], [])


def test_nothing_has_waited_long_enough_while_labels_are_still_to_be_read():
    """After a downtime predictions of hours may be read before the first label of them."""
    config = Config(reference="r", ground_truth={"topic": "labels", "wait": "1m", "window": "1h"})
    times = Times()
    monitor = Monitor(Judge(REFERENCE, Rules()), times, truth_of(config, REFERENCE))
    decoder = Decoder(REFERENCE, Fields(), with_ids=True)
    labels = LabelDecoder(config.ground_truth, Json())
    ingest = Ingest(monitor, "predictions", decoder, DeadLetterDecoder("e", []), labels=labels)
    predicted, first, second = ("predictions", 0), ("labels", 0), ("labels", 1)
    for key in (predicted, first, second):
        monitor.adopt(key, PartitionState(0), NOW)

    def evaluate():
        ingest.close(monitor.evaluate(NOW).window_end_ms, [predicted, first, second])
        return monitor.truth.measured().waiting["prediction"]

    minutes = [
        Message(predicted, at, event_id=at, ts_ms=FIRST_MS + at * 60_000, score=1.0, features={}) for at in range(60)
    ]
    # One whose time cannot be is in no window, and nobody waits for its label.
    impossible = Message(predicted, 60, event_id="x", ts_ms=1000, score=1.0, features={})
    ingest.add([*minutes, impossible], NOW)
    ingest.reached({first: 0, predicted: 61})
    assert evaluate() == 60
    ingest.add([Message(first, at, event_id=at, label=2.0) for at in range(30)], NOW)
    ingest.reached({second: 0})
    assert evaluate() == 30
    ingest.reached({first: 30})
    # The window of drift ends at 59 minutes and ten seconds: what is of the 58th minute or later may wait.
    assert evaluate() == 2
    assert monitor.truth.quality().joined == 30


def test_a_reference_without_a_prediction_has_nothing_to_be_right_or_wrong():
    config = Config(reference="r", ground_truth={"topic": "labels"})
    with pytest.raises(InputError, match="groundTruth: r has no prediction"):
        truth_of(config, learn([Column("price", NUMBERS)]))
    assert truth_of(Config(reference="r"), REFERENCE) is None
