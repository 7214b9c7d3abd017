"""How many partitions the topics of consumer groups have, asked for beside the decisions that it is a hint for."""

from collections.abc import Collection

from remediator.adapters.prometheus import Prometheus

# Grouped first: two replicas of the exporter say the same of each partition.
QUERY = (
    "max by (consumergroup) (count by (namespace, consumergroup, topic) "
    "(group by (namespace, consumergroup, topic, partition) (kafka_consumergroup_lag)))"
)


class Partitions:
    """Remembers the last answer of Prometheus."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self._most: dict[str, int] = {}

    async def refresh(self) -> None:
        """Ask once; without an answer, what was known stays."""
        series = await self._prometheus.vector(QUERY)
        if series is not None:
            self._most = {labels.get("consumergroup", ""): int(value) for labels, value in series}

    def most(self, groups: Collection[str]) -> int | None:
        """Return the most partitions of a topic that consumer groups read; None where Prometheus does not know."""
        return max((self._most[group] for group in groups if group in self._most), default=None)
