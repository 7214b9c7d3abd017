"""Makes up for notifications that never arrived: compares what Alertmanager knows with what is recorded."""

import logging
from datetime import timedelta

import httpx

from remediator.adapters.alertmanager import Alertmanager
from remediator.adapters.kube import KubeError
from remediator.api.alertmanager import Webhook
from remediator.services.gather import Clock
from remediator.services.ingest import Ingest
from remediator.telemetry import metrics

log = logging.getLogger(__name__)

SETTLED = timedelta(minutes=5)
"""One that was started later may not have heard of all alerts again (Prometheus sends them every minute)."""


class Resync:
    """Asks Alertmanager; harmless to run anywhere at any time, because ingesting is idempotent."""

    def __init__(self, alertmanager: Alertmanager, ingest: Ingest, clock: Clock) -> None:
        self._alertmanager = alertmanager
        self._ingest = ingest
        self._clock = clock

    async def run(self) -> None:
        """Ingest the active alerts; mark what is recorded as firing and Alertmanager no longer knows as resolved."""
        try:
            state = await self._alertmanager.state()
            # Alertmanager's API names no groups.
            webhook = Webhook(version="4", group_key="", alerts=state.active)
            receipt = await self._ingest.ingest(webhook)
            metrics.count_watchdog(receipt.watchdog)
            if self._clock() - state.started >= SETTLED:
                receipt.resolved += await self._ingest.resolve_all_but(state.fingerprints)
        except (httpx.HTTPError, KubeError, ValueError, KeyError, TypeError) as error:
            log.warning("resync failed", extra={"error": repr(error)})
            return
        metrics.RESYNC_TIMESTAMP.set_to_current_time()
        found = [*receipt.created, *receipt.resolved]
        metrics.RESYNC_FINDINGS.inc(len(found))
        if found:
            log.warning("resync found what no notification had brought", extra={"remediations": found})
