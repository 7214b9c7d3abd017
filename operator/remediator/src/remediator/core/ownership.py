"""Who else writes to a FlinkDeployment: GitOps controllers that keep it as it is in Git, and people."""

from remediator.api.names import FIELD_MANAGER
from remediator.core.flinkdeployment import FlinkDeployment

# Sources: Argo CD "Resource Tracking"; Flux "Kustomization" and "HelmRelease" (labels of what they apply).
_TRACKERS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
_MANAGERS = {
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
    return next((_MANAGERS[m.name] for m in target.managers if m.name in _MANAGERS), "")


def last_writer(target: FlinkDeployment) -> str:
    """Return who besides us last wrote the target's spec or metadata; empty if nobody did.

    A field that was removed has no owner in managedFields, so the latest writer is the best there is to know.
    """
    others = [m for m in target.managers if m.name and m.name != FIELD_MANAGER]
    return max(others, key=lambda m: m.time).name if others else ""
