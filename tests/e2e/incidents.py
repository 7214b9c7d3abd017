"""What the end-to-end tests do to a cluster, and wait for."""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from demo.kube import Cluster, wait_for
from demo.play import TERMINAL

EASY_RATE = 100
"""Events per second that the job carries easily, whatever else is done to it."""
NO_PAUSES = {"cooldown": "0s", "budget": [{"max": 100, "per": "1h"}]}
"""Guards without the pauses that real incidents ask for between them."""


@contextmanager
def changed_policy(cluster: Cluster, name: str, **spec: Any) -> Iterator[None]:
    """Merge into a policy's spec, for a while."""
    before = json.loads(cluster.kubectl("get", "frp", name, "--output=json"))["spec"]
    cluster.kubectl("patch", "frp", name, "--type=merge", f"--patch={json.dumps({'spec': spec})}")
    try:
        yield
    finally:
        back = [{"op": "replace", "path": "/spec", "value": before}]
        cluster.kubectl("patch", "frp", name, "--type=json", f"--patch={json.dumps(back)}")


@contextmanager
def no_more_pods(cluster: Cluster, fewer: int = 0) -> Iterator[None]:
    """Let the namespace have no pod beyond those it has (or so many fewer), as a full cluster would."""
    pods = cluster.get(f"/api/v1/namespaces/{cluster.namespace}/pods")["items"]
    running = sum(pod["status"]["phase"] in ("Running", "Pending") for pod in pods)
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "full", "namespace": cluster.namespace},
        "spec": {"hard": {"pods": str(running - fewer)}},
    }
    cluster.apply(quota)
    path = f"/api/v1/namespaces/{cluster.namespace}/resourcequotas/full"
    wait_for("the quota counts", lambda: cluster.get(path)["status"].get("used"), 30)
    try:
        yield
    finally:
        cluster.kubectl("delete", "resourcequota", "full")


def remediation_of(cluster: Cluster, alert: str, target: str, since: datetime) -> dict[str, Any] | None:
    """Return what answers an alert about a target, if it was created since then."""
    for item in cluster.remediations():
        created = datetime.fromisoformat(item["metadata"]["creationTimestamp"])
        named = (item["spec"]["alert"]["name"], item["spec"]["target"]["name"])
        if named == (alert, target) and created >= since.replace(microsecond=0):
            return item
    return None


def remediation_in(
    phases: Collection[str], cluster: Cluster, alert: str, target: str, since: datetime, seconds: float
) -> dict[str, Any]:
    """Wait until what answers an alert about a target is in one of these phases."""

    def reached() -> dict[str, Any] | None:
        found = remediation_of(cluster, alert, target, since)
        return found if found and (found.get("status") or {}).get("phase") in phases else None

    return wait_for(f"an answer to {alert} about {target} that is {' or '.join(sorted(phases))}", reached, seconds)


def ended_remediation(cluster: Cluster, alert: str, target: str, since: datetime, seconds: float) -> dict[str, Any]:
    """Wait for the end of what answers an alert about a target."""
    return remediation_in(TERMINAL, cluster, alert, target, since, seconds)
