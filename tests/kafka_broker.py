"""A real Kafka broker on loopback: one KRaft node from the jars that the cluster's image has. For tests that need more
than the mock: real fetches, real retention, real offsets by time."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from certificates import make_certificate
from cluster import tools
from cluster.images import maven
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from monitor_process import until
from ports import free_port

_POM = Path(__file__).parent / "cluster/images/kafka/pom.xml"


class KafkaBroker:
    """Started in a folder, which holds its data. Use it in a ``with`` statement.

    A ``secured`` one has a second listener, for TLS and a password (SCRAM-SHA-512), by which nobody may do what
    :meth:`allow` has not allowed.
    """

    def __init__(self, folder: Path, *, secured: bool = False) -> None:
        self._folder = folder
        self._secured = secured
        self._port, self._secured_port, self._controller = free_port(), free_port(), free_port()
        self.address = f"127.0.0.1:{self._port}"
        self.secured_address = f"127.0.0.1:{self._secured_port}"
        self.authority = folder / "ca.crt"
        """The certificate by which the secured listener is trusted."""
        self._settings = folder / "server.properties"
        self._java: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> KafkaBroker:
        java = shutil.which("java")
        assert java, "a real broker needs Java 17"
        self._folder.mkdir(parents=True, exist_ok=True)
        jars = f"{maven.resolve(_POM, tools.cache())}/*"
        values = self._properties() | (self._security() if self._secured else {})
        self._settings.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
        self._java = [java, "-Xmx512m", "-Xms512m", "-XX:+UseG1GC", "-cp", jars]
        storage = [*self._java, "kafka.tools.StorageTool"]
        said = subprocess.run([*storage, "random-uuid"], check=True, capture_output=True, text=True)
        cluster = said.stdout.split()[-1]
        subprocess.run([*storage, "format", "-t", cluster, "-c", self._settings], check=True, capture_output=True)
        self.admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        self._start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Be down for a while; the data stay."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def _start(self) -> None:
        with (self._folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen([*self._java, "kafka.Kafka", self._settings], stdout=log, stderr=log)
        until(self._answers, "the broker answers", 120)

    def _stop(self) -> None:
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

    def add_user(self, name: str, password: str) -> None:
        """Let somebody in by the secured listener."""
        way = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        added = UserScramCredentialUpsertion(name, way, password.encode())
        self.admin.alter_user_scram_credentials([added])[name].result(60)

    def allow(self, user: str, kind: ResourceType, name: str, *operations: AclOperation) -> None:
        """Let a user do something with a topic or a group."""
        rules = [
            AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
            for operation in operations
        ]
        for done in self.admin.create_acls(rules).values():
            done.result(60)

    def send(self, topic: str, values: Iterable[str], written_at: float | None = None) -> None:
        """Write records, to each partition in turn; ``written_at`` is their time, in seconds since 1970."""
        partitions = until(lambda: self._partitions(topic), f"{topic} is there")
        producer = Producer({"bootstrap.servers": self.address})
        when = round((written_at or time.time()) * 1000)
        for number, value in enumerate(values):
            producer.produce(topic, value, partition=number % partitions, timestamp=when)
        assert producer.flush(30) == 0

    def disallow(self, kind: ResourceType, name: str) -> None:
        """Take back all that was allowed with a topic or a group."""
        all_of_it = (ResourcePatternType.LITERAL, None, None, AclOperation.ANY, AclPermissionType.ANY)
        for done in self.admin.delete_acls([AclBindingFilter(kind, name, *all_of_it)]).values():
            done.result(60)

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

    def _partitions(self, topic: str) -> int:
        return len(self.admin.list_topics(topic, timeout=10).topics[topic].partitions)

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, (self._folder / "log.txt").read_text()[-4000:]
        try:
            return bool(self.admin.list_topics(timeout=2).brokers)
        except Exception:
            return False

    def _security(self) -> dict[str, Any]:
        """A certificate of its own issuer, and who comes by the other listener may do everything."""
        key, both = self._folder / "tls.key", self._folder / "tls.pem"
        make_certificate(key, self.authority)
        both.write_text(key.read_text() + self.authority.read_text())
        listener = "listener.name.sasl_ssl."
        common = self._properties()
        added = {
            "listeners": f"SASL_SSL://{self.secured_address}",
            "advertised.listeners": f"SASL_SSL://{self.secured_address}",
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL",
        }
        return {
            **{key: f"{common[key]},{value}" for key, value in added.items()},
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            f"{listener}scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            f"{listener}ssl.keystore.type": "PEM",
            f"{listener}ssl.keystore.location": both,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }

    def _properties(self) -> dict[str, Any]:
        return {
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
