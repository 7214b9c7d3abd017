"""From offsets to kafka_exporter's metric families, in Prometheus' text format. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

Partition = tuple[str, int]


@dataclass(frozen=True)
class Snapshot:
    """What one scrape saw of the cluster."""

    brokers: int
    partitions: dict[str, int]
    replicas: dict[Partition, tuple[int, int]]
    """Replicas of a partition that are in sync, and all of them."""
    oldest: dict[Partition, int]
    newest: dict[Partition, int]
    committed: dict[str, dict[Partition, int]]
    members: dict[str, int]


@dataclass
class Family:
    name: str
    help: str
    samples: list[tuple[dict[str, str], int]] = field(default_factory=list)

    def add(self, value: int, **labels: object) -> None:
        self.samples.append(({name: str(text) for name, text in labels.items()}, value))


def families(seen: Snapshot) -> list[Family]:
    brokers = Family("kafka_brokers", "Number of Brokers in the Kafka Cluster.")
    brokers.add(seen.brokers)
    partitions = Family("kafka_topic_partitions", "Number of partitions for this Topic")
    for topic, count in sorted(seen.partitions.items()):
        partitions.add(count, topic=topic)
    newest = Family("kafka_topic_partition_current_offset", "Current Offset of a Broker at Topic/Partition")
    for (topic, number), offset in sorted(seen.newest.items()):
        newest.add(offset, topic=topic, partition=number)
    oldest = Family("kafka_topic_partition_oldest_offset", "Oldest Offset of a Broker at Topic/Partition")
    for (topic, number), offset in sorted(seen.oldest.items()):
        oldest.add(offset, topic=topic, partition=number)
    in_sync = Family("kafka_topic_partition_in_sync_replica", "Number of In-Sync Replicas for this Topic/Partition")
    under = Family("kafka_topic_partition_under_replicated_partition", "1 if Topic/Partition is under Replicated")
    for (topic, number), (good, wanted) in sorted(seen.replicas.items()):
        in_sync.add(good, topic=topic, partition=number)
        under.add(int(good < wanted), topic=topic, partition=number)
    members = Family("kafka_consumergroup_members", "Amount of members in a consumer group")
    for group, count in sorted(seen.members.items()):
        members.add(count, consumergroup=group)
    return [brokers, partitions, newest, oldest, in_sync, under, members, *_groups(seen)]


def _groups(seen: Snapshot) -> list[Family]:
    offset = Family("kafka_consumergroup_current_offset", "Current Offset of a ConsumerGroup at Topic/Partition")
    lag = Family("kafka_consumergroup_lag", "Current Approximate Lag of a ConsumerGroup at Topic/Partition")
    offsets = Family(
        "kafka_consumergroup_current_offset_sum", "Current Offset of a ConsumerGroup at Topic for all partitions"
    )
    lags = Family(
        "kafka_consumergroup_lag_sum", "Current Approximate Lag of a ConsumerGroup at Topic for all partitions"
    )
    for group, committed in sorted(seen.committed.items()):
        totals: dict[str, tuple[int, int]] = {}
        for (topic, number), position in sorted(committed.items()):
            end = seen.newest.get((topic, number))
            if end is None:
                continue
            behind = max(0, end - position)
            offset.add(position, consumergroup=group, topic=topic, partition=number)
            lag.add(behind, consumergroup=group, topic=topic, partition=number)
            before = totals.get(topic, (0, 0))
            totals[topic] = (before[0] + position, before[1] + behind)
        for topic, (position, behind) in totals.items():
            offsets.add(position, consumergroup=group, topic=topic)
            lags.add(behind, consumergroup=group, topic=topic)
    return [offset, lag, offsets, lags]


def render(found: list[Family]) -> str:
    return "".join(line for family in found if family.samples for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help}\n"
    yield f"# TYPE {family.name} gauge\n"
    for labels, value in family.samples:
        text = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
        yield f"{family.name}{{{text}}} {value}\n" if text else f"{family.name} {value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
