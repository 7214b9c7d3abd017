"""kopf's handlers. kopf brings the FlinkRemediations that have not ended; the work queue works on them."""

from typing import Any

import kopf

from remediator.adapters.kube import Resource
from remediator.api.names import ENDED_LABEL, GROUP, VERSION
from remediator.config import ControllerConfig
from remediator.controller.factory import Controller, controlling

PLURAL = "flinkremediations"


@kopf.on.login()
def login(memo: kopf.Memo, **kwargs: Any) -> kopf.ConnectionInfo | None:
    """Log in by our own choice; kopf's default goes through whichever client it finds installed."""
    config: ControllerConfig = memo.config
    if config.kubeconfig is not None:
        return kopf.login_with_kubeconfig(**kwargs)
    return kopf.login_with_service_account(**kwargs)


@kopf.on.startup()
async def startup(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    """Configure kopf and start the services."""
    settings.posting.enabled = False  # the recorder writes the Events
    settings.scanning.disabled = True  # no rights on namespaces and definitions
    settings.watching.label_selectors[GROUP, PLURAL] = f"!{ENDED_LABEL}"
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 30
    settings.networking.request_timeout = 20
    settings.networking.error_backoffs = (1, 1, 2, 3, *[5] * 10)  # kopf's own grow to 21 s: too long to be blind after
    memo.services = controlling(memo.config, memo.kube, memo.switch, memo.health)
    memo.controller = await memo.services.__aenter__()


@kopf.on.cleanup()
async def cleanup(memo: kopf.Memo, **_: Any) -> None:
    """Stop the services."""
    memo.stop.set()  # kopf waits five seconds for whoever still looks at its flag, while nobody holds the Lease
    await memo.services.__aexit__(None, None, None)


@kopf.on.event(GROUP, VERSION, PLURAL)
async def changed(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """Let what has changed be worked on."""
    controller: Controller = memo.controller
    resource: Resource = {**event["object"]}
    name = str(resource["metadata"]["name"])
    if event["type"] == "DELETED":
        # Deleted, or only out of this watch because it has ended: what is read next tells.
        controller.records.invalidate(name)
        controller.queue.add(name)
    elif controller.records.take(resource):
        controller.queue.add(name)
