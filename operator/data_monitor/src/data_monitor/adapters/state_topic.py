"""Each partition's state as a record of a compacted topic: it moves with the partition, and every replica sees all.

A state and its offset depend on the partition's records alone (core.panes), so whoever wrote a record, it is right for
its offset. The furthest one is taken; a replica that was paused and writes an old state does no harm.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from data_monitor.adapters import codec
from data_monitor.adapters.codec import Damaged, Form, PartitionRecord
from data_monitor.adapters.kafka import Unavailable, client_settings, why
from data_monitor.config import Kafka
from data_monitor.core.monitor import Evaluation
from data_monitor.core.panes import Key, PartitionState
from data_monitor.core.truth import Held

log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 10.0
_BATCH = 500


class StateTopic:
    """Reads all of the topic, and keeps reading; writes the states of its own partitions."""

    def __init__(self, kafka: Kafka, topic: str, form: Form) -> None:
        settings = client_settings(kafka, log.warning)
        self._topic = topic
        self._form = form
        self._admin = AdminClient(settings)
        # In order, and without the right that an idempotent producer needs: lacking it once would be fatal for it. What
        # comes twice does no harm.
        ordered = {"acks": "all", "enable.idempotence": False, "max.in.flight.requests.per.connection": 1}
        self._producer = Producer({**settings, **ordered, "linger.ms": 5})
        self._consumer = Consumer(
            {
                **settings,
                # Nothing is committed. One of its own would need a right of its own.
                "group.id": kafka.group_id,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": 8192,
            }
        )
        self._next: dict[int, int] = {}
        self._view: dict[Key, PartitionState] = {}
        self._written: dict[Key, tuple[int, int, str]] = {}

    def open(self) -> None:
        """Make the topic if it is missing, and read all of it. Raises Unavailable."""
        if not self._next:
            partitions = self._partitions() or self._create()
            self._next = {partition: self._bounds(partition)[0] for partition in partitions}
            self._consumer.assign([TopicPartition(self._topic, one, offset) for one, offset in self._next.items()])
        self.catch_up()

    def catch_up(self) -> None:
        """Read up to the end of now. Raises Unavailable."""
        ends = {partition: self._bounds(partition)[1] for partition in self._next}
        last = time.monotonic()
        while any(self._next[partition] < end for partition, end in ends.items()):
            if self._read(0.2):
                last = time.monotonic()
            elif time.monotonic() - last > _TIMEOUT_SECONDS:
                raise Unavailable(f"topic {self._topic}: no answer")
            for partition in ends:
                # The end may lie behind the last record: compaction and transactions take offsets too.
                (position,) = self._consumer.position([TopicPartition(self._topic, partition)])
                self._next[partition] = max(self._next[partition], position.offset)

    def get(self, key: Key) -> PartitionState | None:
        """The last state of a partition."""
        return self._view.get(key)

    def knows(self, topic: str) -> bool:
        """Whether there is a state of any of the topic's partitions."""
        return any(key[0] == topic for key in self._view)

    def others(self, own: Mapping[Key, PartitionState]) -> Mapping[Key, PartitionState]:
        """States of partitions that are not our own, as far as they have been heard of."""
        self._read(0)
        return {key: state for key, state in self._view.items() if key not in own}

    def save(
        self, states: Mapping[Key, PartitionState], evaluation: Evaluation | None = None, truth: Held | None = None
    ) -> None:
        """Write the states that have moved on. Raises Unavailable."""
        del evaluation, truth
        moved = {key: state for key, state in states.items() if self._written.get(key) != state.mark}
        failed: list[Any] = []

        def delivered(error: Any, message: Message) -> None:
            del message
            if error is not None:
                failed.append(error)

        for key, state in moved.items():
            value = codec.pack(codec.to_record(key, state, self._form))
            try:
                self._producer.produce(self._topic, key=f"{key[0]}/{key[1]}", value=value, on_delivery=delivered)
            except BufferError as error:
                raise Unavailable(f"topic {self._topic}: {error}") from error
            except KafkaException as error:
                raise Unavailable(f"topic {self._topic}: {error.args[0].str()}") from error
            # Lets the queue empty itself, where there are many partitions.
            self._producer.poll(0)
        if self._producer.flush(_TIMEOUT_SECONDS) or failed:
            raise Unavailable(f"topic {self._topic}: {failed[0].str() if failed else 'no answer'}")
        self._written.update({key: state.mark for key, state in moved.items()})

    def _read(self, seconds: float) -> int:
        messages: list[Any] = self._consumer.consume(_BATCH, seconds)
        for message in messages:
            if message.error() is not None:
                log.warning("topic %s: %s", self._topic, message.error().str())
                continue
            self._next[message.partition()] = message.offset() + 1
            try:
                key, state = codec.from_record(codec.unpack(message.value() or b"", PartitionRecord), self._form)
            except Damaged as error:
                log.error("topic %s: record %d is left out: %s", self._topic, message.offset(), error)
                continue
            known = self._view.get(key)
            if known is None or known.progress <= state.progress:
                self._view[key] = state
        return len(messages)

    def _partitions(self) -> list[int]:
        try:
            found = self._consumer.list_topics(self._topic, timeout=_TIMEOUT_SECONDS).topics[self._topic]
        except KafkaException as error:
            raise Unavailable(f"the broker does not answer: {why(self._consumer, error)}") from error
        if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise Unavailable(f"topic {self._topic}: {found.error.str()}")
        return sorted(found.partitions)

    def _create(self) -> list[int]:
        new = NewTopic(self._topic, num_partitions=1, replication_factor=-1, config={"cleanup.policy": "compact"})
        try:
            self._admin.create_topics([new], request_timeout=_TIMEOUT_SECONDS)[self._topic].result()
        except KafkaException as error:
            said = error.args[0].str()
            raise Unavailable(f"topic {self._topic} is not there and could not be made: {said}") from error
        log.info("made the compacted topic %s", self._topic)
        return [0]

    def _bounds(self, partition: int) -> tuple[int, int]:
        try:
            found = self._consumer.get_watermark_offsets(
                TopicPartition(self._topic, partition), timeout=_TIMEOUT_SECONDS, cached=False
            )
        except KafkaException as error:
            raise Unavailable(f"topic {self._topic}: {error.args[0].str()}") from error
        if found is None:
            raise Unavailable(f"topic {self._topic}: no answer")
        return found[0], found[1]
