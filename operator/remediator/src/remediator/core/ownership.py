"""Who else writes to a FlinkDeployment: GitOps controllers that keep it as it is in Git, and people."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from remediator.api.names import FIELD_MANAGER
from remediator.core.flinkdeployment import FlinkDeployment

# Sources: Argo CD "Resource Tracking"; Flux "Kustomization" and "HelmRelease" (labels of what they apply).
_TRACKERS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
_GIT_OPS = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
}


def git_ops_tool(target: FlinkDeployment) -> str:
    """Return which GitOps tool keeps the target as it is in Git; empty if none shows."""
    for key, tool in _TRACKERS.items():
        if key in target.labels or key in target.annotations:
            return tool
    return next((_GIT_OPS[m.name] for m in target.managers if m.name in _GIT_OPS), "")


def last_writer(target: FlinkDeployment, since: datetime) -> str:
    """Return who besides us last wrote the target's spec or metadata since a moment; empty if it left no name.

    The API server names a manager only for fields that are there: who only removes one shows if it is known to keep
    the whole resource as it is in Git.
    """
    # managedFields count whole seconds.
    moment = since.replace(microsecond=0)
    others = [m for m in target.managers if m.name and m.name != FIELD_MANAGER and m.time and m.time >= moment]
    if not others:
        return git_ops_tool(target)
    name = max(others, key=lambda m: m.time or moment).name
    tool = _GIT_OPS.get(name)
    return f"{tool} ({name})" if tool else name


def is_ours(manager: str) -> bool:
    """Tell whether a field manager is one of the remediator's own roles."""
    return manager.startswith(FIELD_MANAGER)


def annotation_manager(managed_fields: Iterable[Mapping[str, Any]], annotation: str) -> str:
    """Return who last wrote an annotation, by a resource's ``metadata.managedFields``; empty if nobody shows.

    Source: Kubernetes, "Server-Side Apply", field management (fieldsV1).
    """
    writers = [
        (str(entry.get("time") or ""), str(entry.get("manager") or ""))
        for entry in managed_fields
        if f"f:{annotation}" in (((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations") or {})
    ]
    return max(writers, default=("", ""))[1]
