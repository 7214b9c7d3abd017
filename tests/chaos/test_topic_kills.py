"""Kill -9 while topics are made anew, overtaken by retention, and written in transactions: what is counted and what is
skipped add up to what was written."""

import os
import random
import shutil
import time

import pytest
from confluent_kafka import Producer, TopicPartition
from data_monitor.__main__ import main
from data_monitor.adapters import codec
from data_monitor.adapters.snapshot import Snapshot
from kafka_broker import KafkaBroker
from monitor_process import FIRST_MS, MonitorProcess, predictions, until

KILLS = int(os.environ.get("KILLS", "4"))
TOPIC, PARTITIONS = "predictions", 2

pytestmark = pytest.mark.skipif(not shutil.which("java"), reason="a real broker needs Java 17")


class Writer:
    """Writes records, and knows how many a reader should account for."""

    def __init__(self, broker, dice):
        self.broker, self.dice = broker, dice
        self.written = 0
        self._records = predictions(10**9, seed=5)

    def plain(self):
        self._send(self._producer(), 300)
        self.written += 300

    def transactions(self):
        producer = self._producer(**{"transactional.id": "chaos"})
        producer.init_transactions(60)
        for end in (producer.commit_transaction, producer.abort_transaction):
            producer.begin_transaction()
            self._send(producer, 200)
            end(60)
        self.written += 200

    def retention(self):
        """What nobody has read is deleted in part."""
        self._send(self._producer(), 400)
        self.written += 400
        for partition in range(PARTITIONS):
            gone = TopicPartition(TOPIC, partition, self.end(partition) - self.dice.randrange(200))
            for answer in self.broker.admin.delete_records([gone]).values():
                answer.result(60)

    def anew(self):
        self.broker.delete(TOPIC)
        self.broker.create(TOPIC, PARTITIONS)
        self.plain()

    def _producer(self, **settings):
        # One each time: an older one would know the topic that was there before.
        return Producer({"bootstrap.servers": self.broker.address, "log_level": 0, **settings})

    def end(self, partition):
        with self.broker.consumer() as consumer:
            return consumer.get_watermark_offsets(TopicPartition(TOPIC, partition), timeout=30)[1]

    def _send(self, producer, count):
        for number in range(count):
            producer.produce(TOPIC, next(self._records), partition=number % PARTITIONS)
        assert producer.flush(60) == 0


def test_kills_leave_nothing_out_and_count_nothing_twice(tmp_path):
    dice = random.Random(os.environ.get("SEED", "1"))
    training = tmp_path / "training.jsonl"
    training.write_text("\n".join(predictions(10_000, seed=7, first_ms=FIRST_MS - 10**9)))
    assert main(["reference", "build", "--input", str(training), "--output", str(tmp_path / "ref.json")]) == 0
    with KafkaBroker(tmp_path / "kafka") as broker:
        broker.create(TOPIC, PARTITIONS)
        monitor = MonitorProcess(tmp_path, broker.address, state={"every": "30ms"}, kafka={"deadLetterTopic": None})
        writer = Writer(broker, dice)

        def saved():
            snapshot = tmp_path / "snapshot"
            return codec.unpack(snapshot.read_bytes(), Snapshot).partitions if snapshot.exists() else []

        def accounted():
            return sum(one.counters.get("records", 0) + one.counters.get("skipped", 0) for one in saved())

        for turn in range(KILLS):
            action = (writer.plain, writer.transactions, writer.retention, writer.anew)[turn % 4]
            # Retention only takes what is not read yet, and a topic goes with what was read of it.
            running = action != writer.retention and dice.random() < 0.7
            if running:
                monitor.start()
                until(lambda: monitor.metrics().get("data_monitor_state_saved_timestamp_seconds"), "the monitor reads")
            action()
            if running:
                time.sleep(dice.random() * 0.5)
                monitor.kill()
            monitor.start()
            until(lambda: accounted() >= writer.written, f"all is accounted for after {action.__name__}")
            assert accounted() == writer.written
            # Behind the markers, which nobody can tell from records once they are deleted. By its id, the next topic of
            # this name is another one.
            ends = [writer.end(partition) for partition in range(PARTITIONS)]
            until(lambda ends=ends: [one.next_offset for one in saved() if one.topic_id] == ends, "all is saved")
            monitor.kill()
        log = monitor.log.read_text()
        assert "made anew" in log
        assert "deleted before they were read" in log
