"""Reads a FlinkDeployment (flink.apache.org/v1beta1) as Flink's operator 1.7 to 1.16 write it."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from remediator.api.names import CONSUMER_GROUPS_ANNOTATION, ENABLED_LABEL
from remediator.core import reconciled
from remediator.core.configuration import flatten, overrides_in

# Characters of the operator's words that a message has room for.
_TOLD_LENGTH = 300
# How Flink's operator says that it cannot restore a job (UpgradeFailureException; up to 1.9 RecoveryFailureException):
# up to 1.12 "HA data is not available to make stateful upgrades. ... Manual restore required.", "HA metadata not
# available to restore from last state." and "... not externally addressable, manual recovery required."; from 1.10 on
# "... last checkpoint is unknown ... Manual restore required."; from 1.13 on the words of CommonStatus.MSG_*.
_MANUAL_RESTORE = re.compile(r"manual (restore|recovery) required|HA (meta)?data (is )?not available", re.IGNORECASE)
# JobManagerDeploymentStatus.
_NO_JOB_MANAGER = frozenset({"MISSING", "ERROR"})


class Unreadable(ValueError):
    """A FlinkDeployment has a field of another form than its definition; the message names it."""


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
    resource_version: str
    being_deleted: bool
    """Whether somebody has deleted it, though a finalizer may keep it for a while."""
    observed_generation: int | None
    """The generation that Flink's operator has observed or reconciled; None where it says nothing."""
    caught_up: bool
    """Whether Flink's operator has seen the latest spec: by the generation that it observed or reconciled, or, where
    both are behind, because the spec that it reconciled asks for the same (1.10 leaves changes that need no work)."""
    before_operator_1_8: bool
    """Whether Flink's operator is older than 1.8, the first to write ``status.observedGeneration``."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    has_job: bool
    """False for a session cluster, whose jobs are resources of their own."""
    mode: str
    flink_version: str
    upgrade_mode: str
    parallelism: int | None
    """``spec.job.parallelism``; None where it is not set."""
    overrides: Mapping[str, int]
    """Parallelism by vertex id, where the configuration overrides it."""
    restart_nonce: int | None
    savepoint_redeploy_nonce: int | None
    savepoint_path: str
    task_manager_replicas: int | None
    task_manager_cpu: float | None
    """CPU cores that a TaskManager may use; None where nothing readable is said."""
    raw_configuration: Mapping[str, Any] | None
    configuration: Mapping[str, str]
    """The same with dotted keys."""
    lifecycle_state: str
    reconciliation_state: str
    job_manager_state: str
    job_state: str
    job_id: str
    error: str
    managers: tuple[Manager, ...]

    @property
    def consumer_groups(self) -> frozenset[str]:
        """Kafka consumer groups the job reads with, by its owner's annotation."""
        return consumer_groups(self.annotations)

    @property
    def opted_in(self) -> bool:
        """Whether the owner allows remediation."""
        return self.labels.get(ENABLED_LABEL) == "true"

    @property
    def autoscaled(self) -> bool:
        """Whether Flink's own autoscaler decides on the parallelism; one that only advises does not."""
        return self._autoscaler("enabled", False) and self._autoscaler("scaling.enabled", True)

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
        return _MANUAL_RESTORE.search(self.error) is not None

    @property
    def lost(self) -> bool:
        """Whether the JobManager is gone and Flink's operator cannot bring it back, whatever lifecycle state it writes:
        STABLE, DEPLOYED or UPGRADING up to 1.12, UPGRADING or FAILED since 1.13."""
        return self.asks_for_manual_restore and self.job_manager_state in _NO_JOB_MANAGER

    @property
    def failed(self) -> bool:
        """Whether the job has failed for good, as far as Flink's operator knows."""
        return self.lost or "FAILED" in (self.lifecycle_state, self.job_state)

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
        if self.job_state == "FAILED" and self.switched("kubernetes.operator.job.restart.failed", False):
            return True
        return self.job_manager_state in ("DEPLOYING", "DEPLOYED_NOT_READY") or (
            self.job_manager_state == "MISSING" and self.switched("kubernetes.operator.jm-deployment-recovery.enabled")
        )

    def switched(self, key: str, default: bool = True) -> bool:
        """Tell whether a key of the configuration, true or false, is true."""
        return self.configuration.get(key, str(default)).lower() == "true"

    def _autoscaler(self, option: str, default: bool) -> bool:
        # AutoScalerOptions: keys as they were named before 1.7 count where the new ones are missing.
        older = self.switched(f"kubernetes.operator.job.autoscaler.{option}", default)
        return self.switched(f"job.autoscaler.{option}", older)


