"""One remediation in flight per target: a Lease that names the remediation which holds the target.

The holder is a FlinkRemediation, not a process: it does not expire, and a restarted controller still owns what it
owned. Whoever finds a holder that has ended or is gone may take over.
"""

from collections.abc import Awaitable, Callable

from remediator.adapters.kube import LEASES, AlreadyExists, Conflict, Kube
from remediator.api.names import TARGET_LABEL

IsAlive = Callable[[str], Awaitable[bool]]


class TargetLeases:
    """The Leases of all targets, in one namespace."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace

    async def acquire(self, target: str, holder: str, is_alive: IsAlive) -> str | None:
        """Take a target (by its hash) for a holder; returns None, or the name of the holder that has it."""
        name = f"target-{target}"
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "namespace": self._namespace, "labels": {TARGET_LABEL: target}},
            "spec": {"holderIdentity": holder},
        }
        try:
            await self._kube.create(LEASES, self._namespace, body)
            return None
        except AlreadyExists:
            lease = await self._kube.get(LEASES, self._namespace, name)
        if lease is None:
            return "a remediation that has just ended"
        current = str(lease["spec"].get("holderIdentity") or "")
        if current == holder:
            return None
        if current and await is_alive(current):
            return current
        lease["spec"]["holderIdentity"] = holder
        try:
            await self._kube.replace(LEASES, self._namespace, name, lease)
        except Conflict:
            return "another remediation"
        return None

    async def release(self, target: str, holder: str) -> None:
        """Give a target back; what another holds is left alone."""
        name = f"target-{target}"
        lease = await self._kube.get(LEASES, self._namespace, name)
        if lease is not None and lease["spec"].get("holderIdentity") == holder:
            await self._kube.delete(LEASES, self._namespace, name)
