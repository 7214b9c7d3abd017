"""The webhook: ``POST /alerts`` by Alertmanager, and the probes.

Alertmanager retries a 5xx answer only; whatever gets a 4xx is lost for good. So 2xx means that every alert of the
notification is recorded, any doubt is 503, and 4xx is for what no retry would mend.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from aiohttp import web
from pydantic import ValidationError

from remediator.adapters.kube import KubeError
from remediator.api.alertmanager import Webhook
from remediator.receiver.token import TokenFile
from remediator.services.ingest import Ingest, Receipt
from remediator.telemetry import metrics

log = logging.getLogger(__name__)

DEFAULT_MAX_BODY_BYTES = 1024 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(ingest: Ingest, token: TokenFile, max_body_bytes: int = DEFAULT_MAX_BODY_BYTES) -> web.Application:
    """Return the web application. ``max_body_bytes`` limits a request's body."""

    async def alerts(request: web.Request) -> web.Response:
        if not token.accepts(request.headers.get("Authorization")):
            return _error(401, "a bearer token is required, and this is not it", {"WWW-Authenticate": "Bearer"})
        body = await request.read()
        try:
            webhook = Webhook.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            return _error(400, f"not a version 4 webhook of Alertmanager: {place} {first['msg']}".replace("  ", " "))
        try:
            receipt = await ingest.ingest(webhook)
        except KubeError as error:
            log.error("notification not recorded", extra={"error": str(error)})
            return _error(503, "not everything could be recorded in the Kubernetes API; send it again")
        if webhook.truncated_alerts:
            log.warning("alerts were left out by max_alerts", extra={"truncated": webhook.truncated_alerts})
        _count(receipt)
        return web.json_response(asdict(receipt))

    async def healthy(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(_: web.Request) -> web.Response:
        try:
            await ingest.check()
        except KubeError as error:
            return _error(503, f"the Kubernetes API does not answer: {error}")
        return web.json_response({"status": "ok"})

    app = web.Application(client_max_size=max_body_bytes, middlewares=[_json_errors])
    app.router.add_post("/alerts", alerts)
    app.router.add_get("/healthz", healthy)
    app.router.add_get("/readyz", ready)
    return app


@web.middleware
async def _json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = _error(error.status, error.text or error.reason)
    except Exception:
        # Unknown trouble is doubt: Alertmanager shall try again.
        log.exception("webhook failed")
        response = _error(503, "the webhook failed; send it again")
    if request.path == "/alerts":
        metrics.WEBHOOK_REQUESTS.labels(str(response.status)).inc()
    return response


def _count(receipt: Receipt) -> None:
    metrics.count_watchdog(receipt.watchdog)
    for result in ("created", "existing", "resolved", "invalid"):
        metrics.ALERTS_RECEIVED.labels(result).inc(len(getattr(receipt, result)))
    metrics.ALERTS_RECEIVED.labels("unmatched").inc(receipt.unmatched)


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": message}, status=status, headers=headers)
