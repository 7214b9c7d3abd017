"""A real Kafka broker on loopback: one KRaft node from the jars that the cluster's image has. For tests that need more
than the mock: real fetches, real retention, real offsets by time."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster import tools
from cluster.images import maven
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from monitor_process import until
from ports import free_port

_POM = Path(__file__).parent / "cluster/images/kafka/pom.xml"


class KafkaBroker:
    """Started in a folder, which holds its data. Use it in a ``with`` statement."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._controller = free_port(), free_port()
        self.address = f"127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> KafkaBroker:
        java = shutil.which("java")
        assert java, "a real broker needs Java 17"
        self._folder.mkdir(parents=True, exist_ok=True)
        jars = f"{maven.resolve(_POM, tools.cache())}/*"
        properties = self._folder / "server.properties"
        properties.write_text(self._properties())
        command = [java, "-Xmx512m", "-Xms512m", "-XX:+UseG1GC", "-cp", jars]
        storage = [*command, "kafka.tools.StorageTool"]
        said = subprocess.run([*storage, "random-uuid"], check=True, capture_output=True, text=True)
        cluster = said.stdout.split()[-1]
        subprocess.run([*storage, "format", "-t", cluster, "-c", properties], check=True, capture_output=True)
        with (self._folder / "log.txt").open("wb") as log:
            self._process = subprocess.Popen([*command, "kafka.Kafka", properties], stdout=log, stderr=log)
        self.admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        until(self._answers, "the broker answers", 120)
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process
        self._process.terminate()
        self._process.wait(60)

    def create(self, topic: str, partitions: int, **config: str) -> None:
        """Make a topic; a config's key is written with underscores."""
        named = {key.replace("_", "."): value for key, value in config.items()}
        self.admin.create_topics([NewTopic(topic, partitions, 1, config=named)])[topic].result(60)

    def delete(self, topic: str) -> None:
        """Remove a topic, and wait until it is gone."""
        self.admin.delete_topics([topic])[topic].result(60)
        until(lambda: topic not in self.admin.list_topics(timeout=5).topics, f"{topic} is gone")

    def committed(self, group: str, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """What a group has committed."""
        with self.consumer(group) as consumer:
            return consumer.committed(partitions, timeout=30)

    @contextlib.contextmanager
    def consumer(self, group: str = "look", **settings: Any) -> Iterator[Consumer]:
        """A consumer, closed in the end; a setting's key is written with underscores."""
        named = {key.replace("_", "."): value for key, value in settings.items()}
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": group, **named})
        try:
            yield consumer
        finally:
            consumer.close()

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, (self._folder / "log.txt").read_text()[-4000:]
        try:
            return bool(self.admin.list_topics(timeout=2).brokers)
        except Exception:
            return False

    def _properties(self) -> str:
        values = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{self._port},CONTROLLER://127.0.0.1:{self._controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self._port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self._folder / "data",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "log.retention.check.interval.ms": 1000,
        }
        return "".join(f"{key}={value}\n" for key, value in values.items())
