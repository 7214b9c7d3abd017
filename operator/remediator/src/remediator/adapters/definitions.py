"""Applies CustomResourceDefinitions by server-side apply, for who does not install the chart."""

from collections.abc import Sequence
from pathlib import Path

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

from remediator.adapters.kube import KubeError, Resource
from remediator.adapters.kubeconfig import configuration
from remediator.api.names import FIELD_MANAGER


async def apply(definitions: Sequence[Resource], kubeconfig: Path | None) -> list[str]:
    """Apply all of them; returns their names. Without a kubeconfig the usual ones count, or the pod's account.

    Fields that another manager has set are taken over, as an upgrade has to. Raises KubeError.
    """
    try:
        async with client.ApiClient(await configuration(kubeconfig)) as api:
            return [await _apply(client.ApiextensionsV1Api(api), definition) for definition in definitions]
    except ApiException as error:
        raise KubeError(f"{error.status} {error.reason}: {(error.body or '')[:500]}") from error
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise KubeError(f"no answer from the API server: {error!r}") from error


async def _apply(api: client.ApiextensionsV1Api, definition: Resource) -> str:
    name: str = definition["metadata"]["name"]
    await api.patch_custom_resource_definition(
        name,
        definition,
        field_manager=FIELD_MANAGER,
        force=True,
        _content_type="application/apply-patch+yaml",
        _request_timeout=20,
    )
    return name
