"""A Kafka broker for tests: the mock that librdkafka brings along. It speaks the protocol, and keeps nothing."""

from collections.abc import Iterable

from confluent_kafka import Producer


class MockBroker:
    """Alive as long as its client. Every topic has four partitions."""

    def __init__(self) -> None:
        self.client = Producer({"test.mock.num.brokers": 1, "log_level": 0, "queue.buffering.max.messages": 1_000_000})
        (broker,) = self.client.list_topics(timeout=10).brokers.values()
        self.address = f"{broker.host}:{broker.port}"

    def create(self, *topics: str) -> None:
        """Make topics: the mock does when it is asked for one."""
        for topic in topics:
            self.client.list_topics(topic, timeout=10)

    def send(self, topic: str, values: Iterable[str | bytes], partitions: int = 2) -> None:
        """Write records in turn to the first partitions."""
        for number, value in enumerate(values):
            self.client.produce(topic, value=value, partition=number % partitions)
        assert self.client.flush(30) == 0
