"""The switch that stops everything: an annotation of the controllers' Lease.

Neither Helm nor GitOps writes that Lease, so nothing takes the stop back that does not mean to; and every controller
reads it all the time, so it costs no right, no watch and no object more.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from remediator.adapters.kube import LEASES, Kube, Resource
from remediator.api.names import CONTROLLER_LEASE, STOP_ANNOTATION
from remediator.core.pauses import in_force, stops

log = logging.getLogger(__name__)


class StopSwitch:
    """What the Lease of a namespace said last."""

    def __init__(self, kube: Kube, namespace: str, clock: Callable[[], datetime]) -> None:
        self._kube = kube
        self._namespace = namespace
        self._clock = clock
        self._requests: tuple[str, ...] = ()

    @property
    def requests(self) -> tuple[str, ...]:
        """The requests as they were last seen, those included whose time is over."""
        return self._requests

    def on(self) -> bool:
        """Whether everything is stopped, as far as was seen."""
        return bool(in_force(self._requests, self._clock()))

    def take(self, lease: Resource | None) -> tuple[str, ...]:
        """Take the Lease as somebody has just read it; returns its requests."""
        requests = requests_of(lease)
        if requests != self._requests:
            log.info("stop changed", extra={"requests": list(requests)})
        self._requests = requests
        return requests

    async def read(self) -> tuple[str, ...]:
        """Return the requests as the API server has them at this moment. Raises KubeError."""
        return self.take(await self._kube.get(LEASES, self._namespace, CONTROLLER_LEASE))


def requests_of(lease: Resource | None) -> tuple[str, ...]:
    """Return the requests that stand in a Lease; none without one."""
    return stops(((lease or {}).get("metadata", {}).get("annotations") or {}).get(STOP_ANNOTATION))
