"""The data monitor against a real Kafka broker: what the mock does not know. Offsets by time, retention, compaction."""

import json
import random
import time

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import ConfigResource, NewPartitions, ResourceType
from data_monitor.adapters import codec
from data_monitor.adapters.codec import PartitionRecord
from data_monitor.adapters.snapshot import Snapshot
from monitor_process import FIRST_MS, predictions, until

SKIPPED = "data_monitor_skipped_records_total"


def test_skips_ahead_after_a_long_downtime(broker, monitor):
    first = monitor()
    hours_ago = time.time() - 7200
    broker.send(first.topic, predictions(1000), written_at=hours_ago)
    # What is read for the first time is read whole, however old: nothing says that we fell behind.
    first.wait_for("data_monitor_records_total", lambda value: value == 1000)
    assert first.stop() == 0
    broker.send(first.topic, predictions(3000), written_at=hours_ago + 60)
    broker.send(first.topic, predictions(800, seed=2))
    seen = monitor().wait_for("data_monitor_records_total", lambda value: value == 800)
    assert seen[SKIPPED] == 3000


def test_counts_what_retention_took_and_reads_on(broker, monitor):
    first = monitor()
    broker.send(first.topic, predictions(600))
    first.wait_for("data_monitor_records_total", lambda value: value == 600)
    assert first.stop() == 0
    broker.send(first.topic, predictions(1000))
    gone = [TopicPartition(first.topic, partition, 400) for partition in (0, 1)]
    for answer in broker.admin.delete_records(gone).values():
        answer.result(30)
    again = monitor()
    seen = again.wait_for("data_monitor_records_total", lambda value: value == 800)
    assert seen[SKIPPED] == 200
    # For lag tools: the group's committed offsets follow the saved state.
    assert again.stop() == 0
    group = broker.committed(first.topic, [TopicPartition(first.topic, partition) for partition in (0, 1)])
    assert sum(one.offset for one in group) == 1600


def test_a_topic_made_anew_is_read_from_its_beginning(broker, monitor):
    first = monitor()
    broker.send(first.topic, predictions(1000))
    first.wait_for("data_monitor_records_total", lambda value: value == 1000)
    assert first.stop() == 0
    broker.delete(first.topic)
    broker.create(first.topic, 2)
    broker.send(first.topic, predictions(700))
    monitor().wait_for("data_monitor_records_total", lambda value: value == 700)


def test_replicas_keep_their_states_in_a_compacted_topic_that_they_make(broker, monitor):
    state = {"store": "topic", "topic": "states", "every": "100ms"}
    sections = {"state": state, "kafka": {"properties": {"session.timeout.ms": 6000}}}
    first, second = monitor(**sections), monitor(**sections)
    broker.send(first.topic, predictions(2000))
    for process in (first, second):
        process.wait_for("data_drift_window_events", lambda value: value == 2000)
    resource = ConfigResource(ResourceType.TOPIC, "states")
    config = broker.admin.describe_configs([resource])[resource].result(30)
    assert config["cleanup.policy"].value == "compact"
    assert first.stop() == 0
    broker.send(first.topic, predictions(1000, seed=2))
    second.wait_for("data_drift_window_events", lambda value: value == 3000)
    assert second.stop() == 0
    # Nobody is there; whoever comes next goes on from the topic alone.
    third = monitor(**sections)
    seen = third.wait_for("data_drift_window_events", lambda value: value == 3000)
    assert seen["data_monitor_records_total"] == 0


STORES = pytest.mark.parametrize("store", ["file", "topic"])


def in_file(process):
    """The partitions' records of the snapshot."""
    return codec.unpack((process.folder / "snapshot").read_bytes(), Snapshot).partitions


def in_topic(broker, topic):
    """The partitions' latest records of the state topic."""
    found = {}
    with broker.consumer(enable_partition_eof=True) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        while (message := consumer.poll(10)) and not message.error():
            found[message.key()] = codec.unpack(message.value(), PartitionRecord)
    return found.values()


def state_in(store, topic):
    return {"store": store, "topic": f"{topic}-state", "every": "200ms"}


