"""Reads a FlinkDeployment (flink.apache.org/v1beta1) as Flink's operator 1.7 to 1.15 write it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from remediator.api.names import CONSUMER_GROUPS_ANNOTATION, ENABLED_LABEL

OVERRIDES_KEY = "pipeline.jobvertex-parallelism-overrides"

# Characters of the operator's words that a message has room for.
_TOLD_LENGTH = 300
# How Flink's operator words UpgradeFailureException (AbstractJobReconciler, ApplicationReconciler).
_MANUAL_RESTORE_SIGNS = ("Manual restore required", "manual restore required", "HA metadata is not available")


@dataclass(frozen=True)
class Manager:
    """Somebody who wrote to the resource, as the API server's managedFields tell."""

    name: str
    time: datetime | None
    """When it last changed a field that it manages."""


@dataclass(frozen=True)
class FlinkDeployment:
    """The fields that decisions rest on; what an operator version does not write is empty or None."""

    namespace: str
    name: str
    uid: str
    generation: int
    observed_generation: int | None
    before_operator_1_8: bool
    """Whether Flink's operator is older than 1.8, the first to write ``status.observedGeneration``."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    has_job: bool
    """False for a session cluster, whose jobs are resources of their own."""
    mode: str
    flink_version: str
    upgrade_mode: str
    parallelism: int
    restart_nonce: int | None
    savepoint_redeploy_nonce: int | None
    savepoint_path: str
    task_manager_replicas: int | None
    raw_configuration: Mapping[str, Any]
    configuration: Mapping[str, str]
    lifecycle_state: str
    reconciliation_state: str
    job_manager_state: str
    job_state: str
    job_id: str
    error: str
    managers: tuple[Manager, ...]

    @property
    def opted_in(self) -> bool:
        """Whether the owner allows remediation."""
        return self.labels.get(ENABLED_LABEL) == "true"

    @property
    def consumer_groups(self) -> frozenset[str]:
        """Kafka consumer groups the job reads with, by its owner's annotation."""
        return consumer_groups(self.annotations)

    @property
    def overrides(self) -> dict[str, int]:
        """Parallelism by vertex id, where the configuration overrides it."""
        return parse_overrides(self.configuration.get(OVERRIDES_KEY, ""))

    @property
    def autoscaled(self) -> bool:
        """Whether Flink's own autoscaler decides on the parallelism."""
        return self._switched_on("job.autoscaler.enabled") or self._switched_on(
            "kubernetes.operator.job.autoscaler.enabled"
        )

    @property
    def told(self) -> str:
        """What Flink's operator says went wrong, for people: the first and the last of its chain of causes.

        Source: FlinkResourceException of the operator, which it writes as JSON; other texts are left as they are.
        """
        try:
            error = json.loads(self.error)
            chain = [error, *(error.get("throwableList") or [])]
            messages = [str(cause.get("message") or cause.get("type") or "") for cause in (chain[0], chain[-1])]
        except (ValueError, AttributeError, TypeError):
            messages = [self.error]
        return ": ".join(dict.fromkeys(filter(None, messages)))[:_TOLD_LENGTH]

    @property
    def asks_for_manual_restore(self) -> bool:
        """Whether Flink's operator has said that it cannot restore the job by itself."""
        return any(sign in self.error for sign in _MANUAL_RESTORE_SIGNS)

    @property
    def failed(self) -> bool:
        """Whether the job has failed for good, as far as Flink's operator knows."""
        return "FAILED" in (self.lifecycle_state, self.job_state)

    @property
    def starts_again_after_failures(self) -> bool:
        """Whether Flink starts the job again when a part of it fails; its default is to."""
        strategy = self.configuration.get("restart-strategy.type") or self.configuration.get("restart-strategy", "")
        return strategy.lower() not in ("none", "off", "disable")

    @property
    def operator_recovers(self) -> bool:
        """Whether Flink's operator is bringing the job back by means of its own."""
        if self.asks_for_manual_restore:
            return False
        if self.job_state == "FAILED" and self._switched_on("kubernetes.operator.job.restart.failed"):
            return True
        recovery = self.configuration.get("kubernetes.operator.jm-deployment-recovery.enabled", "true")
        return self.job_manager_state in ("DEPLOYING", "DEPLOYED_NOT_READY") or (
            self.job_manager_state == "MISSING" and recovery.lower() == "true"
        )

    def _switched_on(self, key: str) -> bool:
        return self.configuration.get(key, "").lower() == "true"

    @property
    def caught_up(self) -> bool:
        """Whether Flink's operator has seen the latest spec."""
        return self.observed_generation is not None and self.observed_generation >= self.generation


