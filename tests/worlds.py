"""A world for the pure core: a healthy target of the kind the guards let pass, and ways to change it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonpatch
from remediator.api.policy import PolicySpec
from remediator.api.reasons import Phase
from remediator.api.remediation import AlertReference, TargetReference
from remediator.core.flinkdeployment import FlinkDeployment, parse
from remediator.core.snapshot import Checkpoint, Job, Sibling, Snapshot, Vertex

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
TARGET = TargetReference(namespace="streaming", name="ml-recommender", uid="target-uid")
ALERT = AlertReference(
    name="HighKafkaLag",
    fingerprint="f1",
    starts_at=NOW - timedelta(minutes=6),
    labels={"alertname": "HighKafkaLag", "severity": "critical", "consumergroup": "ml-recommender"},
)


def policy(**changes: Any) -> PolicySpec:
    """A policy that scales by 2 up to 4."""
    document = {
        "match": [{"label": "alertname", "value": "HighKafkaLag"}],
        "target": {"consumerGroupLabel": "consumergroup"},
        "actions": [{"type": "Scale", "scale": {"factor": 2, "max": 4}}],
        "verify": {"query": 'lag{group="{{ labels.consumergroup }}"} < 1000', "for": "1m", "timeout": "10m"},
    }
    return PolicySpec.model_validate({**document, **changes}, extra="forbid")


def flink_resource(**spec: Any) -> dict[str, Any]:
    """A FlinkDeployment as the API server returns it: STABLE, in place scalable, parallelism 2."""
    return {
        "apiVersion": "flink.apache.org/v1beta1",
        "kind": "FlinkDeployment",
        "metadata": {
            "namespace": "streaming",
            "name": "ml-recommender",
            "uid": "target-uid",
            "generation": 3,
            "resourceVersion": "1",
            "labels": {"remediation.streaming-monitoring.dev/enabled": "true"},
            "annotations": {"streaming-monitoring.dev/consumer-groups": "ml-recommender"},
        },
        "spec": {
            "flinkVersion": "v1_19",
            "flinkConfiguration": {"jobmanager.scheduler": "adaptive"},
            "job": {"parallelism": 2, "upgradeMode": "last-state"},
            **spec,
        },
        "status": {
            "lifecycleState": "STABLE",
            "observedGeneration": 3,
            "jobStatus": {"jobId": "job-1", "state": "RUNNING"},
            "reconciliationStatus": {"state": "DEPLOYED"},
        },
    }


RESTORE = ({"type": "Restore", "restore": {"maxCheckpointAge": "30m"}},)


def in_state(lifecycle: str, **status: Any) -> FlinkDeployment:
    """The same in a lifecycle state, with further fields of its status."""
    resource = flink_resource()
    resource["status"] |= {"lifecycleState": lifecycle, **status}
    return parse(resource)


def target(**spec: Any) -> FlinkDeployment:
    """The same, read."""
    return parse(flink_resource(**spec))


def job(parallelism: int = 2, **changes: Any) -> Job:
    """A running job of two vertices at the job's parallelism and a sink of its own."""
    vertices = (
        Vertex("aa", "source", parallelism, 128),
        Vertex("bb", "features", parallelism, 128),
        Vertex("cc", "sink", 1, 128),
    )
    completed = Checkpoint(7, NOW - timedelta(seconds=5), "file:/checkpoints/chk-7")
    return replace(Job("job-1", "RUNNING", vertices, completed), **changes)


def sibling(name: str = "other", **changes: Any) -> Sibling:
    """A remediation of the same target that ended well a day ago."""
    day_ago = NOW - timedelta(days=1, hours=1)
    return replace(Sibling(name, TARGET, Phase.SUCCEEDED, day_ago, (day_ago,), day_ago), **changes)


def snapshot(**changes: Any) -> Snapshot:
    """A snapshot that every guard lets pass."""
    return replace(Snapshot(NOW, "high-kafka-lag-1", ALERT, False, TARGET, policy(), target(), job()), **changes)


def apply_json_patch(document: dict[str, Any], text: str) -> dict[str, Any]:
    """Apply a JSON patch as the API server does: the spec's generation goes up with every change of the spec.

    Raises jsonpatch.JsonPatchException when a test does not hold or there is nothing to replace.
    """
    result: dict[str, Any] = jsonpatch.JsonPatch.from_string(text).apply(document)
    if result["spec"] != document["spec"]:
        result["metadata"]["generation"] += 1
    return result


def taken_up(document: dict[str, Any], **status: Any) -> dict[str, Any]:
    """The same after Flink's operator has looked at it."""
    return {
        **document,
        "status": {**document["status"], "observedGeneration": document["metadata"]["generation"], **status},
    }
