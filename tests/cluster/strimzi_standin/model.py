"""The parts of the Strimzi resources that the stand-in honours. Pure: dictionaries in, plain values out."""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass, field
from typing import Any

Resource = dict[str, Any]

GROUP = "kafka.strimzi.io"
CLUSTER_LABEL = "strimzi.io/cluster"
NOT_COPIED = ("app.kubernetes.io/", "kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/")
KAFKA_VERSION = "4.4.0"
CONTROLLER_PORT = 9090
REPLICATION_PORT = 9091
METRICS_PORT = 9404


@dataclass(frozen=True)
class Listener:
    name: str
    port: int

    @property
    def protocol_name(self) -> str:
        return f"{self.name.upper()}-{self.port}"


@dataclass(frozen=True)
class Pool:
    """A node pool, with the ids of its nodes."""

    resource: Resource
    first_id: int

    @property
    def name(self) -> str:
        return str(self.resource["metadata"]["name"])

    @property
    def replicas(self) -> int:
        return int(self.resource["spec"].get("replicas", 1))

    @property
    def roles(self) -> list[str]:
        return list(self.resource["spec"].get("roles", ["controller", "broker"]))

    @property
    def node_ids(self) -> list[int]:
        return list(range(self.first_id, self.first_id + self.replicas))


@dataclass(frozen=True)
class Cluster:
    """A Kafka resource together with its node pools."""

    resource: Resource
    pools: list[Pool]
    listeners: list[Listener] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.resource["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.resource["metadata"]["namespace"])

    @property
    def id(self) -> str:
        """Kafka's cluster id: 16 bytes in URL-safe base64.

        A Kafka that is made again has a new one, unless its status says which it had.
        """
        kept = self.resource.get("status", {}).get("clusterId")
        if kept:
            return str(kept)
        return base64.urlsafe_b64encode(uuid.UUID(self.resource["metadata"]["uid"]).bytes).decode().rstrip("=")

    @property
    def replicas(self) -> int:
        return sum(pool.replicas for pool in self.pools)

    @property
    def brokers_service(self) -> str:
        return f"{self.name}-kafka-brokers"

    @property
    def bootstrap_service(self) -> str:
        return f"{self.name}-kafka-bootstrap"

    @property
    def bootstrap_server(self) -> str:
        return f"{self.bootstrap_service}.{self.namespace}.svc:{self.listeners[0].port}"

    def statefulset(self, pool: Pool) -> str:
        return f"{self.name}-{pool.name}"

    def host(self, pool: Pool, ordinal: int | str) -> str:
        pod = f"{self.statefulset(pool)}-{ordinal}" if isinstance(ordinal, int) else ordinal
        return f"{pod}.{self.brokers_service}.{self.namespace}.svc"


def clusters(kafkas: list[Resource], node_pools: list[Resource]) -> list[Cluster]:
    """Every Kafka that has node pools; without one, Strimzi makes no node either."""
    found = []
    for kafka in kafkas:
        metadata = kafka["metadata"]
        mine = [
            pool
            for pool in sorted(node_pools, key=lambda pool: str(pool["metadata"]["name"]))
            if pool["metadata"]["namespace"] == metadata["namespace"]
            and pool["metadata"].get("labels", {}).get(CLUSTER_LABEL) == metadata["name"]
        ]
        if mine and "deletionTimestamp" not in metadata:
            found.append(_cluster(kafka, mine))
    return found


def _cluster(kafka: Resource, resources: list[Resource]) -> Cluster:
    pools: list[Pool] = []
    for resource in resources:
        pools.append(Pool(resource, sum(pool.replicas for pool in pools)))
    listeners, warnings = [], []
    for listener in kafka["spec"]["kafka"].get("listeners", []):
        if listener.get("tls") or listener.get("type") != "internal" or listener.get("authentication"):
            warnings.append(f"listener {listener['name']} is left out: only plain internal listeners are served")
        else:
            listeners.append(Listener(listener["name"], int(listener["port"])))
    version = kafka["spec"]["kafka"].get("version", KAFKA_VERSION)
    if version != KAFKA_VERSION:
        warnings.append(f"version {version} was asked for; the broker is {KAFKA_VERSION}")
    for pool in pools:
        if any(volume["type"] != "ephemeral" for volume in volumes(pool)):
            warnings.append(f"node pool {pool.name}: data is kept in a volume that dies with its pod")
    return Cluster(kafka, pools, listeners, warnings)


def copied_labels(resource: Resource) -> dict[str, str]:
    """Labels of a resource that Strimzi copies to its pods: all but Kubernetes' recommended ones and Flux's."""
    labels = resource["metadata"].get("labels", {})
    return {key: value for key, value in labels.items() if not key.startswith(NOT_COPIED)}


def volumes(pool: Pool) -> list[Resource]:
    storage = pool.resource["spec"].get("storage", {"type": "ephemeral"})
    return list(storage["volumes"]) if storage.get("type") == "jbod" else [storage]


def topics(resources: list[Resource], cluster: Cluster) -> list[Resource]:
    return [
        topic
        for topic in resources
        if topic["metadata"]["namespace"] == cluster.namespace
        and topic["metadata"].get("labels", {}).get(CLUSTER_LABEL) == cluster.name
        and "deletionTimestamp" not in topic["metadata"]
    ]
