"""The broker: partitions, their bounds, and records from given offsets on."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from data_monitor.adapters.topics import Topic, TopicWatch
from data_monitor.config import Kafka
from data_monitor.core.panes import Key
from data_monitor.errors import InputError

Report = Callable[[str], None]
Taken = Callable[[list[Key]], Mapping[Key, int]]
Given = Callable[[list[Key]], None]

# What a partition's reading ends with; it goes on when it is assigned anew.
_LOST = (KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION)
_TIMEOUT_SECONDS = 10.0
_REPEAT_SECONDS = 60.0


class Unavailable(Exception):
    """The broker or a topic is not there, for now."""


@dataclass
class Polled:
    """What the consumer has heard."""

    messages: list[Message]
    """In the order of each partition."""
    ends: dict[Key, int] = field(default_factory=dict)
    """Offsets up to which there is nothing more to read: markers of transactions and aborted records take some, too."""
    lost: set[Key] = field(default_factory=set)
    """Partitions that do not have the offset at which they were to be read."""


def client_settings(kafka: Kafka, report: Report) -> dict[str, Any]:
    """Settings that every client needs. Raises InputError."""
    properties = dict(kafka.properties)
    # From Secrets whose keys are a name and a password; neither is to stand in a file that everybody reads.
    for key in ("username", "password"):
        if value := os.environ.get(f"KAFKA_SASL_{key.upper()}"):
            properties[f"sasl.{key}"] = value
    if kafka.properties_file:
        properties |= read_properties(kafka.properties_file)
    return {
        "bootstrap.servers": kafka.bootstrap_servers,
        "client.id": "data-monitor",
        # Only what is critical by itself: the rest arrives in error_cb.
        "log_level": 2,
        "error_cb": _Sparing(report),
        **properties,
    }


def read_properties(path: Path) -> dict[str, str]:
    """``key=value`` lines; # begins a comment. Raises InputError."""
    properties = {}
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            key, equals, value = line.partition("=")
            if not equals:
                raise InputError(f"{path}:{number}: wanted key=value")
            properties[key.strip()] = value.strip()
    return properties


def why(consumer: Consumer, error: KafkaException) -> str:
    """What went wrong with a request. Of a refused password or certificate a client tells its ``error_cb`` only, which
    runs when it is polled: it is polled here while there is no record that could be lost by that.
    """
    if not consumer.assignment():
        consumer.poll(0)
    return str(error.args[0].str())