@STORES
@pytest.mark.parametrize("at_once", [False, True])
def test_a_topic_made_anew_while_it_is_read(broker, monitor, topic, store, at_once):
    """Also where it has grown beyond what was read of the old one before anybody looks."""
    process = monitor(state=state_in(store, topic))
    broker.send(process.topic, predictions(1000))
    process.wait_for("data_monitor_records_total", lambda value: value == 1000)
    broker.delete(process.topic)
    broker.create(process.topic, 2)
    broker.send(process.topic, predictions(700))
    if not at_once:
        process.wait_for("data_monitor_records_total", lambda value: value == 1700)
    broker.send(process.topic, predictions(600))
    seen = process.wait_for("data_monitor_records_total", lambda value: value >= 2300)
    assert seen["data_monitor_records_total"] == 2300
    assert seen[SKIPPED] == 0
    process.wait_for("data_monitor_lag_records", lambda value: value == 0)
    # It shows by the topic's id, or first by an end before what was read.
    log = process.log.read_text()
    assert "made anew" in log or "cut off" in log
    assert process.stop() == 0
    group = broker.committed(process.topic, [TopicPartition(process.topic, partition) for partition in (0, 1)])
    assert sum(one.offset for one in group) == 1300


@STORES
def test_a_topic_made_anew_while_it_is_not_read_and_longer_than_before(broker, monitor, topic, store):
    first = monitor(state=state_in(store, topic))
    broker.send(first.topic, predictions(600))
    first.wait_for("data_monitor_records_total", lambda value: value == 600)

    # Whose records these are is known once the broker has told the topic's id.
    def saved():
        found = in_topic(broker, f"{first.topic}-state") if store == "topic" else in_file(first)
        return all(one.topic_id and one.next_offset == 300 for one in found)

    until(saved, "the topic's id is saved")
    assert first.stop() == 0
    broker.delete(first.topic)
    broker.create(first.topic, 1)
    broker.send(first.topic, predictions(900))
    again = monitor(state=state_in(store, first.topic))
    seen = again.wait_for("data_monitor_records_total", lambda value: value >= 900)
    assert (seen["data_monitor_records_total"], seen[SKIPPED]) == (900, 0)
    # Of two partitions one is there no more.
    again.wait_for("data_monitor_lag_records", lambda value: value == 0)


def test_what_is_aborted_is_not_counted_and_leaves_no_lag(broker, monitor):
    process = monitor()
    producer = Producer({"bootstrap.servers": broker.address, "transactional.id": process.topic})
    producer.init_transactions(30)
    for end in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        for value in predictions(400):
            producer.produce(process.topic, value, partition=0)
        producer.flush(30)
        end(30)
    process.wait_for("data_monitor_records_total", lambda value: value == 400)
    seen = process.wait_for("data_monitor_lag_records", lambda value: value == 0)
    assert (seen["data_monitor_records_total"], seen[SKIPPED]) == (400, 0)
    first = TopicPartition(process.topic, 0)
    # Two markers beside the records.
    until(lambda: broker.committed(process.topic, [first])[0].offset == 802, "the committed offset is the end")
    assert process.stop() == 0
    # A start after a marker, at the end of the log.
    again = monitor()
    broker.send(again.topic, predictions(10))
    seen = again.wait_for("data_monitor_records_total", lambda value: value == 10)
    assert seen[SKIPPED] == 0


def test_retention_overtakes_a_monitor_that_reads(broker, monitor):
    """Its client asks for what has just been deleted, and learns of it by an offset out of range."""
    process = monitor()
    broker.send(process.topic, predictions(100))
    process.wait_for("data_monitor_records_total", lambda value: value == 100)
    process.pause()
    broker.send(process.topic, predictions(4000))
    gone = [TopicPartition(process.topic, partition, 1800) for partition in (0, 1)]
    for answer in broker.admin.delete_records(gone).values():
        answer.result(30)
    process.go_on()

    def accounted():
        seen = process.metrics()
        return seen and seen["data_monitor_records_total"] + seen[SKIPPED] == 4100

    until(accounted, "counted and skipped are what was written")
    assert process.metrics()[SKIPPED] >= 3000


def test_compaction_leaves_gaps_that_are_nothing_to_count(broker, monitor, topic):
    topic = f"{topic}-compacted"
    broker.create(
        topic,
        1,
        cleanup_policy="compact",
        segment_ms="100",
        min_cleanable_dirty_ratio="0.01",
        max_compaction_lag_ms="100",
        delete_retention_ms="100",
    )
    producer = Producer({"bootstrap.servers": broker.address})
    for value in predictions(500):
        producer.produce(topic, value, key="one", partition=0)
    producer.flush(30)

    def first():
        with broker.consumer(auto_offset_reset="earliest") as consumer:
            consumer.assign([TopicPartition(topic, 0, 0)])
            message = consumer.poll(10)
        # Rolls the segment, without which nothing of it is compacted.
        producer.produce(topic, next(iter(predictions(1))), key="one", partition=0)
        producer.flush(30)
        return message.offset() > 0

    until(first, "compacted")
    again = monitor(kafka={"topic": topic})
    again.wait_for("data_monitor_records_total", lambda value: value > 0)
    seen = again.wait_for("data_monitor_lag_records", lambda value: value == 0)
    assert seen[SKIPPED] == 0


