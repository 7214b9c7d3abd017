"""FlinkRemediation: one answer to one occurrence of one alert on one FlinkDeployment, and its record."""

import math
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, field_validator

from remediator.api.base import Condition, Duration, JsonText, Model, PreciseTime, cel
from remediator.api.diagnosis import Diagnosis
from remediator.api.policy import ActionType
from remediator.api.reasons import Phase

Name = Annotated[str, Field(max_length=253)]
LABELS_LIMIT = 64
TEXT_LIMIT = 4096
LabelSet = Annotated[dict[str, Annotated[str, Field(max_length=TEXT_LIMIT)]], Field(max_length=LABELS_LIMIT)]
TIMELINE_LIMIT = 20
ATTEMPTS_LIMIT = 16
INTERVENTIONS_LIMIT = 16
INTERVENTION_LENGTH = 256
PATH_LIMIT = 2048
NAMES_LIMIT = 1024
NAME_LIMIT = 256
"""Names and ids of vertices in a plan, and the characters of each."""


class PolicyReference(Model):
    """The policy that answers, in the same namespace."""

    name: Name
    """Name of the FlinkRemediationPolicy."""
    uid: Name
    """Its uid when the remediation was created."""


class TargetReference(Model):
    """The FlinkDeployment an alert is about."""

    namespace: Annotated[str, Field(max_length=253)]
    """Namespace of the FlinkDeployment."""
    name: Annotated[str, Field(max_length=253)]
    """Name of the FlinkDeployment; what the alert said when there is none."""
    uid: Annotated[str, Field(max_length=64)] = ""
    """Its uid; empty when none was found."""


class AlertReference(Model):
    """The occurrence of the alert, as Alertmanager sent it."""

    name: Annotated[str, Field(max_length=253)]
    """The label alertname."""
    fingerprint: Annotated[str, Field(max_length=64)]
    """Alertmanager's hash of the labels."""
    starts_at: PreciseTime
    """When this occurrence began."""
    labels: LabelSet
    """Labels of the alert; of more than the record has room for, those that the policy names."""
    shortened: Annotated[tuple[Name, ...], Field(max_length=LABELS_LIMIT)] = ()
    """Labels of which only the beginning is kept. Whether the policy answers was decided on the whole."""
    annotations: LabelSet = Field(default_factory=dict)
    """Annotations of the alert."""
    generator_url: Annotated[str, Field(alias="generatorURL", max_length=4096)] = ""
    """Link to the expression in Prometheus."""
    group_key: Annotated[str, Field(max_length=4096)] = ""
    """Alertmanager's key of the notification group."""


class RemediationSpec(Model):
    """What happened; it never changes."""

    model_config = ConfigDict(
        title="FlinkRemediationSpec", json_schema_extra=cel(("self == oldSelf", "spec is immutable"))
    )

    policy_ref: PolicyReference
    """The policy that answers."""
    target: TargetReference
    """What is to be remediated."""
    alert: AlertReference
    """Why."""


class Method(StrEnum):
    """How a plan is carried out."""

    IN_PLACE = "InPlace"
    """Vertex overrides: the running job is rescaled, the JobManager stays."""
    REDEPLOY = "Redeploy"
    """Flink's operator stops the job and starts it from its state."""
    LAST_STATE = "LastState"
    """The same, from the latest checkpoint."""
    SAVEPOINT_REDEPLOY = "SavepointRedeploy"
    """A new start from an explicit path; the last resort."""


class Plan(Model):
    """What is going to be done; written before it is done."""

    id: Annotated[str, Field(max_length=64)]
    """Identity of the plan; the patch writes it into the target's annotations."""
    action: ActionType
    """Type of the action."""
    method: Method
    """How it is carried out."""
    timeout: Duration = timedelta(minutes=10)
    """How long the job may take until it runs as planned."""
    parallelism_before: int
    """Parallelism of the job when the plan was made."""
    parallelism_after: int
    """Parallelism asked for."""
    job_parallelism: int | None = None
    """spec.job.parallelism when the plan was made; none where it was not set."""
    vertices: Annotated[tuple[Annotated[str, Field(max_length=NAME_LIMIT)], ...], Field(max_length=NAMES_LIMIT)] = ()
    """Ids of the job's vertices that are to run at the new parallelism."""
    checkpoint: int | None = None
    """Id of the checkpoint that a Restore is expected to start from, or a later one."""
    nonce: int | None = None
    """The restartNonce or savepointRedeployNonce that the patch sets."""
    left_alone: Annotated[tuple[Annotated[str, Field(max_length=NAME_LIMIT)], ...], Field(max_length=NAMES_LIMIT)] = ()
    """Names of the vertices that have a parallelism of their own and keep it."""
    warnings: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=8)] = ()
    """What stands against the plan without stopping it, each with its reason constant."""
    sizing: Annotated[str, Field(max_length=1024)] | None = None
    """How the parallelism was reckoned, where the policy says toDrainWithin."""
    observed_generation: int
    """Generation of the target that the plan was made for."""
    patch: JsonText
    """JSON patch (RFC 6902) as text."""
    inverse: JsonText = ""
    """JSON patch that takes it back; empty where there is nothing to take back."""