def parse(resource: Mapping[str, Any]) -> FlinkDeployment:
    """Read a FlinkDeployment as the API server returns it. Missing fields get the operator's defaults.

    Raises Unreadable for a field that a decision could rest on and that has another form.
    """
    metadata, spec = _mapping(resource, "metadata"), _mapping(resource, "spec", "spec")
    status = _mapping(resource, "status", "status")
    job, job_status = _mapping(spec, "job", "spec.job"), _mapping(status, "jobStatus", "status.jobStatus")
    task_manager = _mapping(spec, "taskManager", "spec.taskManager")
    reconciliation = _mapping(status, "reconciliationStatus", "status.reconciliationStatus")
    configuration = _mapping(spec, "flinkConfiguration", "spec.flinkConfiguration")
    flat = flatten(configuration)
    try:
        overrides = overrides_in(flat)
    except ValueError as error:
        raise Unreadable(f"spec.flinkConfiguration.{error}") from None
    generation = _integer(metadata, "generation", "metadata.generation", minimum=0) or 0
    observed = _integer(status, "observedGeneration", "status.observedGeneration") or 0
    last = reconciled.read(reconciliation.get("lastReconciledSpec"))
    last_generation, last_spec = (last.generation or 0, last.spec) if last else (0, {})
    lifecycle = _word(status, "lifecycleState")
    return FlinkDeployment(
        namespace=_name(metadata, "namespace"),
        name=_name(metadata, "name"),
        uid=_name(metadata, "uid"),
        generation=generation,
        resource_version=_word(metadata, "resourceVersion"),
        being_deleted=bool(metadata.get("deletionTimestamp")) or lifecycle in ("DELETING", "DELETED"),
        observed_generation=max(observed, last_generation) or None,
        caught_up=(0 < max(observed, last_generation) >= generation)
        or (last is not None and reconciled.same_work(spec, last_spec)),
        before_operator_1_8=observed == 0 and last_generation > 0,
        labels=_texts(metadata, "labels"),
        annotations=_texts(metadata, "annotations"),
        has_job=bool(job),
        mode=_text(spec, "mode", "spec.mode") or "native",
        flink_version=_text(spec, "flinkVersion", "spec.flinkVersion"),
        upgrade_mode=_text(job, "upgradeMode", "spec.job.upgradeMode") or "stateless",
        parallelism=_integer(job, "parallelism", "spec.job.parallelism", minimum=0) or None,
        overrides=overrides,
        restart_nonce=_integer(spec, "restartNonce", "spec.restartNonce"),
        savepoint_redeploy_nonce=_integer(job, "savepointRedeployNonce", "spec.job.savepointRedeployNonce"),
        savepoint_path=_text(job, "initialSavepointPath", "spec.job.initialSavepointPath"),
        task_manager_replicas=_integer(task_manager, "replicas", "spec.taskManager.replicas"),
        task_manager_cpu=_task_manager_cpu(task_manager, flat),
        raw_configuration=configuration if spec.get("flinkConfiguration") is not None else None,
        configuration=flat,
        lifecycle_state=lifecycle,
        reconciliation_state=_word(reconciliation, "state"),
        job_manager_state=_word(status, "jobManagerDeploymentStatus"),
        job_state=_word(job_status, "state"),
        job_id=_word(job_status, "jobId"),
        error=_word(status, "error"),
        managers=_managers(metadata.get("managedFields")),
    )


def consumer_groups(annotations: Mapping[str, Any]) -> frozenset[str]:
    """Read the annotation that names a job's consumer groups."""
    named = str(annotations.get(CONSUMER_GROUPS_ANNOTATION, ""))
    return frozenset(group.strip() for group in named.split(",") if group.strip())


def _name(metadata: Mapping[str, Any], field: str) -> str:
    value = metadata.get(field)
    if not isinstance(value, str):
        raise Unreadable(f"metadata.{field} is missing")
    return value


def _managers(entries: object) -> tuple[Manager, ...]:
    listed = [e for e in entries if isinstance(e, Mapping)] if isinstance(entries, list) else []
    return tuple(Manager(_word(e, "manager"), _moment(e.get("time"))) for e in listed if not e.get("subresource"))


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def _mapping(parent: Mapping[str, Any], key: str, place: str = "") -> Mapping[str, Any]:
    value = parent.get(key)
    if value is not None and not isinstance(value, Mapping):
        raise Unreadable(f"{place or key} is not a map but {_form(value)}")
    return value or {}


def _texts(parent: Mapping[str, Any], key: str) -> Mapping[str, str]:
    place = f"metadata.{key}"
    texts = _mapping(parent, key, place)
    for name in texts:
        _text(texts, name, f"{place}.{name}")
    return texts


def _text(parent: Mapping[str, Any], key: str, place: str) -> str:
    value = parent.get(key)
    if value is not None and not isinstance(value, str):
        raise Unreadable(f"{place} is not a text but {_form(value)}")
    return value or ""


def _form(value: object) -> str:
    """Name the form of a value, not the value, which may be a secret."""
    forms = {str: "a text", bool: "a truth value", int: "a number", float: "a number", list: "a list", dict: "a map"}
    return forms.get(type(value), type(value).__name__)


def _integer(parent: Mapping[str, Any], key: str, place: str, minimum: int | None = None) -> int | None:
    value = parent.get(key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or (minimum is not None and value < minimum):
        least = "" if minimum is None else f" of at least {minimum}"
        raise Unreadable(f"{place} is not a whole number{least} but {str(value)[:40]!r}")
    return value


def _task_manager_cpu(task_manager: Mapping[str, Any], configuration: Mapping[str, str]) -> float | None:
    """``taskManager.resource.cpu``, else what the configuration says, times the limit factor. Nothing is done to a job
    by it, so that what cannot be read is as if it were not there.

    Source: Flink, KubernetesConfigOptions (kubernetes.taskmanager.cpu.amount and .limit-factor).
    """
    resource = task_manager.get("resource")
    asked = resource.get("cpu") if isinstance(resource, Mapping) else None
    if asked is None:
        asked = configuration.get("kubernetes.taskmanager.cpu.amount") or configuration.get(
            "kubernetes.taskmanager.cpu"
        )
    try:
        cores = float(str(asked)) * float(configuration.get("kubernetes.taskmanager.cpu.limit-factor", "1"))
    except ValueError:
        return None
    return cores if math.isfinite(cores) and cores > 0 else None


def _word(parent: Mapping[str, Any], key: str) -> str:
    """What Flink's operator or the API server wrote; a value of another form is a word that nothing knows."""
    value = parent.get(key)
    return "" if value is None else str(value)
