"""Connects a command that a person runs, as kubectl does: by the usual kubeconfigs, or in a pod by its account."""

import logging
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kubernetes.aio import client, config

from remediator.adapters.api_server import ApiServer
from remediator.adapters.kube import KubeError
from remediator.api.names import FIELD_MANAGER

# It logs that there is no kubeconfig, which is how it is in a pod.
logging.getLogger("kubernetes.aio.config.kube_config").setLevel(logging.ERROR)


async def configuration(kubeconfig: Path | None, context: str | None = None) -> client.Configuration:
    """Read how to connect; without a context the current one counts, without a kubeconfig the usual ones, or the pod's
    account. Raises KubeError."""
    found = client.Configuration()
    given = {**_given(kubeconfig), **({"context": context} if context else {})}
    try:
        with warnings.catch_warnings(action="ignore"):  # as above
            await config.load_config(client_configuration=found, **given)  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        raise KubeError(f"no cluster to connect to (--kubeconfig and KUBECONFIG name a file): {error}") from error
    return found


def current_namespace(kubeconfig: Path | None, context: str | None = None) -> str:
    """Return the namespace of a context, the current one by default, or "default". Raises KubeError for a file that is
    not there."""
    try:
        contexts, current = config.list_kube_config_contexts(**_given(kubeconfig))  # type: ignore[no-untyped-call]
    except config.ConfigException:
        return "default"
    found = next((entry for entry in contexts if entry["name"] == context), None) if context else current
    return str(((found or {}).get("context") or {}).get("namespace") or "default")


@asynccontextmanager
async def connect(
    kubeconfig: Path | None, context: str | None = None, manager: str = FIELD_MANAGER
) -> AsyncIterator[ApiServer]:
    """Connect as a field manager; raises KubeError where there is nothing to connect to."""
    async with client.ApiClient(await configuration(kubeconfig, context)) as api:
        yield ApiServer(api, manager=manager)


def _given(kubeconfig: Path | None) -> dict[str, str]:
    if kubeconfig is None:
        return {}
    if not kubeconfig.is_file():
        raise KubeError(f"{kubeconfig}: no such file")
    return {"config_file": str(kubeconfig)}