class Attempt(Model):
    """An action that was begun; budgets are counted from these."""

    step: Annotated[int, Field(ge=0, le=64)]
    """Rung of the ladder, from 0."""
    action: Annotated[str, Field(max_length=128)]
    """The action in short."""
    planned: PreciseTime
    """When its plan was written."""
    ended: PreciseTime | None = None
    """When it was known what came of it."""
    reason: Annotated[str, Field(max_length=64)] = ""
    """What came of it, as a constant."""
    message: Annotated[str, Field(max_length=512)] = ""
    """What came of it, for people."""


class Measurement(Model):
    """What was seen of the job at one moment."""

    parallelism: int | None = None
    """Parallelism of the planned vertices, by JobManager REST."""
    checkpoint: int | None = None
    """Id of the latest checkpoint that the job could start from."""
    checkpoint_path: Annotated[str, Field(max_length=PATH_LIMIT)] = ""
    """Where it is stored; empty where JobManager REST names no place."""
    query_value: float | None = None
    """Value of a series that the policy's query returned, where it is a finite number."""

    @field_validator("query_value")
    @classmethod
    def _finite(cls, value: float | None) -> float | None:
        # JSON has no words for the others.
        return value if value is not None and math.isfinite(value) else None


class TimelineEntry(Model):
    """One transition."""

    time: PreciseTime
    """When."""
    phase: Phase
    """Phase entered."""
    reason: Annotated[str, Field(max_length=64)]
    """Reason constant."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """For people."""


class Times(Model):
    """When the steps happened; latencies are their differences."""

    planned: PreciseTime | None = None
    """The plan was written."""
    patched: PreciseTime | None = None
    """The API server accepted the patch."""
    running: PreciseTime | None = None
    """The job was seen running as planned, with a checkpoint completed since."""
    holding_since: PreciseTime | None = None
    """The policy's query has held since."""
    reverting: PreciseTime | None = None
    """It was decided to take the change back."""
    reverted: PreciseTime | None = None
    """The API server accepted the patch that takes the change back."""
    approval_requested: PreciseTime | None = None
    """A person was asked to agree."""
    finished: PreciseTime | None = None
    """The remediation ended."""
    scaled_back: PreciseTime | None = None
    """A scale that had helped was taken back after a quiet period."""


class InterventionKind(StrEnum):
    """What a person asks for, by an annotation."""

    APPROVAL = "Approval"
    RETRY = "Retry"
    CANCEL = "Cancel"


class Intervention(Model):
    """What a person asked for and was heeded; the API server's audit log says which user it was."""

    kind: InterventionKind
    """Approval, Retry or Cancel."""
    value: Annotated[str, Field(max_length=INTERVENTION_LENGTH)] = ""
    """Value of the annotation: the answer, or the reason given."""
    manager: Annotated[str, Field(max_length=128)] = ""
    """Field manager that wrote the annotation, such as kubectl-annotate; empty where the API server does not tell."""
    time: PreciseTime
    """When it was heeded."""


class RemediationStatus(Model):
    """The record."""

    model_config = ConfigDict(title="FlinkRemediationStatus")

    phase: Phase = Phase.PENDING
    """Where the remediation stands."""
    reason: Annotated[str, Field(max_length=64)] = ""
    """Why, as a constant."""
    message: Annotated[str, Field(max_length=2048)] = ""
    """Why, for people: what was seen and what to do about it."""
    action: Annotated[str, Field(max_length=128)] = ""
    """The action in short, such as Scale 2 to 4."""
    step: Annotated[int, Field(ge=0, le=64)] = 0
    """Rung of the policy's ladder, from 0."""
    plan: Plan | None = None
    """What is being done."""
    proposal: Annotated[str, Field(max_length=64)] = ""
    """Id of the plan that a person is asked to approve."""
    policy: JsonText = ""
    """What of the policy's spec it acts by, as JSON text: as it was when the first plan was written."""
    interventions: Annotated[tuple[Intervention, ...], Field(max_length=INTERVENTIONS_LIMIT)] = ()
    """What people asked for, the latest last."""
    attempts: Annotated[tuple[Attempt, ...], Field(max_length=ATTEMPTS_LIMIT)] = ()
    """Actions begun, the latest last."""
    diagnosis: Diagnosis | None = None
    """The job as it was seen before the latest decision."""
    before: Measurement | None = None
    """The job before the patch."""
    after: Measurement | None = None
    """The job as last seen after the patch."""
    times: Times = Times()
    """When the steps happened."""
    timeline: Annotated[tuple[TimelineEntry, ...], Field(max_length=TIMELINE_LIMIT)] = ()
    """The latest transitions."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=8)] = ()
    """Complete (it has ended) and Succeeded (it helped)."""