def parse(resource: Mapping[str, Any]) -> FlinkDeployment:
    """Read a FlinkDeployment as the API server returns it. Missing fields get the operator's defaults."""
    metadata, spec = resource["metadata"], resource.get("spec") or {}
    status = resource.get("status") or {}
    job, task_manager = spec.get("job") or {}, spec.get("taskManager") or {}
    job_status = status.get("jobStatus") or {}
    reconciliation = status.get("reconciliationStatus") or {}
    raw_configuration = spec.get("flinkConfiguration") or {}
    return FlinkDeployment(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation") or 0,
        observed_generation=_observed_generation(status, reconciliation),
        before_operator_1_8=not status.get("observedGeneration"),
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        has_job=bool(job),
        mode=spec.get("mode") or "native",
        flink_version=spec.get("flinkVersion") or "",
        upgrade_mode=job.get("upgradeMode") or "stateless",
        parallelism=job.get("parallelism") or 1,
        restart_nonce=spec.get("restartNonce"),
        savepoint_redeploy_nonce=job.get("savepointRedeployNonce"),
        savepoint_path=job.get("initialSavepointPath") or "",
        task_manager_replicas=task_manager.get("replicas"),
        raw_configuration=raw_configuration,
        configuration=flatten(raw_configuration),
        lifecycle_state=status.get("lifecycleState") or "",
        reconciliation_state=reconciliation.get("state") or "",
        job_manager_state=status.get("jobManagerDeploymentStatus") or "",
        job_state=job_status.get("state") or "",
        job_id=job_status.get("jobId") or "",
        error=status.get("error") or "",
        managers=tuple(
            Manager(entry.get("manager") or "", _moment(entry.get("time")))
            for entry in metadata.get("managedFields") or ()
            if not entry.get("subresource")
        ),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def consumer_groups(annotations: Mapping[str, str]) -> frozenset[str]:
    """Read the annotation that names a job's consumer groups."""
    named = annotations.get(CONSUMER_GROUPS_ANNOTATION, "")
    return frozenset(group.strip() for group in named.split(",") if group.strip())


def parse_overrides(text: str) -> dict[str, int]:
    """Read ``VERTEX:4,VERTEX:2`` (Flink's map syntax). Parts that are none are left out."""
    pairs = (part.strip().rpartition(":") for part in text.split(","))
    return {vertex: int(number) for vertex, _, number in pairs if vertex and number.isdigit()}


def format_overrides(overrides: Mapping[str, int]) -> str:
    """Write what :func:`parse_overrides` reads, in a stable order."""
    return ",".join(f"{vertex}:{number}" for vertex, number in sorted(overrides.items()))


def flatten(configuration: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten a configuration, which may be nested since operator 1.13, to dotted keys."""
    flat: dict[str, str] = {}
    for key, value in configuration.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value).lower() if isinstance(value, bool) else str(value)
    return flat


def _observed_generation(status: Mapping[str, Any], reconciliation: Mapping[str, Any]) -> int | None:
    if status.get("observedGeneration"):
        return int(status["observedGeneration"])
    # Operator 1.7 leaves the field empty; the spec it reconciled last carries the generation.
    try:
        last = json.loads(reconciliation.get("lastReconciledSpec") or "{}")
    except ValueError:
        return None
    generation = ((last.get("resource_metadata") or {}).get("metadata") or {}).get("generation")
    return int(generation) if generation else None
