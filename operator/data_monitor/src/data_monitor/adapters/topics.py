"""What topics there are: asked for again and again without waiting, so that the loop goes on while nobody answers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

_TIMEOUT_SECONDS: Final = 5.0
# What brokers answer that know of no ids (KIP-516, Kafka 2.8).
_NO_ID: Final = "AAAAAAAAAAAAAAAAAAAAAA"


@dataclass(frozen=True)
class Topic:
    """A topic that is there."""

    id: str
    """Another one each time that a topic of this name is made; empty where the broker tells none."""
    partitions: frozenset[int]


class TopicWatch:
    """One question at a time to the broker."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._admin = AdminClient(settings)
        self._pending: dict[str, Future[Any]] = {}

    def look(self, topics: Sequence[str]) -> dict[str, Topic | None] | None:
        """The answer to the last question, then the question is put again; None while it is still open.

        None for a topic that is not there. A topic about which the broker could not be asked is left out.
        """
        if not all(future.done() for future in self._pending.values()):
            return None
        found = {}
        for topic, future in self._pending.items():
            try:
                found[topic] = _answer(future)
            except KafkaException:
                continue
        self._pending = self._ask(topics)
        return found

    def now(self, topic: str) -> Topic | None:
        """One topic as it is now; None if it is not there. Raises KafkaException."""
        future = self._ask([topic])[topic]
        wait([future], _TIMEOUT_SECONDS)
        return _answer(future)

    def _ask(self, topics: Sequence[str]) -> dict[str, Future[Any]]:
        asked: dict[str, Future[Any]] = self._admin.describe_topics(
            TopicCollection(list(topics)), request_timeout=_TIMEOUT_SECONDS
        )
        return asked


def _answer(future: Future[Any]) -> Topic | None:
    try:
        found = future.result(_TIMEOUT_SECONDS)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        raise
    topic_id = str(found.topic_id)
    return Topic("" if topic_id == _NO_ID else topic_id, frozenset(one.id for one in found.partitions))
