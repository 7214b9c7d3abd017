"""One namespace as the remediator meets it, and a stand-in for Flink's operator, JobManager and Prometheus."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from remediator.adapters.prometheus import Answer
from remediator.core.flinkdeployment import OVERRIDES_KEY, parse_overrides
from remediator.core.snapshot import Job, Vertex
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
POLICY: Resource = {
    "apiVersion": REMEDIATION,
    "kind": "FlinkRemediationPolicy",
    "metadata": {"name": "high-kafka-lag"},
    "spec": {
        "match": [{"label": "alertname", "value": "HighKafkaLag"}],
        "target": {"consumerGroupLabel": "consumergroup"},
        "actions": [{"type": "Scale", "scale": {"factor": 2, "max": 4}}],
        "verify": {"query": "lag < 1000", "for": "0s"},
        "guards": {"cooldown": "0s"},
    },
}


class World:
    """A namespace with a policy and a FlinkDeployment."""

    def __init__(self, client: httpx.Client, namespace: str) -> None:
        self._client = client
        self.namespace = namespace

    def create(self) -> None:
        """Make everything."""
        self._post("/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        self._post(self._path(REMEDIATION, "flinkremediationpolicies"), POLICY)
        target = flink_resource()
        status = target.pop("status")
        target["metadata"] = {k: target["metadata"][k] for k in ("name", "labels", "annotations")}
        self._post(self._path("flink.apache.org/v1beta1", "flinkdeployments"), target)
        self.write_flink_status({**status, "observedGeneration": 1})

    def target(self) -> Resource:
        """Read the FlinkDeployment."""
        return self._get(self._path("flink.apache.org/v1beta1", "flinkdeployments") + "/ml-recommender")

    def write_flink_status(self, status: Resource) -> None:
        """Write the FlinkDeployment's status, as Flink's operator would."""
        url = self._path("flink.apache.org/v1beta1", "flinkdeployments") + "/ml-recommender/status"
        headers = {"Content-Type": "application/merge-patch+json"}
        self._client.patch(url, content=json.dumps({"status": status}), headers=headers).raise_for_status()

    def remediations(self) -> list[Resource]:
        """List the FlinkRemediations."""
        items: list[Resource] = self._get(self._path(REMEDIATION, "flinkremediations"))["items"]
        return items

    def events(self) -> list[Resource]:
        """List the Events."""
        items: list[Resource] = self._get(self._path("events.k8s.io/v1", "events"))["items"]
        return items

    def alert(self, **changes: Any) -> Resource:
        """Return an alert that the policy answers, as Alertmanager sends it."""
        labels = {
            "alertname": "HighKafkaLag",
            "namespace": self.namespace,
            "consumergroup": "ml-recommender",
            "severity": "critical",
        }
        base = {"status": "firing", "labels": labels, "startsAt": STARTED, "fingerprint": "f1"}
        return {**base, **changes}

    @staticmethod
    def webhook(*alerts: Resource) -> Resource:
        """Return a notification of alerts."""
        return {"version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "remediator", "alerts": alerts}

    def _path(self, group_version: str, plural: str) -> str:
        return f"/apis/{group_version}/namespaces/{self.namespace}/{plural}"

    def _get(self, path: str) -> Resource:
        # 429: an API server that has just started is still opening the storage of custom resources.
        response = eventually(lambda: (r := self._client.get(path)).status_code != 429 and r)
        answer: Resource = response.raise_for_status().json()
        return answer

    def _post(self, path: str, body: Resource) -> None:
        self._client.post(path, json=body).raise_for_status()


class FlinkStandIn:
    """Stands in for Flink's operator and the JobManager: what the spec asks for runs at once."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def job(self, namespace: str, name: str, job_id: str) -> Job:
        """Answer as JobManager REST: each vertex at its override, or at the job's parallelism."""
        target = await asyncio.to_thread(self._world.target)
        spec, generation = target["spec"], target["metadata"]["generation"]
        if target["status"]["observedGeneration"] != generation:
            await asyncio.to_thread(self._world.write_flink_status, {"observedGeneration": generation})
        overrides = parse_overrides(spec["flinkConfiguration"].get(OVERRIDES_KEY, ""))
        vertices = tuple(
            Vertex(v, v, overrides.get(v, spec["job"]["parallelism"]), 128) for v in ("source", "features")
        )
        return Job(job_id, "RUNNING", vertices, checkpointing=False)


class PrometheusStandIn:
    """Stands in for Prometheus: every query holds, or none does."""

    def __init__(self, holds: bool = True) -> None:
        self.holds = holds

    async def query(self, promql: str) -> Answer:
        """Answer any query."""
        return Answer(self.holds, 5.0 if self.holds else None)


def eventually(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """Wait until a condition returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {condition}")
