"""What a Kafka cluster consists of in Kubernetes, with Strimzi's names, labels and ports."""

from __future__ import annotations

import hashlib
from typing import Any

from .configuration import DATA, server_properties
from .model import (
    CLUSTER_LABEL,
    CONTROLLER_PORT,
    GROUP,
    METRICS_PORT,
    REPLICATION_PORT,
    Cluster,
    Pool,
    Resource,
    copied_labels,
)

RESTRICTED_POD = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def nodes(cluster: Cluster, kafka_image: str) -> list[Resource]:
    """What Strimzi makes first."""
    found = [_brokers(cluster)]
    for pool in cluster.pools:
        found += [_configuration(cluster, pool), _statefulset(cluster, pool, kafka_image)]
    return found


def access(cluster: Cluster, own_image: str) -> list[Resource]:
    """What it makes once the nodes are ready: the bootstrap Service late, the exporter last."""
    found = [_bootstrap(cluster)]
    if "kafkaExporter" in cluster.resource["spec"]:
        found.append(_exporter(cluster, own_image))
    return found


def _labels(cluster: Cluster, component: str, **more: str) -> dict[str, str]:
    return {
        **copied_labels(cluster.resource),
        CLUSTER_LABEL: cluster.name,
        "strimzi.io/kind": "Kafka",
        "strimzi.io/component-type": component,
        "strimzi.io/name": f"{cluster.name}-{component}",
        "app.kubernetes.io/managed-by": "strimzi-cluster-operator",
        "app.kubernetes.io/instance": cluster.name,
        "app.kubernetes.io/part-of": f"strimzi-{cluster.name}",
        **more,
    }


def _metadata(cluster: Cluster, name: str, labels: dict[str, str]) -> Resource:
    owner = cluster.resource
    return {
        "name": name,
        "namespace": cluster.namespace,
        "labels": labels,
        # Deleting the Kafka resource takes everything with it.
        "ownerReferences": [
            {
                "apiVersion": f"{GROUP}/v1",
                "kind": "Kafka",
                "name": cluster.name,
                "uid": owner["metadata"]["uid"],
                "controller": False,
                "blockOwnerDeletion": False,
            }
        ],
    }


def _service(cluster: Cluster, name: str, ports: list[tuple[str, int]], **spec: Any) -> Resource:
    labels = _labels(cluster, "kafka")
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(cluster, name, labels),
        "spec": {
            "selector": {CLUSTER_LABEL: cluster.name, "strimzi.io/kind": "Kafka", "strimzi.io/component-type": "kafka"},
            "ports": [{"name": port_name, "port": port, "targetPort": port} for port_name, port in ports],
            **spec,
        },
    }


def _client_ports(cluster: Cluster) -> list[tuple[str, int]]:
    return [(f"tcp-{listener.name}", listener.port) for listener in cluster.listeners]


def _bootstrap(cluster: Cluster) -> Resource:
    ports = [("tcp-replication", REPLICATION_PORT), *_client_ports(cluster)]
    return _service(cluster, cluster.bootstrap_service, ports)


def _brokers(cluster: Cluster) -> Resource:
    ports = [("tcp-ctrlplane", CONTROLLER_PORT), ("tcp-replication", REPLICATION_PORT), *_client_ports(cluster)]
    # Nodes look each other up before any of them is ready.
    return _service(cluster, cluster.brokers_service, ports, clusterIP="None", publishNotReadyAddresses=True)


def _configuration(cluster: Cluster, pool: Pool) -> Resource:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(cluster, f"{cluster.statefulset(pool)}-config", _labels(cluster, "kafka")),
        "data": {"server.properties": server_properties(cluster, pool)},
    }


