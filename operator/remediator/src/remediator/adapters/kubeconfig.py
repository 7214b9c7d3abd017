"""Connects a command that a person runs, as kubectl does: by the usual kubeconfigs, or in a pod by its account."""

import logging
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kubernetes.aio import client, config

from remediator.adapters.api_server import ApiServer
from remediator.adapters.kube import KubeError

# It logs that there is no kubeconfig, which is how it is in a pod.
logging.getLogger("kubernetes.aio.config.kube_config").setLevel(logging.ERROR)


async def configuration(kubeconfig: Path | None) -> client.Configuration:
    """Read how to connect; without a kubeconfig the usual ones count, or the pod's account. Raises KubeError."""
    found = client.Configuration()
    given = _given(kubeconfig)
    try:
        with warnings.catch_warnings(action="ignore"):  # as above
            await config.load_config(client_configuration=found, **given)  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        raise KubeError(f"no cluster to connect to (--kubeconfig and KUBECONFIG name a file): {error}") from error
    return found


def current_namespace(kubeconfig: Path | None) -> str:
    """Return the namespace of the current context, or "default". Raises KubeError for a file that is not there."""
    try:
        _, context = config.list_kube_config_contexts(**_given(kubeconfig))  # type: ignore[no-untyped-call]
    except config.ConfigException:
        return "default"
    return str(context["context"].get("namespace") or "default")


@asynccontextmanager
async def connect(kubeconfig: Path | None) -> AsyncIterator[ApiServer]:
    """Connect; raises KubeError where there is nothing to connect to."""
    async with client.ApiClient(await configuration(kubeconfig)) as api:
        yield ApiServer(api)


def _given(kubeconfig: Path | None) -> dict[str, str]:
    if kubeconfig is None:
        return {}
    if not kubeconfig.is_file():
        raise KubeError(f"{kubeconfig}: no such file")
    return {"config_file": str(kubeconfig)}
