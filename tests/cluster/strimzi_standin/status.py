"""What the stand-in writes into the status of the Strimzi resources. Pure."""

from __future__ import annotations

from .model import CLUSTER_LABEL, KAFKA_VERSION, Cluster, Pool, Resource


def condition(before: Resource, kind: str, reason: str = "", message: str = "", status: str = "True") -> Resource:
    """A condition; its time moves only when what it says does."""
    told = {"type": kind, "status": status}
    if reason:
        told |= {"reason": reason, "message": message}
    for old in before.get("conditions", []):
        if {key: value for key, value in old.items() if key != "lastTransitionTime"} == told:
            return dict(old)
    return told


def stamped(conditions: list[Resource], now: str) -> list[Resource]:
    return [{"lastTransitionTime": now, **told} for told in conditions]


def kafka(cluster: Cluster, ready: int, now: str) -> Resource:
    before = cluster.resource.get("status", {})
    wanted = cluster.replicas
    if ready >= wanted:
        conditions = [condition(before, "Ready")]
    else:
        message = f"{ready} of {wanted} nodes are ready"
        conditions = [condition(before, "NotReady", "Creating", message)]
    conditions += [condition(before, "Warning", "StandIn", text) for text in cluster.warnings]
    return {
        "observedGeneration": cluster.resource["metadata"].get("generation", 0),
        "clusterId": cluster.id,
        "kafkaVersion": KAFKA_VERSION,
        "conditions": stamped(conditions, now),
        "listeners": [
            {
                "name": listener.name,
                "addresses": [
                    {"host": f"{cluster.bootstrap_service}.{cluster.namespace}.svc", "port": listener.port},
                ],
                "bootstrapServers": f"{cluster.bootstrap_service}.{cluster.namespace}.svc:{listener.port}",
            }
            for listener in cluster.listeners
        ],
        "kafkaNodePools": [{"name": pool.name} for pool in cluster.pools],
    }


def node_pool(cluster: Cluster, pool: Pool) -> Resource:
    return {
        "observedGeneration": pool.resource["metadata"].get("generation", 0),
        "clusterId": cluster.id,
        "nodeIds": pool.node_ids,
        "replicas": pool.replicas,
        "roles": sorted(pool.roles),
        "labelSelector": f"{CLUSTER_LABEL}={cluster.name},strimzi.io/pool-name={pool.name}",
    }


def topic(resource: Resource, failure: str | None, now: str, topic_id: str = "") -> Resource:
    before = resource.get("status", {})
    if failure is None:
        conditions = [condition(before, "Ready")]
    else:
        conditions = [condition(before, "Ready", "KafkaError", failure, status="False")]
    told = {
        "observedGeneration": resource["metadata"].get("generation", 0),
        "conditions": stamped(conditions, now),
        "topicName": topic_name(resource),
    }
    return {**told, "topicId": topic_id} if topic_id else told


def topic_name(resource: Resource) -> str:
    return str(resource["spec"].get("topicName") or resource["metadata"]["name"])
