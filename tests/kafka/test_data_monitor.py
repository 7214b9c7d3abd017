"""The data monitor against a real Kafka broker: what the mock does not know. Offsets by time, retention, compaction."""

import shutil
import time

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import ConfigResource, ResourceType
from data_monitor.__main__ import main
from kafka_broker import KafkaBroker
from monitor_process import MonitorProcess, predictions

pytestmark = pytest.mark.skipif(not shutil.which("java"), reason="a real broker needs Java 17")


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as started:
        yield started


@pytest.fixture
def monitor(tmp_path, broker, request):
    rows = tmp_path / "a.jsonl"
    rows.write_text("\n".join(predictions(10_000, seed=7)))
    assert main(["reference", "build", "--input", str(rows), "--output", str(tmp_path / "ref.json")]) == 0
    topic = request.node.name.replace("_", "-")
    broker.create(topic, 2)
    started = []

    def start(**sections):
        kafka = {"topic": topic, "deadLetterTopic": None, "groupId": topic, **sections.pop("kafka", {})}
        process = MonitorProcess(tmp_path, broker.address, kafka=kafka, **sections)
        process.topic = topic
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


def send(broker, topic, values, written_at=None):
    producer = Producer({"bootstrap.servers": broker.address})
    for number, value in enumerate(values):
        producer.produce(topic, value, partition=number % 2, timestamp=round((written_at or time.time()) * 1000))
    assert producer.flush(30) == 0


def test_skips_ahead_after_a_long_downtime(broker, monitor):
    first = monitor()
    hours_ago = time.time() - 7200
    send(broker, first.topic, predictions(1000), written_at=hours_ago)
    # What is read for the first time is read whole, however old: nothing says that we fell behind.
    first.wait_for("data_monitor_records_total", lambda value: value == 1000)
    assert first.stop() == 0
    send(broker, first.topic, predictions(3000), written_at=hours_ago + 60)
    send(broker, first.topic, predictions(800, seed=2))
    seen = monitor().wait_for("data_monitor_records_total", lambda value: value == 800)
    assert seen["data_monitor_skipped_records_total"] == 3000


def test_counts_what_retention_took_and_reads_on(broker, monitor):
    first = monitor()
    send(broker, first.topic, predictions(600))
    first.wait_for("data_monitor_records_total", lambda value: value == 600)
    assert first.stop() == 0
    send(broker, first.topic, predictions(1000))
    gone = [TopicPartition(first.topic, partition, 400) for partition in (0, 1)]
    for answer in broker.admin.delete_records(gone).values():
        answer.result(30)
    again = monitor()
    seen = again.wait_for("data_monitor_records_total", lambda value: value == 800)
    assert seen["data_monitor_skipped_records_total"] == 200
    # For lag tools: the group's committed offsets follow the saved state.
    assert again.stop() == 0
    group = broker.committed(first.topic, [TopicPartition(first.topic, partition) for partition in (0, 1)])
    assert sum(one.offset for one in group) == 1600


def test_a_topic_made_anew_is_read_from_its_beginning(broker, monitor):
    first = monitor()
    send(broker, first.topic, predictions(1000))
    first.wait_for("data_monitor_records_total", lambda value: value == 1000)
    assert first.stop() == 0
    broker.delete(first.topic)
    broker.create(first.topic, 2)
    send(broker, first.topic, predictions(700))
    monitor().wait_for("data_monitor_records_total", lambda value: value == 700)


def test_replicas_keep_their_states_in_a_compacted_topic_that_they_make(broker, monitor):
    state = {"store": "topic", "topic": "states", "every": "100ms"}
    sections = {"state": state, "kafka": {"properties": {"session.timeout.ms": 6000}}}
    first, second = monitor(**sections), monitor(**sections)
    send(broker, first.topic, predictions(2000))
    for process in (first, second):
        process.wait_for("data_drift_window_events", lambda value: value == 2000)
    resource = ConfigResource(ResourceType.TOPIC, "states")
    config = broker.admin.describe_configs([resource])[resource].result(30)
    assert config["cleanup.policy"].value == "compact"
    assert first.stop() == 0
    send(broker, first.topic, predictions(1000, seed=2))
    second.wait_for("data_drift_window_events", lambda value: value == 3000)
    assert second.stop() == 0
    # Nobody is there; whoever comes next goes on from the topic alone.
    third = monitor(**sections)
    seen = third.wait_for("data_drift_window_events", lambda value: value == 3000)
    assert seen["data_monitor_records_total"] == 0
