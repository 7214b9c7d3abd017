"""The stand-in for the Strimzi operator: resources in, manifests, configuration and status out."""

from __future__ import annotations

import copy
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cluster.strimzi_standin import exposition, model, status
from cluster.strimzi_standin.configuration import server_properties, voters
from cluster.strimzi_standin.kube import path
from cluster.strimzi_standin.manifests import access, java_options, nodes

NOW = "2026-01-01T00:00:00Z"


def kafka(**spec: Any) -> model.Resource:
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "Kafka",
        "metadata": {
            "name": "streaming",
            "namespace": "apps",
            "uid": "6f1c2d3e-1111-4222-8333-444455556666",
            "generation": 3,
        },
        "spec": {
            "kafka": {
                "listeners": [
                    {"name": "plain", "port": 9092, "type": "internal", "tls": False},
                    {"name": "tls", "port": 9093, "type": "internal", "tls": True},
                ],
                "config": {"auto.create.topics.enable": False, "offsets.topic.num.partitions": 9},
                "metricsConfig": {"type": "strimziMetricsReporter", "values": {"allowList": ["a.*", "b"]}},
            },
            "kafkaExporter": {"groupRegex": "ml-.*"},
            **spec,
        },
    }


def manifests(cluster: model.Cluster, kafka_image: str, own_image: str) -> list[model.Resource]:
    return [*nodes(cluster, kafka_image), *access(cluster, own_image)]


def pool(name: str = "nodes", replicas: int = 1, cluster: str = "streaming", **spec: Any) -> model.Resource:
    return {
        "metadata": {"name": name, "namespace": "apps", "labels": {model.CLUSTER_LABEL: cluster}, "generation": 1},
        "spec": {"replicas": replicas, "roles": ["controller", "broker"], "storage": {"type": "ephemeral"}, **spec},
    }


@pytest.fixture
def cluster() -> model.Cluster:
    (found,) = model.clusters([kafka()], [pool()])
    return found


def properties(cluster: model.Cluster) -> dict[str, str]:
    lines = server_properties(cluster, cluster.pools[0]).splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_a_kafka_without_node_pools_of_its_own_is_no_cluster() -> None:
    assert model.clusters([kafka()], [pool(cluster="other")]) == []


def test_a_kafka_that_is_being_deleted_is_left_alone() -> None:
    going = kafka()
    going["metadata"]["deletionTimestamp"] = NOW
    assert model.clusters([going], [pool()]) == []


def test_the_cluster_id_is_what_kafka_accepts_and_stays(cluster: model.Cluster) -> None:
    assert len(cluster.id) == 22
    assert cluster.id == model.clusters([kafka()], [pool()])[0].id


def test_node_ids_run_through_the_pools() -> None:
    pools = [pool("b", 2, roles=["broker"]), pool("a", 3, roles=["controller"])]
    (found,) = model.clusters([kafka()], pools)
    assert [(each.name, each.node_ids) for each in found.pools] == [("a", [0, 1, 2]), ("b", [3, 4])]
    assert [text.split("@")[0] for text in voters(found)] == ["0", "1", "2"]


def test_what_is_left_out_is_said() -> None:
    asked = kafka()
    asked["spec"]["kafka"]["version"] = "4.3.1"
    storage = {"type": "jbod", "volumes": [{"id": 0, "type": "persistent-claim", "size": "1Gi"}]}
    (found,) = model.clusters([asked], [pool(storage=storage)])
    told = status.kafka(found, 1, NOW)["conditions"]
    messages = " ".join(entry["message"] for entry in told if entry["type"] == "Warning")
    assert "listener tls" in messages
    assert "4.3.1" in messages
    assert "dies with its pod" in messages


def test_listeners_and_quorum_agree(cluster: model.Cluster) -> None:
    found = properties(cluster)
    assert found["listeners"] == "CONTROLLER://0.0.0.0:9090,REPLICATION://0.0.0.0:9091,PLAIN-9092://0.0.0.0:9092"
    assert "PLAIN-9092://@HOSTNAME@.streaming-kafka-brokers.apps.svc:9092" in found["advertised.listeners"]
    assert found["controller.quorum.voters"] == "0@streaming-nodes-0.streaming-kafka-brokers.apps.svc:9090"
    protocols = dict(pair.split(":") for pair in found["listener.security.protocol.map"].split(","))
    assert {text.split("://")[0] for text in found["listeners"].split(",")} == set(protocols)


def test_the_users_configuration_wins_but_not_over_what_is_managed() -> None:
    asked = kafka()
    asked["spec"]["kafka"]["config"]["listeners"] = "PLAINTEXT://evil"
    (found,) = model.clusters([asked], [pool()])
    values = properties(found)
    assert values["offsets.topic.num.partitions"] == "9"
    assert values["auto.create.topics.enable"] == "false"
    assert "evil" not in values["listeners"]


