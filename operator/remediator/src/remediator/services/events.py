"""Writes the Events that people read with ``kubectl describe``, a moment after what they tell of."""

import asyncio
import logging
from collections import deque
from datetime import UTC, datetime
from typing import Final

from remediator.adapters.kube import EVENTS, Kube, KubeError, Resource
from remediator.api.names import API_VERSION, FIELD_MANAGER
from remediator.api.reasons import Phase
from remediator.api.remediation import RemediationStatus
from remediator.services.resources import Remediation

log = logging.getLogger(__name__)

LATER: Final = 0.5
"""Seconds that a remedy, which is on its way to its patch, has the API server for itself."""
_KEPT: Final = 5000
"""As many wait at most; then the oldest are given up."""
_WARNINGS = (Phase.INEFFECTIVE, Phase.FAILED, Phase.REFUSED, Phase.OVERRIDDEN)


class Events:
    """A queue of Events. They follow from the status: some may be late or missing without harm."""

    def __init__(self, kube: Kube, instance: str) -> None:
        self._kube = kube
        self._instance = instance
        self._waiting: deque[tuple[str, Resource]] = deque(maxlen=_KEPT)
        self._added = asyncio.Event()
        self._writing = asyncio.Lock()

    def add(self, remediation: Remediation, status: RemediationStatus) -> None:
        """Tell of a remediation's new status at the remediation and at its target."""
        target = remediation.spec.target
        regarding = [_reference(API_VERSION, "FlinkRemediation", remediation.resource["metadata"])]
        if target.uid:
            metadata = {"namespace": target.namespace, "name": target.name, "uid": target.uid}
            regarding.append(_reference("flink.apache.org/v1beta1", "FlinkDeployment", metadata))
        for reference in regarding:
            self._waiting.append((remediation.name, self._event(reference, status, remediation.name)))
        self._added.set()

    async def run(self) -> None:
        """Write what is added, for ever."""
        while True:
            await self._added.wait()
            await asyncio.sleep(LATER)
            self._added.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write all that were added so far."""
        async with self._writing:
            while self._waiting:
                name, event = self._waiting.popleft()
                try:
                    await self._kube.create(EVENTS, event["metadata"]["namespace"], event)
                except KubeError as error:
                    log.warning("event not written", extra={"remediation": name, "error": str(error)})

    def _event(self, reference: Resource, status: RemediationStatus, name: str) -> Resource:
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"generateName": f"{name}-", "namespace": reference["namespace"]},
            "eventTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "type": "Warning" if status.phase in _WARNINGS else "Normal",
            "reason": status.reason,
            "action": str(status.phase),
            "note": f"{name}: {status.message}"[:1024],
            "regarding": reference,
            "reportingController": FIELD_MANAGER,
            "reportingInstance": self._instance,
        }


def _reference(api_version: str, kind: str, metadata: Resource) -> Resource:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
