"""Leader election by a Lease, so that one controller acts at a time.

As client-go's leaderelection does, nobody's clock is compared with another's: a candidate watches for how long, by its
own monotonic clock, the holder has not renewed. The leader stops acting ``RENEW_DEADLINE`` after its last renewal, well
before a candidate may take over, which it does ``DURATION`` after it at the latest.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from remediator.adapters.kube import LEASES, AlreadyExists, Conflict, Kube, KubeError, Resource
from remediator.telemetry import metrics

log = logging.getLogger(__name__)

DURATION = 15.0
"""Seconds after which a holder that does not renew has lost the Lease."""
RENEW_DEADLINE = 10.0
"""Seconds after which a leader that could not renew stops acting."""
RETRY = 2.0
"""Seconds between two attempts."""
_TRIES = 3
"""How often an attempt looks again at once, where somebody else has changed the Lease."""


class LeaderLease:
    """One candidate for the Lease ``name``. ``seen`` is told of the Lease each time that it is read."""

    def __init__(
        self, kube: Kube, namespace: str, name: str, identity: str, seen: Callable[[Resource | None], object]
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._tell = seen
        self._renewed: float | None = None
        self._seen: tuple[str, str] | None = None
        self._free_at = 0.0

    @property
    def held(self) -> bool:
        """Whether this candidate leads, beyond doubt."""
        return self._renewed is not None and time.monotonic() - self._renewed < RENEW_DEADLINE

    async def acquire(self, stop: asyncio.Event) -> bool:
        """Wait for the Lease; returns False if told to stop before it was there."""
        metrics.LEASE_HELD.set(0)
        while not stop.is_set():
            if await self._try():
                log.info("lease acquired", extra={"lease": self._name, "identity": self._identity})
                metrics.LEASE_HELD.set(1)
                return True
            # Not a whole pause where the holder's time ends sooner.
            left = self._free_at - time.monotonic()
            await _pause(stop, left if 0 < left < RETRY else RETRY)
        return False

    async def keep(self, stop: asyncio.Event) -> None:
        """Renew until told to stop; if the Lease is lost, tell the others to stop."""
        while not stop.is_set():
            await _pause(stop, RETRY)
            taken = not stop.is_set() and not await self._try() and self._renewed is None
            if taken or not self.held:
                log.error("lease lost", extra={"lease": self._name, "identity": self._identity})
                self._renewed = None
                metrics.LEASE_HELD.set(0)
                stop.set()

    async def release(self) -> None:
        """Give the Lease back, so that the next candidate need not wait."""
        if not self.held:
            return
        self._renewed = None
        metrics.LEASE_HELD.set(0)
        try:
            lease = await self._kube.get(LEASES, self._namespace, self._name)
            if lease is not None and lease["spec"].get("holderIdentity") == self._identity:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._kube.replace(LEASES, self._namespace, self._name, lease)
        except KubeError as error:
            log.warning("lease not released; it expires", extra={"error": str(error)})

    async def _try(self) -> bool:
        began = time.monotonic()
        try:
            won = await self._claim()
        except KubeError as error:
            log.warning("lease not reached", extra={"error": str(error)})
            return False
        # What counts is when the renewal was sent: the answer may have taken its time.
        self._renewed = began if won else None
        return won

    async def _claim(self) -> bool:
        for _ in range(_TRIES):
            try:
                return await self._claim_once()
            except Conflict:
                continue  # somebody has annotated it, or has taken it: what is there now tells
        return False

    async def _claim_once(self) -> bool:
        lease = await self._kube.get(LEASES, self._namespace, self._name)
        self._tell(lease)
        if lease is None:
            body = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._name, "namespace": self._namespace},
                "spec": self._spec({}),
            }
            try:
                await self._kube.create(LEASES, self._namespace, body)
            except AlreadyExists:
                return False
            return True
        if not self._may_take(lease):
            return False
        lease["spec"] = self._spec(lease["spec"])
        await self._kube.replace(LEASES, self._namespace, self._name, lease)
        return True

    def _may_take(self, lease: Resource) -> bool:
        spec = lease["spec"]
        holder = spec.get("holderIdentity") or ""
        if holder in ("", self._identity):
            return True
        seen = (holder, str(spec.get("renewTime")))
        if seen != self._seen:
            # A renewal that was not there at the last look may be almost as old as that.
            patience = float(spec.get("leaseDurationSeconds") or DURATION) - RETRY
            self._seen, self._free_at = seen, time.monotonic() + patience
        return time.monotonic() >= self._free_at

    def _spec(self, before: dict[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        mine = before.get("holderIdentity") == self._identity
        transitions = int(before.get("leaseTransitions") or 0)
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(DURATION),
            "acquireTime": before["acquireTime"] if mine else now,
            "renewTime": now,
            "leaseTransitions": transitions if mine or not before else transitions + 1,
        }


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
