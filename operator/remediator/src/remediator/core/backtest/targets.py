"""The FlinkDeployments of the simulated world, and which of them an alert names."""

from collections import defaultdict
from collections.abc import Iterable

from remediator.core.backtest.world import Target
from remediator.core.matching import ByConsumerGroup, ByName


class Targets:
    """FlinkDeployments by their names and consumer groups."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self._by_name: dict[tuple[str, str], Target] = {}
        self._by_group: defaultdict[tuple[str, str], list[Target]] = defaultdict(list)
        for target in targets:
            self._by_name[target.ref.namespace, target.ref.name] = target
            for group in target.deployment.consumer_groups:
                self._by_group[target.ref.namespace, group].append(target)

    def named(self, query: ByName | ByConsumerGroup) -> list[Target]:
        """Return those that are asked for; none for an empty name or group."""
        if isinstance(query, ByConsumerGroup):
            return self._by_group.get((query.namespace, query.group), []) if query.group else []
        one = self._by_name.get((query.namespace, query.name))
        return [one] if one is not None else []
