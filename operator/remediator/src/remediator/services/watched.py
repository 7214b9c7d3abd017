"""What a receiver watches, and whether it can be relied on."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from remediator.adapters.kube import FLINK_DEPLOYMENTS, POLICIES, REMEDIATIONS, Kube
from remediator.adapters.reflector import Reflector
from remediator.services.index import IncidentIndex, PolicyIndex, TargetIndex


class Watched:
    """The indexes of policies, FlinkDeployments and incidents, and the watches that feed them."""

    def __init__(self, kube: Kube, namespace: str, target_namespaces: Collection[str]) -> None:
        self.policies, self.targets, self.incidents = PolicyIndex(), TargetIndex(), IncidentIndex()
        self._policies = Reflector(kube, POLICIES, namespace, self.policies)
        self._incidents = Reflector(kube, REMEDIATIONS, namespace, self.incidents, metadata_only=True)
        self._targets = {
            name: Reflector(kube, FLINK_DEPLOYMENTS, name, self.targets, metadata_only=True)
            for name in target_namespaces
        }

    def policies_fresh(self) -> bool:
        """Whether the policies are those that the API server has."""
        return self._policies.fresh

    def targets_fresh(self, namespace: str) -> bool:
        """Whether the FlinkDeployments of a namespace are those that the API server has."""
        return self._targets[namespace].fresh

    def incidents_fresh(self) -> bool:
        """Whether the incidents are those that the API server has."""
        return self._incidents.fresh

    @property
    def reflectors(self) -> list[Reflector]:
        """The watches."""
        return [self._policies, self._incidents, *self._targets.values()]

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Keep all of them current as long as the block lasts."""
        tasks = [asyncio.create_task(reflector.run()) for reflector in self.reflectors]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