def test_metrics_come_from_strimzis_reporter_only_when_asked_for(cluster: model.Cluster) -> None:
    assert properties(cluster)["prometheus.metrics.reporter.allowlist"] == "a.*,b"
    quiet = kafka()
    del quiet["spec"]["kafka"]["metricsConfig"]
    (found,) = model.clusters([quiet], [pool()])
    assert not any("prometheus" in key for key in properties(found))
    (workload,) = [each for each in manifests(found, "k", "o") if each["kind"] == "StatefulSet"]
    ports = workload["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert "tcp-prometheus" not in {port["name"] for port in ports}


def test_names_labels_and_ports_are_strimzis(cluster: model.Cluster) -> None:
    found = {(each["kind"], each["metadata"]["name"]): each for each in manifests(cluster, "kafka:1", "own:1")}
    assert set(found) == {
        ("Service", "streaming-kafka-bootstrap"),
        ("Service", "streaming-kafka-brokers"),
        ("ConfigMap", "streaming-nodes-config"),
        ("StatefulSet", "streaming-nodes"),
        ("Deployment", "streaming-kafka-exporter"),
    }
    exporter = found["Deployment", "streaming-kafka-exporter"]["spec"]["template"]
    assert exporter["metadata"]["labels"]["strimzi.io/component-type"] == "kafka-exporter"
    assert exporter["metadata"]["labels"]["strimzi.io/kind"] == "Kafka"
    assert exporter["spec"]["containers"][0]["ports"] == [{"name": "tcp-prometheus", "containerPort": 9404}]
    bootstrap = found["Service", "streaming-kafka-bootstrap"]["spec"]
    assert {"name": "tcp-plain", "port": 9092, "targetPort": 9092} in bootstrap["ports"]
    broker = found["StatefulSet", "streaming-nodes"]["spec"]["template"]
    assert bootstrap["selector"].items() <= broker["metadata"]["labels"].items()


def test_pods_hold_to_the_restricted_standard(cluster: model.Cluster) -> None:
    for each in manifests(cluster, "k", "o"):
        if each["kind"] in {"StatefulSet", "Deployment"}:
            pod = each["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for container in pod["containers"]:
                assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
                assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_a_changed_configuration_restarts_the_nodes(cluster: model.Cluster) -> None:
    def annotations(found: model.Cluster) -> Any:
        (workload,) = [each for each in manifests(found, "k", "o") if each["kind"] == "StatefulSet"]
        return workload["spec"]["template"]["metadata"]["annotations"]

    changed = kafka()
    changed["spec"]["kafka"]["config"]["log.retention.ms"] = 1
    assert annotations(cluster) != annotations(model.clusters([changed], [pool()])[0])


def test_labels_are_copied_to_pods_as_strimzi_does() -> None:
    """So a label with the chart's version would restart every broker at each upgrade."""
    labelled, nodes_labelled = kafka(), pool()
    labelled["metadata"]["labels"] = {"helm.sh/chart": "a-1", "app.kubernetes.io/version": "1"}
    nodes_labelled["metadata"]["labels"] |= {"team": "data", "kustomize.toolkit.fluxcd.io/name": "x"}
    (found,) = model.clusters([labelled], [nodes_labelled])
    (workload,) = [each for each in nodes(found, "k") if each["kind"] == "StatefulSet"]
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert (labels["helm.sh/chart"], labels["team"]) == ("a-1", "data")
    assert not {"app.kubernetes.io/version", "kustomize.toolkit.fluxcd.io/name"} & set(labels)
    assert labels.items() >= workload["spec"]["selector"]["matchLabels"].items()


def test_clients_get_in_after_the_nodes(cluster: model.Cluster) -> None:
    first = {each["metadata"]["name"] for each in nodes(cluster, "k")}
    assert first == {"streaming-kafka-brokers", "streaming-nodes-config", "streaming-nodes"}
    assert [each["metadata"]["name"] for each in access(cluster, "o")] == [
        "streaming-kafka-bootstrap",
        "streaming-kafka-exporter",
    ]


def test_a_kafka_that_is_made_again_has_another_id_unless_its_status_keeps_it(cluster: model.Cluster) -> None:
    again = kafka()
    again["metadata"]["uid"] = "6f1c2d3e-1111-4222-8333-777777777777"
    assert model.clusters([again], [pool()])[0].id != cluster.id
    again["status"] = {"clusterId": cluster.id}
    assert model.clusters([again], [pool()])[0].id == cluster.id


def test_a_node_refuses_the_volume_of_another_cluster(tmp_path: Path) -> None:
    """In Strimzi's words; a volume of its own, and an empty one, go on to Java."""
    script = Path(__file__).parents[2] / "cluster/images/kafka/start.sh"
    (tmp_path / "java").write_text('#!/bin/sh\necho "java $1"\n')
    (tmp_path / "java").chmod(0o755)
    (tmp_path / "server.properties").write_text("node.id=@NODE_ID@\n")
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "FIRST_NODE_ID": "0",
        "HOSTNAME": "nodes-0",
        "CONFIGURATION": str(tmp_path / "server.properties"),
        "DATA": str(tmp_path),
    }

    def start(cluster_id: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", str(script)],
            env={**environment, "CLUSTER_ID": cluster_id},
            capture_output=True,
            text=True,
            check=False,
        )

    assert start("new").stdout.count("java") == 2  # format, run
    (tmp_path / "meta.properties").write_text("version=1\ncluster.id=old\n")
    refused = start("new")
    assert refused.returncode == 1
    assert "Invalid cluster.id" in refused.stderr
    assert "Expected new, but read old" in refused.stderr
    assert start("old").stdout.count("java") == 1


def test_no_exporter_without_asking() -> None:
    asked = kafka()
    del asked["spec"]["kafkaExporter"]
    (found,) = model.clusters([asked], [pool()])
    assert "Deployment" not in {each["kind"] for each in manifests(found, "k", "o")}


def test_heap_comes_from_the_pool_then_from_the_cluster(cluster: model.Cluster) -> None:
    assert java_options(cluster, cluster.pools[0]) == "-Xms256m -Xmx512m"
    (found,) = model.clusters([kafka()], [pool(jvmOptions={"-Xms": "64m", "-Xmx": "96m"})])
    assert java_options(found, found.pools[0]) == "-Xms64m -Xmx96m"


def test_ready_when_every_node_is(cluster: model.Cluster) -> None:
    assert status.kafka(cluster, 0, NOW)["conditions"][0]["type"] == "NotReady"
    told = status.kafka(cluster, 1, NOW)
    assert told["conditions"][0] == {"type": "Ready", "status": "True", "lastTransitionTime": NOW}
    assert told["observedGeneration"] == 3
    assert told["listeners"][0]["bootstrapServers"] == "streaming-kafka-bootstrap.apps.svc:9092"


def test_a_status_that_says_the_same_is_the_same() -> None:
    before = kafka()
    (found,) = model.clusters([before], [pool()])
    told = status.kafka(found, 1, NOW)
    after = copy.deepcopy(before) | {"status": told}
    (again,) = model.clusters([after], [pool()])
    assert status.kafka(again, 1, "2026-02-02T00:00:00Z") == told


def test_a_topic_says_why_it_is_not_ready() -> None:
    topic = {"metadata": {"name": "events", "generation": 2}, "spec": {"partitions": 8}}
    assert status.topic(topic, None, NOW)["conditions"][0]["status"] == "True"
    told = status.topic(topic, "no broker", NOW)
    assert told["conditions"][0] | {"lastTransitionTime": ""} == {
        "type": "Ready",
        "status": "False",
        "reason": "KafkaError",
        "message": "no broker",
        "lastTransitionTime": "",
    }
    assert told["topicName"] == "events"


def test_paths_of_the_api() -> None:
    assert path("v1", "Service", "apps", "x") == "/api/v1/namespaces/apps/services/x"
    assert path("kafka.strimzi.io/v1", "Kafka") == "/apis/kafka.strimzi.io/v1/kafkas"
    assert path("apps/v1", "StatefulSet", "a", "b", "status") == "/apis/apps/v1/namespaces/a/statefulsets/b/status"


def test_lag_is_what_is_produced_and_not_committed() -> None:
    seen = exposition.Snapshot(
        brokers=1,
        partitions={"events": 2},
        replicas={("events", 0): (1, 1), ("events", 1): (1, 3)},
        oldest={("events", 0): 0, ("events", 1): 5},
        newest={("events", 0): 100, ("events", 1): 50},
        # A committed offset past the end (the topic was made anew) is no lag below zero.
        committed={"ml": {("events", 0): 40, ("events", 1): 60, ("gone", 0): 1}},
        members={"ml": 0},
    )
    text = exposition.render(exposition.families(seen))
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert 'kafka_consumergroup_lag{consumergroup="ml",topic="events",partition="0"} 60' in lines
    assert 'kafka_consumergroup_lag{consumergroup="ml",topic="events",partition="1"} 0' in lines
    assert 'kafka_consumergroup_lag_sum{consumergroup="ml",topic="events"} 60' in lines
    assert 'kafka_consumergroup_current_offset_sum{consumergroup="ml",topic="events"} 100' in lines
    assert 'kafka_topic_partitions{topic="events"} 2' in lines
    assert 'kafka_topic_partition_under_replicated_partition{topic="events",partition="0"} 0' in lines
    assert 'kafka_topic_partition_under_replicated_partition{topic="events",partition="1"} 1' in lines
    assert "gone" not in text


def test_label_values_are_escaped() -> None:
    family = exposition.Family("x", "help")
    family.add(1, consumergroup='a"b\\c\nd')
    assert r'x{consumergroup="a\"b\\c\nd"} 1' in exposition.render([family])
