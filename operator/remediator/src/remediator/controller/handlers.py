"""kopf's handlers. The one daemon keeps a level-triggered loop running for each FlinkRemediation that is not at its
end; kopf keeps a finalizer on it only that long, and the status is ours alone."""

import asyncio
import logging
import socket
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import kopf

from remediator.adapters.flink_rest import FlinkRest
from remediator.adapters.kube import ApiServer, Conflict, KubeError
from remediator.adapters.prometheus import Prometheus
from remediator.adapters.target_leases import TargetLeases
from remediator.api.names import GROUP, VERSION
from remediator.config import ControllerConfig
from remediator.controller.housekeeping import Attendance, keep_house, keep_listing
from remediator.services.act import Actor
from remediator.services.consumer_groups import ConsumerGroupListing
from remediator.services.gather import Gatherer
from remediator.services.handback import HandBack
from remediator.services.reconcile import Reconciler
from remediator.services.recorder import Recorder
from remediator.services.resources import needs_work
from remediator.services.scale_back import ScaleBack
from remediator.services.sweep import Sweeper
from remediator.telemetry import metrics

log = logging.getLogger(__name__)

AFTER_END = timedelta(seconds=5)
AFTER_TROUBLE = timedelta(seconds=5)
AFTER_BUG = timedelta(seconds=30)
AFTER_CONFLICT = timedelta(seconds=0.2)
"""Often it is kopf's own finalizer that was written meanwhile."""


@kopf.on.login()
def login(memo: kopf.Memo, **kwargs: Any) -> kopf.ConnectionInfo | None:
    """Log in by our own choice; kopf's default goes through whichever client it finds installed."""
    config: ControllerConfig = memo.config
    if config.kubeconfig is not None:
        return kopf.login_with_kubeconfig(**kwargs)
    return kopf.login_with_service_account(**kwargs)


@kopf.on.startup()
async def startup(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    """Configure kopf and put the services together."""
    settings.persistence.finalizer = f"{GROUP}/in-flight"
    settings.posting.enabled = False  # the recorder writes the Events
    settings.scanning.disabled = True  # no rights on namespaces and definitions
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 30
    settings.networking.request_timeout = 20
    settings.networking.error_backoffs = (1, 1, 2, 3, *[5] * 10)  # kopf's own grow to 21 s: too long to be blind after
    config: ControllerConfig = memo.config
    kube: ApiServer = memo.kube
    memo.resources = stack = AsyncExitStack()
    http = await stack.enter_async_context(httpx.AsyncClient(timeout=5))

    def clock() -> datetime:
        return datetime.now(UTC)

    flink, prometheus = FlinkRest(http, config.flink_rest_url_template), Prometheus(config.prometheus_url)
    gatherer, recorder = Gatherer(kube, flink, prometheus, clock), Recorder(kube, socket.gethostname())
    leases = TargetLeases(kube, config.namespace)
    actor = Actor(kube, gatherer, leases, recorder, clock)
    memo.reconciler = Reconciler(kube, gatherer, actor, leases, recorder, clock)
    memo.attendance = Attendance(grace=config.sweep_period)
    scale_back = ScaleBack(gatherer, actor, recorder, clock)
    hand_back = HandBack(gatherer, actor, recorder, clock)
    sweeper = Sweeper(kube, scale_back, hand_back, recorder, config.namespace, clock)
    memo.housekeeping = asyncio.create_task(
        keep_house(sweeper, memo.attendance, memo.health, config.sweep_period, clock)
    )
    listing = ConsumerGroupListing(kube, config.target_namespaces, metrics.CONSUMER_GROUPS)
    memo.listing = asyncio.create_task(keep_listing(listing, config.sweep_period))


@kopf.on.cleanup()
async def cleanup(memo: kopf.Memo, **_: Any) -> None:
    """Close what startup opened."""
    memo.stop.set()  # kopf waits five seconds for whoever still looks at its flag, while nobody holds the Lease
    memo.housekeeping.cancel()
    memo.listing.cancel()
    await memo.resources.aclose()


def to_be_worked_on(meta: kopf.Meta, status: kopf.Status, **_: Any) -> bool:
    """Tell whether a FlinkRemediation still needs somebody, or does again."""
    return needs_work(meta, status)


# kopf stops a daemon when its own last write makes it superfluous, and when the process ends: first it asks, so that
# what follows from the write (Events, the target's Lease) is finished.
@kopf.daemon(
    GROUP, VERSION, "flinkremediations", when=to_be_worked_on, cancellation_backoff=10, cancellation_timeout=10
)
async def remediate(
    namespace: str | None, name: str | None, memo: kopf.Memo, stopped: kopf.DaemonStopped, **_: Any
) -> None:
    """Step a FlinkRemediation until nothing is left to do."""
    reconciler: Reconciler = memo.reconciler
    attendance: Attendance = memo.attendance
    assert namespace is not None
    assert name is not None
    with metrics.IN_FLIGHT.track_inprogress(), attendance.of(name):
        while not stopped:
            try:
                delay = await reconciler.step(namespace, name)
            except Conflict:
                delay = AFTER_CONFLICT
            except KubeError as error:
                log.warning("step not finished", extra={"remediation": name, "error": str(error)})
                delay = AFTER_TROUBLE
            except Exception:
                # One record that cannot be worked on is still attended to: it must not look like a silent watch,
                # for which the whole process is restarted.
                log.exception("step failed", extra={"remediation": name})
                delay = AFTER_BUG
            # kopf never starts a daemon again that ended by itself; its filter ends this one, and a person who wants
            # the remediation tried again brings it back.
            await stopped.wait((AFTER_END if delay is None else delay).total_seconds())
