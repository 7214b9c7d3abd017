"""server.properties of a pool's nodes. The container's start script puts in the node's id and host name."""

from __future__ import annotations

from .model import CONTROLLER_PORT, METRICS_PORT, REPLICATION_PORT, Cluster, Pool

DATA = "/var/lib/kafka/data"
REPORTER = "io.strimzi.kafka.metrics"


def server_properties(cluster: Cluster, pool: Pool) -> str:
    own = cluster.host(pool, "@HOSTNAME@")
    listeners, advertised, protocols = [], [], ["CONTROLLER:PLAINTEXT"]
    if "controller" in pool.roles:
        listeners.append(f"CONTROLLER://0.0.0.0:{CONTROLLER_PORT}")
    if "broker" in pool.roles:
        served = [("REPLICATION", REPLICATION_PORT)]
        served += [(listener.protocol_name, listener.port) for listener in cluster.listeners]
        listeners += [f"{name}://0.0.0.0:{port}" for name, port in served]
        advertised += [f"{name}://{own}:{port}" for name, port in served]
        protocols += [f"{name}:PLAINTEXT" for name, _ in served]
    values: dict[str, object] = {
        "process.roles": ",".join(sorted(pool.roles)),
        "node.id": "@NODE_ID@",
        "controller.quorum.voters": ",".join(voters(cluster)),
        "controller.listener.names": "CONTROLLER",
        "listeners": ",".join(listeners),
        "listener.security.protocol.map": ",".join(protocols),
        "log.dirs": DATA,
        # One consumer that joins should not wait for others on a small cluster.
        "group.initial.rebalance.delay.ms": 0,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "offsets.topic.num.partitions": 4,
    }
    if advertised:
        values["advertised.listeners"] = ",".join(advertised)
        values["inter.broker.listener.name"] = "REPLICATION"
    values |= _metrics(cluster)
    # What the user wrote wins, as with Strimzi, which allows no key that it manages itself.
    wanted = cluster.resource["spec"]["kafka"].get("config", {})
    values |= {key: value for key, value in wanted.items() if not _managed(key)}
    return "".join(f"{key}={_text(value)}\n" for key, value in values.items())


def voters(cluster: Cluster) -> list[str]:
    return [
        f"{node_id}@{cluster.host(pool, ordinal)}:{CONTROLLER_PORT}"
        for pool in cluster.pools
        if "controller" in pool.roles
        for ordinal, node_id in enumerate(pool.node_ids)
    ]


def _metrics(cluster: Cluster) -> dict[str, object]:
    """Strimzi's own reporter, in the configuration that Strimzi gives it."""
    metrics = cluster.resource["spec"]["kafka"].get("metricsConfig", {})
    if metrics.get("type") != "strimziMetricsReporter":
        return {}
    allowed = metrics.get("values", {}).get("allowList", [".*"])
    return {
        "metric.reporters": f"{REPORTER}.KafkaPrometheusMetricsReporter",
        "kafka.metrics.reporters": f"{REPORTER}.YammerPrometheusMetricsReporter",
        "prometheus.metrics.reporter.listener.enable": True,
        "prometheus.metrics.reporter.listener": f"http://:{METRICS_PORT}",
        "prometheus.metrics.reporter.allowlist": ",".join(allowed),
    }


def _managed(key: str) -> bool:
    prefixes = (
        "listener",
        "advertised.",
        "process.roles",
        "node.id",
        "controller.",
        "log.dir",
        "inter.broker.listener",
    )
    return key.startswith(prefixes)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
