"""A namespace as the remediator meets it: jobs, their policies and alerts."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from remediator.api.names import APPROVAL_ANNOTATION
from worlds import flink_resource

Resource = dict[str, Any]

# Flink's real definition is exercised on the cluster; here the API server only has to store the resource.
FLINK_DEPLOYMENT_CRD: Resource = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "flinkdeployments.flink.apache.org"},
    "spec": {
        "group": "flink.apache.org",
        "scope": "Namespaced",
        "names": {"kind": "FlinkDeployment", "plural": "flinkdeployments", "singular": "flinkdeployment"},
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        ],
    },
}
STARTED = (datetime.now(UTC) - timedelta(minutes=6)).isoformat(timespec="milliseconds")
REMEDIATION = "remediation.streaming-monitoring.dev/v1alpha1"
FLINK = "flink.apache.org/v1beta1"
SCALE: Resource = {"type": "Scale", "scale": {"factor": 2, "max": 4}}
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


class World:
    """A namespace. ``job`` is a healthy FlinkDeployment with a policy."""

    def __init__(self, client: httpx.Client, namespace: str) -> None:
        self.client = client
        self.namespace = namespace
        self._post("/api/v1/namespaces", {"metadata": {"name": namespace}})
        self.job = self.add("ml-recommender")

    def add(self, name: str, *, spec: Resource | None = None, **policy: Any) -> "Job":
        """Make a FlinkDeployment and a policy for its alerts; ``policy`` are fields of the policy's spec."""
        target = flink_resource(**(spec or {}))
        status = target.pop("status")
        target["metadata"] = {
            "name": name,
            "labels": target["metadata"]["labels"],
            "annotations": {"streaming-monitoring.dev/consumer-groups": name},
        }
        self._post(self.path(FLINK, "flinkdeployments"), target)
        job = Job(self, name)
        job.write_flink_status({**status, "observedGeneration": 1})
        document = {
            "match": [{"label": "alertname", "value": "HighKafkaLag"}, {"label": "pipeline", "value": name}],
            "target": {"consumerGroupLabel": "consumergroup"},
            "actions": [SCALE],
            "verify": {"query": 'lag{job="{{ target.namespace }}/{{ target.name }}"} < 1000', "for": "0s"},
        }
        # Jobs of other tests in the namespace are no storm. Without budgets old records need not be kept.
        unlimited = {"cooldown": "0s", "budget": [], "storm": {"maxTargets": 1000, "per": "10m"}}
        guards = {**unlimited, **policy.pop("guards", {})}
        self._post(
            self.path(REMEDIATION, "flinkremediationpolicies"),
            {
                "apiVersion": REMEDIATION,
                "kind": "FlinkRemediationPolicy",
                "metadata": {"name": name},
                "spec": {**document, "guards": guards, **policy},
            },
        )
        return job

    def remediations(self) -> list[Resource]:
        """List the FlinkRemediations."""
        items: list[Resource] = self.get(self.path(REMEDIATION, "flinkremediations"))["items"]
        return items

    def events(self) -> list[Resource]:
        """List the Events."""
        items: list[Resource] = self.get(self.path("events.k8s.io/v1", "events"))["items"]
        return items

    def leases(self) -> dict[str, Resource]:
        """Return the Leases by name."""
        items = self.get(self.path("coordination.k8s.io/v1", "leases"))["items"]
        return {item["metadata"]["name"]: item for item in items}

    @staticmethod
    def webhook(*alerts: Resource) -> Resource:
        """Return a notification of alerts."""
        return {"version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "remediator", "alerts": alerts}

    def path(self, group_version: str, plural: str, name: str = "") -> str:
        """Return the path of a resource type, or of one resource."""
        path = f"/apis/{group_version}/namespaces/{self.namespace}/{plural}"
        return f"{path}/{name}" if name else path

    def get(self, path: str) -> Resource:
        """Read what is at a path."""
        # 429: an API server that has just started is still opening the storage of custom resources.
        response = eventually(lambda: (r := self.client.get(path)).status_code != 429 and r)
        answer: Resource = response.raise_for_status().json()
        return answer

    def merge(self, path: str, body: Resource, manager: str = "") -> Resource:
        """Apply a merge patch, as a field manager."""
        url = f"{path}?fieldManager={manager}" if manager else path
        response = self.client.patch(url, content=json.dumps(body), headers=MERGE_PATCH)
        answer: Resource = response.raise_for_status().json()
        return answer

    def _post(self, path: str, body: Resource) -> None:
        self.client.post(path, json=body).raise_for_status()


class Job:
    """A FlinkDeployment with a policy of its own name and a consumer group of its own name."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.id = f"{world.namespace}/{name}"
        self.path = world.path(FLINK, "flinkdeployments", name)
        self.policy_path = world.path(REMEDIATION, "flinkremediationpolicies", name)

    def target(self) -> Resource:
        """Read the FlinkDeployment."""
        return self.world.get(self.path)

    def write_flink_status(self, status: Resource) -> None:
        """Write into the FlinkDeployment's status, as Flink's operator would."""
        self.world.merge(f"{self.path}/status", {"status": status})

    def alert(self, **changes: Any) -> Resource:
        """Return an alert that the policy answers, as Alertmanager sends it."""
        labels = {
            "alertname": "HighKafkaLag",
            "namespace": self.world.namespace,
            "consumergroup": self.name,
            "pipeline": self.name,
            "severity": "critical",
        }
        base = {"status": "firing", "labels": labels, "startsAt": STARTED, "fingerprint": f"f-{self.name}"}
        return {**base, **changes}

    def remediations(self) -> list[Resource]:
        """List the FlinkRemediations of this job, the oldest alert first."""
        mine = [r for r in self.world.remediations() if r["spec"]["target"]["name"] == self.name]
        return sorted(mine, key=lambda r: r["spec"]["alert"]["startsAt"])

    def remediation(self) -> Resource:
        """Return the only FlinkRemediation of this job."""
        (only,) = self.remediations()
        return only

    def status(self) -> Resource:
        """Return the status of the only FlinkRemediation."""
        return self.remediation().get("status") or {}

    def phase(self) -> str:
        """Return the phase of the only FlinkRemediation."""
        return str(self.status().get("phase", "Pending"))

    def reached(self, phase: str, reason: str = "") -> Resource:
        """Wait until the only FlinkRemediation is in a phase, for a reason; returns its status."""
        status: Resource = {}

        def there() -> bool:
            nonlocal status
            status = self.status()
            return status.get("phase", "Pending") == phase and reason in ("", status.get("reason"))

        try:
            eventually(there)
        except AssertionError:
            raise AssertionError(f"{self.name} is not {phase} ({reason}) but {json.dumps(status, indent=1)}") from None
        return status

    def annotate(self, annotation: str, value: str) -> None:
        """Annotate the only FlinkRemediation."""
        name = self.remediation()["metadata"]["name"]
        path = self.world.path(REMEDIATION, "flinkremediations", name)
        self.world.merge(path, {"metadata": {"annotations": {annotation: value}}}, "kubectl-annotate")

    def answer_approval(self, answer: str) -> None:
        """Say approved:PLAN or denied, as a person would."""
        self.annotate(APPROVAL_ANNOTATION, answer)

    def change_policy(self, spec: Resource) -> None:
        """Merge into the policy's spec."""
        self.world.merge(self.policy_path, {"spec": spec})


def eventually(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """Wait until a condition returns something true, and return that. The deadline is for machines with much to do."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {condition}")
