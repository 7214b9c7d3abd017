"""The group *Kafka* of the pipeline's dashboard: who is behind, and what flows."""

from dashboards.expressions import GROUP, LAG, NAMESPACE, PRODUCED, TAKEN_IN
from dashboards.parts import Panel, Query, graph


def panels() -> list[Panel]:
    """Return the panels."""
    return [
        graph(
            "Backlog by consumer group",
            "Messages behind, without those that were taken in and wait for the next checkpoint to be committed. "
            "Normally near 0; a line that rises means more is produced than taken in.",
            "short",
            Query(LAG, "{{namespace}}/{{consumergroup}}"),
            alert="HighKafkaLag",
        ),
        graph(
            "Age of the oldest message",
            "How long ago the oldest message came that the group has not committed, in steps of 30 s. Comparable where "
            "topics are busy to a different degree; a sawtooth as high as commits are apart.",
            "s",
            Query(f"streaming:kafka_consumergroup_lag:seconds{{{GROUP}}}", "{{namespace}}/{{consumergroup}}"),
            alert="KafkaLagTimeHigh",
        ),
        graph(
            "Lag as the exporter reports it",
            "End offset minus committed offset. Flink commits with its checkpoints, so a healthy job shows a sawtooth "
            "as high as what arrives between two of them.",
            "short",
            Query(
                "sum by (cluster, namespace, strimzi_io_cluster, consumergroup, topic) "
                f"(clamp_min(streaming:kafka_consumergroup_lag:partition{{{GROUP}}}, 0))",
                "{{consumergroup}}: {{topic}}",
            ),
            runbook="KafkaOffsetsBeyondEnd",
        ),
        graph(
            "Produced and taken in",
            "What arrives in the topics that the groups read, and what the groups commit, per second. Between the two "
            "lines the backlog grows or shrinks.",
            "cps",
            Query(
                f"sum by (cluster, namespace, strimzi_io_cluster, topic) ({PRODUCED}) and "
                "group by (cluster, namespace, strimzi_io_cluster, topic) "
                f"(kafka_consumergroup_current_offset{{{GROUP}}})",
                "{{topic}} produced",
            ),
            Query(
                f"sum by (cluster, namespace, strimzi_io_cluster, consumergroup) ({TAKEN_IN})",
                "{{consumergroup}} taken in",
            ),
            runbook="KafkaConsumerStalled",
            bottom=None,
        ),
        graph(
            "Messages by topic",
            "What is written to each topic, per second.",
            "cps",
            Query(f"sum by (cluster, namespace, strimzi_io_cluster, topic) ({PRODUCED})", "{{namespace}}/{{topic}}"),
        ),
        graph(
            "Partitions that are furthest behind",
            "The ten partitions with the most messages waiting. One far above the others has a hot key, or a subtask "
            "that hangs.",
            "short",
            Query(
                f"topk(10, clamp_min(streaming:kafka_consumergroup_lag:partition{{{GROUP}}}, 0))",
                "{{consumergroup}}: {{topic}}/{{partition}}",
            ),
        ),
        graph(
            "Under-replicated partitions",
            "Partitions of which a replica is missing or does not keep up. A broker is down or overloaded; with one "
            "more lost, data may be.",
            "short",
            Query(
                "sum by (cluster, namespace, strimzi_io_cluster, topic) "
                "(max by (cluster, namespace, strimzi_io_cluster, topic, partition) "
                f"(kafka_topic_partition_under_replicated_partition{{{NAMESPACE}}}))",
                "{{namespace}}/{{topic}}",
            ),
            runbook="KafkaPartitionsUnderReplicated",
        ),
        graph(
            "Partitions that brokers complain about",
            "Without a leader, with too few replicas to be written to, or lacking one: as the brokers themselves say. "
            "Empty where they export no metrics.",
            "short",
            *(
                Query(f"{how} by (cluster, namespace, strimzi_io_cluster) ({metric}{{{NAMESPACE}}})", legend)
                for how, metric, legend in (
                    ("max", "kafka_controller_kafkacontroller_offlinepartitionscount", "offline"),
                    ("sum", "kafka_server_replicamanager_underminisrpartitioncount", "under min.insync.replicas"),
                    ("sum", "kafka_server_replicamanager_underreplicatedpartitions", "under-replicated"),
                )
            ),
            runbook=(
                "KafkaPartitionsOffline",
                "KafkaPartitionsUnderMinIsr",
                "KafkaBrokerPartitionsUnderReplicated",
            ),
        ),
        graph(
            "Disks of the brokers",
            "How full the volumes of Strimzi's brokers are, by the kubelet.",
            "percent",
            Query(
                "100 * max by (cluster, namespace, persistentvolumeclaim) "
                f'(kubelet_volume_stats_used_bytes{{persistentvolumeclaim=~"data-.+", {NAMESPACE}}} '
                f'/ kubelet_volume_stats_capacity_bytes{{persistentvolumeclaim=~"data-.+", {NAMESPACE}}})',
                "{{persistentvolumeclaim}}",
            ),
            alert="KafkaDiskFilling",
            top=100,
        ),
    ]
