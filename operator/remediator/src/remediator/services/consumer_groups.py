"""Exports which FlinkDeployments read with which consumer groups, as their owners' annotations say."""

from collections.abc import Collection

from remediator.adapters.kube import FLINK_DEPLOYMENTS, Kube, KubeError
from remediator.core.flinkdeployment import consumer_groups
from remediator.telemetry.metrics import ConsumerGroups


class ConsumerGroupListing:
    """Keeps ``exported`` as the FlinkDeployments of ``namespaces`` are."""

    def __init__(self, kube: Kube, namespaces: Collection[str], exported: ConsumerGroups) -> None:
        self._kube = kube
        self._namespaces = namespaces
        self._exported = exported

    async def refresh(self) -> None:
        """List them once. A namespace that cannot be listed keeps what is known of it; then KubeError is raised."""
        failures: list[KubeError] = []
        for namespace in self._namespaces:
            try:
                resources = await self._kube.list_all(FLINK_DEPLOYMENTS, namespace)
            except KubeError as error:
                failures.append(error)
                continue
            # Only their metadata: a FlinkDeployment whose spec cannot be read still has its consumer groups.
            self._exported.replace(
                namespace,
                (
                    (group, resource["metadata"]["name"])
                    for resource in resources
                    for group in consumer_groups(resource["metadata"].get("annotations") or {})
                ),
            )
        if failures:
            raise failures[0]
