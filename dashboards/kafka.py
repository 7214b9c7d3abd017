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
            "Lag as the exporter reports it",
            "End offset minus committed offset. Flink commits with its checkpoints, so a healthy job shows a sawtooth "
            "as high as what arrives between two of them.",
            "short",
            Query(
                "sum by (namespace, consumergroup, topic) "
                f"(clamp_min(streaming:kafka_consumergroup_lag:partition{{{GROUP}}}, 0))",
                "{{consumergroup}}: {{topic}}",
            ),
        ),
        graph(
            "Produced and taken in",
            "What arrives in the topics that the groups read, and what the groups commit, per second. Between the two "
            "lines the backlog grows or shrinks.",
            "cps",
            Query(
                f"sum by (namespace, topic) ({PRODUCED}) and on (namespace, topic) "
                f"group by (namespace, topic) (kafka_consumergroup_current_offset{{{GROUP}}})",
                "{{topic}} produced",
            ),
            Query(f"sum by (namespace, consumergroup) ({TAKEN_IN})", "{{consumergroup}} taken in"),
            runbook="KafkaConsumerStalled",
            bottom=None,
        ),
        graph(
            "Messages by topic",
            "What is written to each topic, per second.",
            "cps",
            Query(f"sum by (namespace, topic) ({PRODUCED})", "{{namespace}}/{{topic}}"),
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
                "sum by (namespace, topic) (max by (namespace, topic, partition) "
                f"(kafka_topic_partition_under_replicated_partition{{{NAMESPACE}}}))",
                "{{namespace}}/{{topic}}",
            ),
            runbook="KafkaPartitionsUnderReplicated",
        ),
    ]
