"""FlinkDeployments of the simulated world: what history does not tell about them is assumed, and plans change them."""

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from remediator.api.policy import Action
from remediator.api.remediation import TargetReference
from remediator.core.flinkdeployment import FlinkDeployment, parse
from remediator.core.naming import digest
from remediator.core.scale import job_parallelism
from remediator.core.snapshot import Checkpoint, Job, Vertex

ASSUMPTIONS: Final = (
    "Every job runs: the FlinkDeployment is STABLE, and the JobManager answers. For an action with "
    "restore.onlyIfFailed the job is FAILED.",
    "There is a fresh checkpoint at every moment.",
    "Findings about the running job are not known, so that none forbids an action, and a step that is sized "
    "(toDrainWithin) goes by the factor 2. An action that requires a finding waits.",
    "A job has one vertex at the job's parallelism, beside those with an override; its maximum parallelism is what the "
    "configuration says.",
    "Nobody answers when asked, and nobody silences, pauses or retries anything.",
    "Labels, annotations and spec of a FlinkDeployment were all the time as they are given, but for what the simulated "
    "actions have changed.",
)
_LIMIT: Final = 32_768
_JOB: Final = "job"


class Target:
    """A FlinkDeployment, and what was done to it."""

    def __init__(self, resource: Mapping[str, Any]) -> None:
        """Raises flinkdeployment.Unreadable."""
        self._resource = _assumed(resource)
        self.deployment = parse(self._resource)
        self.ref = TargetReference(
            namespace=self.deployment.namespace, name=self.deployment.name, uid=self.deployment.uid
        )

    def as_seen(self, action: Action) -> FlinkDeployment:
        """Return it as an action finds it."""
        if action.restore is not None and action.restore.only_if_failed:
            return replace(self.deployment, job_state="FAILED")
        return self.deployment

    def job(self, now: datetime) -> Job:
        """Return its job."""
        target = self.deployment
        vertices = [Vertex(name, name, parallelism, _LIMIT) for name, parallelism in target.overrides.items()]
        if _JOB not in target.overrides:
            vertices.append(Vertex(_JOB, _JOB, job_parallelism(target), _LIMIT))
        return Job(target.job_id, "RUNNING", tuple(vertices), Checkpoint(1, now, "assumed"))

    def apply(self, patch: str) -> None:
        """Apply a plan's patch, or its inverse. What it tests holds: the plan was made from this very resource."""
        for operation in json.loads(patch):
            if operation["op"] != "test":
                _write(self._resource, operation)
        self._resource["metadata"]["generation"] += 1
        self._resource["status"]["observedGeneration"] = self._resource["metadata"]["generation"]
        self.deployment = parse(self._resource)


def _assumed(resource: Mapping[str, Any]) -> dict[str, Any]:
    metadata = copy.deepcopy(dict(resource["metadata"]))
    metadata.pop("deletionTimestamp", None)
    generation = metadata.setdefault("generation", 1)
    if not metadata.get("uid"):
        metadata["uid"] = digest(metadata.get("namespace", ""), metadata.get("name", ""))
    status = {
        "observedGeneration": generation,
        "lifecycleState": "STABLE",
        "jobManagerDeploymentStatus": "READY",
        "jobStatus": {"jobId": "assumed", "state": "RUNNING"},
    }
    return {"metadata": metadata, "spec": copy.deepcopy(resource.get("spec") or {}), "status": status}


def _write(resource: dict[str, Any], operation: Mapping[str, Any]) -> None:
    """Carry an operation out whose path leads through maps only, as those of our patches do (RFC 6902)."""
    *way, last = (part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:])
    place = resource
    for key in way:
        place = place[key]
    if operation["op"] == "remove":
        del place[last]
    else:
        place[last] = operation["value"]
