"""Makes up for notifications that never arrived: compares what Alertmanager knows with what is recorded."""

import logging
from collections.abc import Awaitable
from datetime import datetime, timedelta

import httpx

from remediator.adapters.alertmanager import Alertmanager, State
from remediator.adapters.kube import Conflict, KubeError, NotFound, Resource
from remediator.api.alertmanager import Webhook
from remediator.api.reasons import Phase
from remediator.services.gather import Clock
from remediator.services.incidents import Incidents
from remediator.services.ingest import Ingest
from remediator.services.resources import needs_work
from remediator.telemetry import metrics

log = logging.getLogger(__name__)

SETTLED = timedelta(minutes=5)
"""One that was started later may not have heard of all alerts again (Prometheus sends them every minute)."""


class Resync:
    """Asks Alertmanager; harmless to run anywhere at any time, because ingesting is idempotent.

    What is recorded as firing is marked as resolved when no replica of Alertmanager knows its alert, twice in a row.
    The records are read before Alertmanager is asked, so that an alert that fires is known there.
    """

    def __init__(self, alertmanager: Alertmanager, ingest: Ingest, incidents: Incidents, clock: Clock) -> None:
        self._alertmanager = alertmanager
        self._ingest = ingest
        self._incidents = incidents
        self._clock = clock
        self._missing_since: dict[str, datetime] = {}

    async def run(self) -> None:
        """Compare once; what goes wrong is logged, and made up for by the next comparison."""
        try:
            records = await self._incidents.unresolved()
            state = await self._alertmanager.state()
            # Alertmanager's API names no group as a notification does.
            receipt = await self._ingest.ingest(Webhook(version="4", group_key="", alerts=state.active))
            metrics.count_watchdog(receipt.watchdog)
            resolved = await self._resolve_missing(records, state)
            await self._note_silences(records, state)
        except (httpx.HTTPError, KubeError, ValueError, KeyError, TypeError) as error:
            log.warning("resync failed", extra={"error": repr(error)})
            return
        metrics.RESYNC_TIMESTAMP.set_to_current_time()
        found = [*receipt.created, *receipt.resolved, *resolved]
        metrics.RESYNC_FINDINGS.inc(len(found))
        if found:
            log.warning("resync found what no notification had brought", extra={"remediations": found})

    async def _resolve_missing(self, records: list[Resource], state: State) -> list[str]:
        now, before = self._clock(), self._missing_since
        self._missing_since = {}
        if not state.complete:
            log.warning("not every replica of Alertmanager was asked; what is missing is not marked as resolved")
        if not state.complete or now - state.started < SETTLED:
            return []
        marked = []
        for record in records:
            uid = record["metadata"]["uid"]
            if _fingerprint(record) in state.fingerprints or _in_flight(record):
                continue
            self._missing_since[uid] = before.get(uid, now)
            if uid in before and await self._changed(self._incidents.resolve(record, before[uid])):
                marked.append(record["metadata"]["name"])
        return marked

    async def _note_silences(self, records: list[Resource], state: State) -> None:
        for record in records:
            known = _fingerprint(record) in state.fingerprints
            if known and _waits(record):
                await self._changed(self._incidents.silence(record, state.silenced.get(_fingerprint(record), "")))

    async def _changed(self, change: Awaitable[None]) -> bool:
        try:
            await change
        except (Conflict, NotFound):
            return False  # the record is another since it was read; the next comparison sees how
        return True


def _fingerprint(record: Resource) -> str:
    return str(record["spec"]["alert"]["fingerprint"])


def _waits(record: Resource) -> bool:
    return needs_work(record["metadata"], record.get("status") or {}) and not _in_flight(record)


def _in_flight(record: Resource) -> bool:
    return (record.get("status") or {}).get("phase") in (Phase.EXECUTING, Phase.VERIFYING)