class Source:
    """A consumer whose offsets are not the group's but ours; what is committed is for lag tools."""

    def __init__(self, kafka: Kafka, report: Report) -> None:
        self._report = report
        settings = {
            # Small, so that the records stay in the processor's cache; and asked for again at once when there is room.
            "queued.max.messages.kbytes": 16_384,
            "fetch.queue.backoff.ms": 20,
            **client_settings(kafka, report),
            "group.id": kafka.group_id,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # Where to begin is decided here, also where retention has taken an offset or the topic is another one.
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            # So that a group notices soon that partitions have been added.
            "topic.metadata.refresh.interval.ms": 30_000,
        }
        try:
            self._consumer = Consumer(settings)
            self._topics = TopicWatch(client_settings(kafka, report))
        except (KafkaException, ValueError, TypeError) as error:
            raise InputError(f"kafka.properties: {error}") from error

    def watch(self, topics: Sequence[str]) -> dict[str, Topic | None] | None:
        """What topics there are, without waiting (TopicWatch.look)."""
        return self._topics.look(topics)

    def topic_id(self, topic: str) -> str:
        """The topic's id; empty where the broker tells none. Raises Unavailable."""
        try:
            found = self._topics.now(topic)
        except KafkaException:
            return ""
        if not found:
            raise Unavailable(f"topic {topic} is not there")
        return found.id

    def partitions(self, topic: str) -> list[Key]:
        """The partitions of a topic. Raises Unavailable."""
        try:
            found = self._consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic]
        except KafkaException as error:
            raise Unavailable(f"the broker does not answer: {why(self._consumer, error)}") from error
        if found.error is not None or not found.partitions:
            raise Unavailable(f"topic {topic}: {found.error.str() if found.error else 'no partitions'}")
        return [(topic, partition) for partition in sorted(found.partitions)]

    def bounds(self, key: Key) -> tuple[int, int]:
        """The first offset that is still there, and the one after the last. Raises Unavailable."""
        try:
            found = self._consumer.get_watermark_offsets(TopicPartition(*key), timeout=_TIMEOUT_SECONDS, cached=False)
        except KafkaException as error:
            raise Unavailable(f"topic {key[0]}: {error.args[0].str()}") from error
        if found is None:
            raise Unavailable(f"topic {key[0]}: no answer about partition {key[1]}")
        low, high = found
        return low, high

    def offset_since(self, key: Key, milliseconds: int) -> int:
        """The first offset whose record is not older; the end if all are. Raises Unavailable."""
        wanted = TopicPartition(*key, milliseconds)
        try:
            (found,) = self._consumer.offsets_for_times([wanted], timeout=_TIMEOUT_SECONDS)
        except KafkaException as error:
            raise Unavailable(f"topic {key[0]}: {error.args[0].str()}") from error
        return found.offset if found.offset >= 0 else self.bounds(key)[1]

    def lag(self, offsets: Mapping[Key, int]) -> int:
        """Records not yet read, by what the client has heard of the ends; no request."""
        total = 0
        for key, offset in offsets.items():
            try:
                found = self._consumer.get_watermark_offsets(TopicPartition(*key), cached=True)
            except KafkaException:
                continue
            total += max(0, found[1] - offset) if found else 0
        return total

    def assign(self, offsets: Mapping[Key, int]) -> None:
        """Read these partitions from these offsets on, and no others."""
        self._consumer.assign(_positions(offsets))

    def subscribe(self, topics: Iterable[str], taken: Taken, given: Given) -> None:
        """Share partitions with the group: ``taken`` says from which offsets to go on, ``given`` saves the state."""

        def on_assign(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            consumer.assign(_positions(taken([(one.topic, one.partition) for one in partitions])))

        def on_revoke(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            del consumer
            given([(one.topic, one.partition) for one in partitions])

        self._consumer.subscribe(list(topics), on_assign=on_assign, on_revoke=on_revoke)

    def poll(self, most: int, seconds: float) -> Polled:
        """Records, and what else is to be known; other errors are reported."""
        messages: list[Message] = self._consumer.consume(most, seconds)
        if not any(map(Message.error, messages)):
            return Polled(messages)
        found = Polled([message for message in messages if message.error() is None])
        for message in messages:
            error: Any = message.error()
            key: Any = message.topic(), message.partition()
            if error is None:
                continue
            if error.code() == KafkaError._PARTITION_EOF:
                found.ends[key] = message.offset() or 0
            elif error.code() in _LOST:
                found.lost.add(key)
            else:
                # Errors of the group have no topic.
                self._report(f"topic {message.topic()}: {error.str()}" if message.topic() else error.str())
        return found

    def commit(self, offsets: Mapping[Key, int]) -> None:
        """Tell the group how far we are, for lag tools; nothing is read from there."""
        if offsets:
            try:
                self._consumer.commit(offsets=_positions(offsets), asynchronous=True)
            except KafkaException as error:
                self._report(f"commit: {error.args[0].str()}")

    def close(self) -> None:
        """Leave the group; ``given`` is called."""
        self._consumer.close()


class _Sparing:
    """Says an error once a minute: clients repeat themselves, in turns and many times a second."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._said: dict[str, float] = {}

    def __call__(self, error: KafkaError) -> None:
        # "... failed: Connection refused (after 0ms in state CONNECT, 30 identical error(s) suppressed)"
        what = error.str().partition(" (after ")[0]
        now = time.monotonic()
        if now - self._said.get(what, -math.inf) >= _REPEAT_SECONDS:
            self._said[what] = now
            self._report(error.str())


def _positions(offsets: Mapping[Key, int]) -> list[TopicPartition]:
    return [TopicPartition(*key, offset) for key, offset in sorted(offsets.items())]
