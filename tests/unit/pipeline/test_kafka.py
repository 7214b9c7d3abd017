"""Generator and audit end to end, against the mock broker that librdkafka brings along."""

import json
import signal
import threading
import time

import pytest
from loadgen import kafka
from loadgen.__main__ import main
from mock_broker import MockBroker
from recommender import features, model, records, validation


def quiet(text):
    del text


@pytest.fixture
def broker(monkeypatch):
    # Signal handlers belong to the test runner.
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    mock = MockBroker()
    mock.create("events", "predictions", "events-dlq")
    return mock


def run(broker, capsys, *arguments):
    code = main([*arguments, "--bootstrap-servers", broker.address])
    return code, json.loads(capsys.readouterr().out)


def read(broker, topic):
    reader = kafka.KafkaTopic(broker.address, topic, quiet)
    texts = list(reader.read())
    reader.close()
    return texts


def answer(broker, texts):
    """What the job does, without Flink."""
    lookup = features.SlowFeatureStore(0, time.monotonic, time.sleep)
    for text in texts:
        try:
            event = validation.parse(text)
        except validation.InvalidEvent as error:
            broker.send("events-dlq", [records.dead_letter(text, error.error_type, error.message, 0)])
        else:
            broker.send("predictions", [model.predict(event, features.extract(event, lookup), 0)])


def test_from_the_generator_through_the_job_to_the_audit(broker, capsys):
    code, account = run(broker, capsys, "run", "--rate=2000", "--count=60", "--bad-fraction=0.3", "--run=r", "--seed=1")
    assert code == 0
    assert (account["sent"], account["delivered"], account["failed"], account["unanswered"]) == (60, 60, 0, 0)
    events = read(broker, "events")
    assert sorted(map(records.identity, events)) == sorted(f"r-{number}" for number in range(60))

    code, report = run(broker, capsys, "audit")
    assert (code, report["produced"], report["lost"]) == (1, 60, 60)

    answer(broker, events[:-1])
    code, report = run(broker, capsys, "audit")
    assert (code, report["lost"], report["lost_examples"]) == (1, 1, [records.identity(events[-1])])

    answer(broker, events[-2:])
    code, report = run(broker, capsys, "audit", "--run=r")
    assert (code, report["lost"]) == (0, 0)
    assert report["predicted"] + report["dead_lettered"] == 60
    assert report["dead_lettered"] == sum(account["bad"].values())
    assert report["duplicates"]["predictions"] + report["duplicates"]["dead_letters"] == 1


def test_a_second_read_starts_where_the_first_one_stopped(broker):
    reader = kafka.KafkaTopic(broker.address, "events", quiet)
    assert list(reader.read()) == []
    broker.send("events", ["a", "b", "c"])
    assert sorted(reader.read()) == ["a", "b", "c"]
    broker.send("events", ["d"])
    assert list(reader.read()) == ["d"]
    assert list(reader.read()) == []
    reader.close()


def test_bytes_that_are_no_text_are_read(broker):
    broker.client.produce("events", value=b"\xff\xfe", partition=0)
    broker.client.produce("events", value=None, partition=0)
    broker.client.flush(10)
    assert read(broker, "events") == ["\ufffd\ufffd", ""]


def test_the_wait_for_a_topic_can_be_stopped(broker):
    asked = threading.Event()
    asked.set()
    client = kafka.producer("127.0.0.1:1", quiet)
    kafka._TIMEOUT_SECONDS, before = 0.5, kafka._TIMEOUT_SECONDS
    try:
        with pytest.raises(kafka.Unavailable):
            kafka.wait_for_topic(client, "events", 60, quiet, asked.is_set)
    finally:
        kafka._TIMEOUT_SECONDS = before


def test_wait_ends_when_every_topic_is_there(broker, monkeypatch, capsys):
    assert main(["wait", f"--bootstrap-servers={broker.address}", "--topic=events", "--topic=predictions"]) == 0
    assert "topic predictions: " in capsys.readouterr().err
    monkeypatch.setattr(kafka, "_TIMEOUT_SECONDS", 0.5)
    assert main(["wait", "--bootstrap-servers=127.0.0.1:1", "--topic=events", "--wait-seconds=0"]) == 2
    assert "does not answer" in capsys.readouterr().err


def test_without_a_broker_the_exit_code_is_2(monkeypatch, capsys):
    monkeypatch.setattr(kafka, "_TIMEOUT_SECONDS", 0.5)
    assert main(["audit", "--bootstrap-servers", "127.0.0.1:1"]) == 2
    assert "does not answer" in capsys.readouterr().err