def test_partitions_that_are_added_are_read_from_their_beginning(broker, monitor):
    process = monitor(kafka={"startAt": "latest"})
    process.wait_for("data_monitor_lag_records", lambda value: value == 0)
    until(lambda: "watching" in process.log.read_text(), "it reads")
    broker.admin.create_partitions([NewPartitions(process.topic, 4)])[process.topic].result(30)
    until(
        lambda: len(broker.admin.list_topics(process.topic, timeout=10).topics[process.topic].partitions) == 4, "added"
    )
    broker.send(process.topic, predictions(800))
    seen = process.wait_for("data_monitor_records_total", lambda value: value >= 800)
    assert seen["data_monitor_records_total"] == 800


def test_errors_are_exact_however_often_it_is_killed(broker, monitor):
    """Labels come after their prediction, before it, or not at all, while the process is killed again and again."""
    dice = random.Random(5)
    events = [json.loads(text) for text in predictions(12_000)]
    known = {event["event_id"]: event["score"] + dice.gauss(0.1, 1) for event in events if dice.random() < 0.9}
    sections = {
        "groundTruth": {"topic": "truth", "wait": "5m", "window": "2m"},
        "state": {"every": "20ms"},
        "window": {"evaluateEvery": "10ms"},
    }
    broker.create("truth", 3)
    process = monitor(**sections)
    half = [event for event in events if event["event_id"] in known][::2]
    for part in range(6):
        broker.send(process.topic, map(json.dumps, events[part * 2000 : (part + 1) * 2000]))
        # Of this part and, before their prediction, of the next one.
        names = [event["event_id"] for event in half if part * 2200 <= int(event["event_id"][2:]) < (part + 1) * 2200]
        broker.send("truth", [label(name, known) for name in names])
        time.sleep(dice.uniform(0.5, 2.5))
        process.kill()
        process = monitor(**sections)
    process.wait_for("data_monitor_lag_records", lambda value: value == 0)
    assert process.stop() == 0
    # While it is down, the wait of all of them passes, and only then come the other labels: none of them is too late.
    later = predictions(1000, first_ms=FIRST_MS + 520_000)
    broker.send(process.topic, (text.replace('"r-', '"later-') for text in later))
    rest = known.keys() - {event["event_id"] for event in half}
    broker.send("truth", [label(name, known) for name in sorted(rest)])
    process = monitor(**sections)
    seen = process.wait_for("ground_truth_window_joined", lambda value: value > 0)
    assert seen["ground_truth_window_end_timestamp_seconds"] == FIRST_MS / 1000 + 240
    window = [event for event in events if event["ts_ms"] >= FIRST_MS + 120_000]
    errors = [event["score"] - known[event["event_id"]] for event in window if event["event_id"] in known]
    assert 5000 < len(errors) < 6000
    assert seen["ground_truth_window_predictions"] == len(window)
    assert seen["ground_truth_window_joined"] == len(errors)
    assert seen["prediction_mean_absolute_error"] == pytest.approx(sum(map(abs, errors)) / len(errors))
    assert seen["prediction_root_mean_squared_error"] == pytest.approx(
        (sum(error**2 for error in errors) / len(errors)) ** 0.5
    )
    assert seen["prediction_bias"] == pytest.approx(sum(errors) / len(errors))


def label(name, known):
    return json.dumps({"event_id": name, "label": known[name]})


def test_a_log_that_was_cut_off_is_read_on_where_it_goes_on(broker, monitor, tmp_path):
    first = monitor()
    broker.send(first.topic, predictions(1000), written_at=time.time() - 60)
    first.wait_for("data_monitor_records_total", lambda value: value == 1000)
    until(lambda: all(one.topic_id and one.next_offset == 500 for one in in_file(first)), "the topic's id is saved")
    assert first.stop() == 0
    # As if the last 100 records of each partition had been lost with their leader: the state is ahead of the log.
    snapshot = tmp_path / "snapshot"
    found = codec.unpack(snapshot.read_bytes(), Snapshot)
    for one in found.partitions:
        one.next_offset += 100
    snapshot.write_bytes(codec.pack(found))
    broker.send(first.topic, predictions(60))
    again = monitor()
    seen = again.wait_for("data_monitor_records_total", lambda value: value >= 60)
    assert seen["data_monitor_records_total"] == 60
    assert "cut off" in again.log.read_text()
