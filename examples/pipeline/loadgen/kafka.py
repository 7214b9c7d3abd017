"""The broker, as the generator and the audit need it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

_BATCH = 1000
_POLL_SECONDS = 1.0
_TIMEOUT_SECONDS = 10.0
# What a producer may hold while the broker does not answer; it goes out in one burst when the broker is back.
QUEUE = 20_000


class Unavailable(Exception):
    """The broker or a topic is not there."""


def partitions_of(client: Producer | Consumer, topic: str) -> list[int]:
    """The partitions of a topic. Raises Unavailable."""
    try:
        found = client.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic]
    except KafkaException as error:
        raise Unavailable(f"the broker does not answer: {error.args[0].str()}") from error
    if found.error is not None or not found.partitions:
        raise Unavailable(f"topic {topic}: {found.error.str() if found.error else 'no partitions'}")
    return sorted(found.partitions)


def wait_for_topic(
    client: Producer | Consumer, topic: str, seconds: float, report: Callable[[str], None], stopped: Callable[[], bool]
) -> list[int]:
    """The partitions of a topic, waiting until it is there. Raises Unavailable."""
    deadline = time.monotonic() + seconds
    said = ""
    while True:
        try:
            return partitions_of(client, topic)
        except Unavailable as error:
            if stopped() or time.monotonic() >= deadline:
                raise
            if str(error) != said:
                said = str(error)
                report(f"waiting: {said}")
        time.sleep(1.0)


class Complaints:
    """Says an error of the client once, until another one comes: it repeats itself many times a second."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._said = ""

    def __call__(self, error: KafkaError) -> None:
        text = error.str()
        if text != self._said:
            self._said = text
            self._report(text)


def _client(bootstrap_servers: str, name: str, report: Callable[[str], None]) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap_servers,
        "client.id": name,
        "reconnect.backoff.ms": 250,
        "reconnect.backoff.max.ms": 2000,
        # Only what is critical by itself: the rest arrives in error_cb.
        "log_level": 2,
        "error_cb": Complaints(report),
    }


def producer(bootstrap_servers: str, report: Callable[[str], None]) -> Producer:
    """A producer that neither loses nor repeats what it accepted."""
    return Producer(
        {
            **_client(bootstrap_servers, "loadgen", report),
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "queue.buffering.max.messages": QUEUE,
        }
    )


class KafkaTopic:
    """A topic read without a group: nothing is committed, so no lag appears for it."""

    def __init__(self, bootstrap_servers: str, topic: str, report: Callable[[str], None]) -> None:
        self.topic = topic
        self._consumer = Consumer(
            {
                **_client(bootstrap_servers, "loadgen-audit", report),
                "group.id": "loadgen-audit-never-committed",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                # Default is 64 MB for each partition: too much beside the generator.
                "queued.max.messages.kbytes": 8192,
            }
        )
        self._next: dict[int, int] = {}
        self.expired = 0
        for partition in partitions_of(self._consumer, topic):
            low, _ = self._watermarks(partition)
            self._next[partition] = low
            self.expired += low

    def read(self) -> Iterator[str]:
        """The records up to the end of now. Raises Unavailable."""
        ends = {partition: self._watermarks(partition)[1] for partition in self._next}
        waiting = {partition for partition, end in ends.items() if self._next[partition] < end}
        self._consumer.assign([TopicPartition(self.topic, p, self._next[p]) for p in sorted(waiting)])
        last_progress = time.monotonic()
        while waiting:
            messages = self._consumer.consume(_BATCH, _POLL_SECONDS)
            if messages:
                last_progress = time.monotonic()
            elif time.monotonic() - last_progress > 3 * _TIMEOUT_SECONDS:
                raise Unavailable(f"topic {self.topic}: no answer for {3 * _TIMEOUT_SECONDS:.0f} s")
            for message in messages:
                partition = message.partition()
                error = message.error()
                if error is None:
                    self._next[partition] = message.offset() + 1
                    yield (message.value() or b"").decode(errors="replace")
                elif error.code() == KafkaError._PARTITION_EOF:
                    # The end may lie behind the last record: transaction markers and compaction take offsets too.
                    self._next[partition] = max(self._next[partition], message.offset())
                elif not error.retriable() and error.code() != KafkaError._TRANSPORT:
                    raise Unavailable(f"topic {self.topic}: {error.str()}")
                if self._next.get(partition, 0) >= ends.get(partition, 0):
                    waiting.discard(partition)
        self._consumer.unassign()

    def close(self) -> None:
        """Give the connections back."""
        self._consumer.close()

    def _watermarks(self, partition: int) -> tuple[int, int]:
        try:
            found = self._consumer.get_watermark_offsets(
                TopicPartition(self.topic, partition), timeout=_TIMEOUT_SECONDS, cached=False
            )
        except KafkaException as error:
            raise Unavailable(f"topic {self.topic}: {error.args[0].str()}") from error
        if found is None:
            raise Unavailable(f"topic {self.topic}: no answer about partition {partition}")
        low, high = found
        return low, high