def _statefulset(cluster: Cluster, pool: Pool, image: str) -> Resource:
    labels = _labels(
        cluster,
        "kafka",
        **copied_labels(pool.resource),
        **{
            "strimzi.io/pool-name": pool.name,
            "strimzi.io/broker-role": str("broker" in pool.roles).lower(),
            "strimzi.io/controller-role": str("controller" in pool.roles).lower(),
        },
    )
    name = cluster.statefulset(pool)
    ports = [{"name": "tcp-ctrlplane", "containerPort": CONTROLLER_PORT}]
    ports += [{"name": "tcp-replication", "containerPort": REPLICATION_PORT}]
    ports += [{"name": port_name, "containerPort": port} for port_name, port in _client_ports(cluster)]
    if "metricsConfig" in cluster.resource["spec"]["kafka"]:
        ports.append({"name": "tcp-prometheus", "containerPort": METRICS_PORT})
    ready_port = cluster.listeners[0].port if "broker" in pool.roles and cluster.listeners else CONTROLLER_PORT
    fingerprint = hashlib.sha256(server_properties(cluster, pool).encode()).hexdigest()[:16]
    container = {
        "name": "kafka",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "FIRST_NODE_ID", "value": str(pool.first_id)},
            {"name": "CLUSTER_ID", "value": cluster.id},
            {"name": "CONFIGURATION", "value": "/etc/kafka/server.properties"},
            {"name": "DATA", "value": DATA},
            {"name": "JAVA_OPTIONS", "value": java_options(cluster, pool)},
        ],
        "ports": ports,
        "readinessProbe": {"tcpSocket": {"port": ready_port}, "periodSeconds": 2, "failureThreshold": 30},
        "resources": pool.resource["spec"].get("resources", {}),
        "securityContext": RESTRICTED,
        "volumeMounts": [
            {"name": "data", "mountPath": "/var/lib/kafka"},
            {"name": "config", "mountPath": "/etc/kafka"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": _metadata(cluster, name, labels),
        "spec": {
            "replicas": pool.replicas,
            "serviceName": cluster.brokers_service,
            # A quorum needs its nodes at the same time.
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {CLUSTER_LABEL: cluster.name, "strimzi.io/pool-name": pool.name}},
            "template": {
                "metadata": {
                    "labels": labels,
                    # A changed configuration restarts the nodes.
                    "annotations": {"strimzi.io/configuration-hash": fingerprint},
                },
                "spec": {
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": {**RESTRICTED_POD, "runAsUser": 1001, "fsGroup": 1001},
                    "terminationGracePeriodSeconds": 30,
                    "containers": [container],
                    "volumes": [
                        {"name": "data", "emptyDir": {}},
                        {"name": "tmp", "emptyDir": {}},
                        {"name": "config", "configMap": {"name": f"{name}-config"}},
                    ],
                },
            },
        },
    }


def java_options(cluster: Cluster, pool: Pool) -> str:
    options = pool.resource["spec"].get("jvmOptions") or cluster.resource["spec"]["kafka"].get("jvmOptions") or {}
    heap = [f"{flag}{options[flag]}" for flag in ("-Xms", "-Xmx") if flag in options]
    return " ".join(heap or ["-Xms256m", "-Xmx512m"])


def _exporter(cluster: Cluster, image: str) -> Resource:
    labels = _labels(cluster, "kafka-exporter")
    wanted = cluster.resource["spec"]["kafkaExporter"] or {}
    container = {
        "name": f"{cluster.name}-kafka-exporter",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "strimzi_standin.exporter"],
        "env": [
            {"name": "BOOTSTRAP_SERVERS", "value": cluster.bootstrap_server},
            {"name": "TOPIC_REGEX", "value": wanted.get("topicRegex", ".*")},
            {"name": "GROUP_REGEX", "value": wanted.get("groupRegex", ".*")},
            {"name": "PORT", "value": str(METRICS_PORT)},
        ],
        "ports": [{"name": "tcp-prometheus", "containerPort": METRICS_PORT}],
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": METRICS_PORT},
            "periodSeconds": 5,
            "timeoutSeconds": 5,
        },
        "resources": wanted.get("resources", {}),
        "securityContext": RESTRICTED,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(cluster, f"{cluster.name}-kafka-exporter", labels),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {CLUSTER_LABEL: cluster.name, "strimzi.io/component-type": "kafka-exporter"}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": {**RESTRICTED_POD, "runAsUser": 1001},
                    "containers": [container],
                },
            },
        },
    }
