"""Topics of a cluster brought to what their resources say."""

from __future__ import annotations

from typing import Any

from .model import Resource
from .status import topic_name

TIMEOUT = 10


def wanted_config(resource: Resource) -> dict[str, str]:
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in resource["spec"].get("config", {}).items()
    }


class Topics:
    """One cluster's topics, by Kafka's admin client."""

    def __init__(self, bootstrap_servers: str) -> None:
        from confluent_kafka.admin import AdminClient

        self.admin = AdminClient({"bootstrap.servers": bootstrap_servers, "socket.timeout.ms": TIMEOUT * 1000})

    def reconcile(self, resources: list[Resource]) -> dict[str, str | None]:
        """By resource name: None, or why the topic is not what its resource says."""
        existing = self.admin.list_topics(timeout=TIMEOUT).topics
        found: dict[str, str | None] = {}
        for resource in resources:
            name = resource["metadata"]["name"]
            try:
                found[name] = self._one(resource, existing.get(topic_name(resource)))
            except Exception as error:
                found[name] = str(error)
        return found

    def _one(self, resource: Resource, existing: Any) -> str | None:
        from confluent_kafka.admin import NewPartitions, NewTopic

        name = topic_name(resource)
        spec = resource["spec"]
        if existing is None:
            new = NewTopic(
                name,
                num_partitions=int(spec.get("partitions", 1)),
                replication_factor=int(spec.get("replicas", -1)),
                config=wanted_config(resource),
            )
            self.admin.create_topics([new], operation_timeout=TIMEOUT)[name].result()
            return None
        have, wanted = len(existing.partitions), int(spec.get("partitions", len(existing.partitions)))
        if wanted < have:
            return f"the topic has {have} partitions; Kafka cannot take partitions away"
        if wanted > have:
            self.admin.create_partitions([NewPartitions(name, wanted)])[name].result()
        self._configure(name, wanted_config(resource))
        return None

    def _configure(self, name: str, wanted: dict[str, str]) -> None:
        from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

        where = ConfigResource(ResourceType.TOPIC, name)
        have = self.admin.describe_configs([where])[where].result()
        changes = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in wanted.items()
            if key not in have or have[key].value != value
        ]
        if changes:
            change = ConfigResource(ResourceType.TOPIC, name, incremental_configs=changes)
            self.admin.incremental_alter_configs([change])[change].result()
