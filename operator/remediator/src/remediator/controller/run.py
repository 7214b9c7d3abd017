"""Runs the controller until it is told to stop."""

import os
import socket

import kopf

from remediator.config import ControllerConfig
from remediator.controller import handlers  # noqa: F401  (registers them)
from remediator.telemetry.server import Health, serve


def run(config: ControllerConfig) -> None:
    """Run kopf's operator in the foreground; it stops on SIGTERM and SIGINT."""
    if config.kubeconfig is not None:
        os.environ["KUBECONFIG"] = str(config.kubeconfig)  # where kopf's login looks
    health = Health()
    serve(config.metrics_port, health)
    memo = kopf.Memo(config=config, health=health)
    kopf.run(
        standalone=True,
        namespaces=[config.namespace],
        memo=memo,
        # kopf would ask for the user's name, which a container's user may not have.
        identity=socket.gethostname(),  # type: ignore[arg-type]
    )
