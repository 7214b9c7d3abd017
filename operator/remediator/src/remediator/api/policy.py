"""FlinkRemediationPolicy: which alerts lead to which actions on which FlinkDeployments."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import re2
from pydantic import ConfigDict, Field, field_validator, model_validator

from remediator.api.base import Condition, Duration, Model, PositiveDuration, Time, cel
from remediator.api.diagnosis import FindingType

Label = Annotated[str, Field(pattern="^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=128)]


class Mode(StrEnum):
    """Whether a policy acts."""

    ACT = "Act"
    OBSERVE = "Observe"


class Operator(StrEnum):
    """Alertmanager's matcher operators; regular expressions are anchored at both ends."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


RE2_OPTIONS: Final = re2.Options()
RE2_OPTIONS.log_errors = False  # they are raised

_COMPILES = "value is no regular expression of Go's syntax"


class Matcher(Model):
    """One condition on a label; a label that is missing counts as the empty string."""

    # An expression that does not compile is an error of the rule, and so of the resource.
    model_config = ConfigDict(
        json_schema_extra=cel(
            ("self.operator in ['=', '!='] || ''.matches(self.value) || !''.matches(self.value)", _COMPILES)
        )
    )

    label: Label
    """Name of the alert's label."""
    operator: Operator = Operator.EQUAL
    """How the value is compared."""
    value: Annotated[str, Field(max_length=1024)]
    """Value or regular expression (Go's RE2 syntax)."""

    @model_validator(mode="after")
    def _compiles(self) -> "Matcher":
        if self.operator in (Operator.REGEX, Operator.NOT_REGEX):
            try:
                re2.compile(self.value, RE2_OPTIONS)
            except re2.error as error:
                raise ValueError(f"{_COMPILES}: {_text(error)}") from None
        return self


def _text(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


_ONE_NAME = "give exactly one of name, nameLabel and consumerGroupLabel"


class TargetSelector(Model):
    """How an alert names its FlinkDeployment. Exactly one way to find the name is given."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("[has(self.name), has(self.nameLabel), has(self.consumerGroupLabel)].filter(x, x).size() == 1", _ONE_NAME)
        )
    )

    namespace: Annotated[str, Field(max_length=63)] | None = None
    """A fixed namespace; without it the label decides."""
    namespace_label: Label = "namespace"
    """Label of the alert that holds the FlinkDeployment's namespace."""
    name: Annotated[str, Field(max_length=253)] | None = None
    """A fixed name."""
    name_label: Label | None = None
    """Label of the alert that holds the FlinkDeployment's name, such as app."""
    consumer_group_label: Label | None = None
    """Label of the alert that holds a Kafka consumer group; the FlinkDeployment names its groups in the
    annotation streaming-monitoring.dev/consumer-groups."""

    @model_validator(mode="after")
    def _one_way(self) -> "TargetSelector":
        ways = [self.name, self.name_label, self.consumer_group_label]
        if sum(way is not None for way in ways) != 1:
            raise ValueError(_ONE_NAME)
        return self


class Strategy(StrEnum):
    """How a scale is carried out."""

    AUTO = "Auto"
    IN_PLACE = "InPlace"
    REDEPLOY = "Redeploy"


_ONE_BOUND = "give either max (with factor or toDrainWithin) or parallelism"
_ONE_STEP = "give either factor or toDrainWithin"
DEFAULT_FACTOR: Final = 2.0
"""By which a scale goes where the policy says nothing else."""


class Scale(Model):
    """Raise the job's parallelism: by a factor, or as the backlog needs it, up to a maximum; or to a fixed value."""

    # A factor beside parallelism is let pass: the API server has written the default there, when there was one.
    model_config = ConfigDict(
        json_schema_extra=cel(
            ("has(self.max) != has(self.parallelism)", _ONE_BOUND),
            ("!(has(self.toDrainWithin) && (has(self.factor) || has(self.parallelism)))", _ONE_STEP),
        )
    )

    factor: Annotated[float, Field(gt=1, le=100)] | None = None
    """New parallelism is the old one times this, rounded up; 2 where neither this nor toDrainWithin is given."""
    to_drain_within: PositiveDuration | None = None
    """Instead of factor: the smallest parallelism by which the backlog is gone in this time, reckoned from the messages
    that come in, those that wait, and what a busy subtask does; twice the old one where that is not known."""
    headroom: Annotated[float, Field(ge=1, le=10)] = 1.2
    """With toDrainWithin: so many times what the arithmetic asks for: the load may grow, and measurements err."""
    max: Annotated[int, Field(ge=2, le=32768)] | None = None
    """Never beyond this parallelism; required unless parallelism is given."""
    parallelism: Annotated[int, Field(ge=2, le=32768)] | None = None
    """A fixed new parallelism, instead of factor and max."""
    strategy: Strategy = Strategy.AUTO
    """InPlace rescales the running job by vertex overrides (adaptive scheduler, Flink 1.18 to 1.20); Redeploy
    stops it and starts it from its state; Auto takes InPlace where it is safe."""

    @model_validator(mode="after")
    def _bounded(self) -> "Scale":
        if (self.max is None) == (self.parallelism is None):
            raise ValueError(_ONE_BOUND)
        if self.to_drain_within is not None and self.factor is not None:
            raise ValueError(_ONE_STEP)
        return self


class Restore(Model):
    """Start the job again from its latest checkpoint, which Flink's operator picks (upgrade mode last-state)."""

    max_checkpoint_age: PositiveDuration = timedelta(minutes=30)
    """Refuse when the latest completed checkpoint is older: more would be read again than the user expects."""
    only_if_failed: bool = False
    """Wait until the job has failed for good, and leave alone what Flink still brings back by itself."""
    allow_savepoint_redeploy: bool = False
    """Allow a redeploy from the checkpoint's path when Flink's operator says that it needs a manual restore. It drops
    the high availability metadata first, and Flink's operator (1.8 or newer) cannot roll it back."""


class ActionType(StrEnum):
    """What is done."""

    SCALE = "Scale"
    RESTORE = "Restore"
    RESTART = "Restart"


_DEFAULT_FORBIDDEN: Final = {
    ActionType.SCALE: (FindingType.HOT_PARTITION, FindingType.FEWER_PARTITIONS_THAN_SUBTASKS),
}
_FindingTypes = Annotated[tuple[FindingType, ...], Field(max_length=len(FindingType))]


class Findings(Model):
    """Which findings about the running job an action depends on. What could not be read is no finding."""

    forbid: _FindingTypes | None = None
    """Refuse the action when one of these is found. Default: for a Scale HotPartition and FewerPartitionsThanSubtasks,
    which more subtasks do not help. []: none, and the action waits for no diagnosis."""
    require: _FindingTypes = ()
    """Refuse the action unless one of these is found; wait as long as the job cannot be looked at."""


_SCALE_FITS = "scale is required for type Scale, and for no other"
_RESTORE_FITS = "restore is for type Restore only"


class Action(Model):
    """One rung of the ladder."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("(self.type == 'Scale') == has(self.scale)", _SCALE_FITS),
            ("!has(self.restore) || self.type == 'Restore'", _RESTORE_FITS),
        )
    )

    type: ActionType
    """Scale: raise the parallelism. Restore: start again from the latest checkpoint. Restart: start again by the
    deployment's own upgrade mode."""
    scale: Scale | None = None
    """How far a Scale goes; required for it, and for nothing else."""
    restore: Restore | None = None
    """Limits of a Restore; for nothing else."""
    findings: Findings = Findings()
    """What has to be seen of the job, or must not be."""
    timeout: PositiveDuration = timedelta(minutes=10)
    """How long the job may take until it runs as planned, before the action counts as ineffective."""

    @property
    def depends_on_nothing(self) -> bool:
        """Whether the action does not wait for anybody to look at the job first: findings.forbid is []."""
        sized = self.scale is not None and self.scale.to_drain_within is not None
        return self.findings.forbid == () and not self.findings.require and not sized

    @property
    def forbidden(self) -> tuple[FindingType, ...]:
        """Findings with which the action is refused."""
        forbid = self.findings.forbid
        return _DEFAULT_FORBIDDEN.get(self.type, ()) if forbid is None else forbid

    @model_validator(mode="after")
    def _parameters_fit(self) -> "Action":
        if (self.type is ActionType.SCALE) != (self.scale is not None):
            raise ValueError(_SCALE_FITS)
        if self.restore is not None and self.type is not ActionType.RESTORE:
            raise ValueError(_RESTORE_FITS)
        return self


class Verify(Model):
    """What "it worked" means to the user, beyond the job running as planned."""

    query: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """PromQL that returns at least one series when all is well. ``{{ labels.NAME }}`` stands for a label of
    the alert, ``{{ labels.NAME? }}`` for one that may be missing, ``{{ target.name }}`` and ``{{ target.namespace }}``
    for the FlinkDeployment."""
    hold_for: Annotated[Duration, Field(alias="for")] = timedelta(minutes=1)
    """How long the query must hold without a break."""
    timeout: Duration = timedelta(minutes=10)
    """How long to wait for the query, counted from the job running as planned; 0s: it has to hold at once."""


class BudgetEntry(Model):
    """At most so many actions on one target in a sliding period."""

    max: Annotated[int, Field(ge=1, le=1000)]
    """Number of actions."""
    per: PositiveDuration
    """Length of the period."""


class Storm(Model):
    """Many targets at once are a problem of the platform: none is acted on while it lasts, without approval."""

    max_targets: Annotated[int, Field(ge=1, le=1000)]
    """More distinct targets than this, whose alerts fire, are a storm."""
    per: PositiveDuration
    """Length of the period in which their alerts began."""


class Approval(Model):
    """Whether a person has to agree before anything is done."""

    required: bool = False
    """Wait for kubectl annotate flinkremediation NAME remediation.streaming-monitoring.dev/approval=approved:PLAN (or
    denied), where PLAN is status.proposal."""
    timeout: PositiveDuration = timedelta(minutes=15)
    """How long to wait; without an answer nothing is done."""


class Day(StrEnum):
    """A day of the week."""

    MONDAY = "Mon"
    TUESDAY = "Tue"
    WEDNESDAY = "Wed"
    THURSDAY = "Thu"
    FRIDAY = "Fri"
    SATURDAY = "Sat"
    SUNDAY = "Sun"


class WindowMode(StrEnum):
    """What a policy does in a window."""

    ACT = "Act"
    ASK = "Ask"
    OBSERVE = "Observe"


ClockTime = Annotated[str, Field(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Window(Model):
    """Hours of some days, by the clock on the wall."""

    days: Annotated[tuple[Day, ...], Field(max_length=7)] = ()
    """Days on which it begins; without them, every day."""
    begins: Annotated[ClockTime, Field(alias="from")] = "00:00"
    """When it begins, such as "09:00"."""
    ends: Annotated[ClockTime, Field(alias="to")] = "00:00"
    """When it is over; the same as from, or before it: on the next day."""
    mode: WindowMode
    """Act; Ask: wait until a person has approved the plan; Observe: decide and record, patch nothing."""


class Schedule(Model):
    """When the policy acts, asks or only observes."""

    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = "UTC"
    """Name of the time zone of the hours, such as Europe/Berlin (IANA)."""
    windows: Annotated[tuple[Window, ...], Field(min_length=1, max_length=32)]
    """The first that holds counts."""
    otherwise: WindowMode = WindowMode.ACT
    """What it does outside of all windows."""

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"no time zone {name!r}; one such as Europe/Berlin or UTC is expected") from None
        return name


class GitOps(StrEnum):
    """What to do about a FlinkDeployment that Argo CD or Flux keeps as it is in Git."""

    REFUSE = "Refuse"
    TAKE = "Take"


class Guards(Model):
    """When a policy holds back."""

    cooldown: Duration = timedelta(minutes=15)
    """Pause on a target after its last finished remediation."""
    budget: Annotated[tuple[BudgetEntry, ...], Field(max_length=8)] = (
        BudgetEntry(max=3, per=timedelta(hours=1)),
        BudgetEntry(max=7, per=timedelta(hours=24)),
    )
    """Limits on the number of actions on one target."""
    # Without nullable, the API server drops a null, and the default comes back.
    storm: Annotated[Storm | None, Field(json_schema_extra={"nullable": True})] = Storm(
        max_targets=3, per=timedelta(minutes=10)
    )
    """Limit on the number of targets in trouble at once; null for none."""
    approval: Approval = Approval()
    """Whether a person has to agree."""
    schedule: Schedule | None = None
    """When it acts, asks or only observes; without one it is always as mode and approval say."""
    git_ops: GitOps = GitOps.REFUSE
    """Refuse what Argo CD or Flux manages, because they would take a change back; or Take it, where they are
    configured to ignore the fields (see docs/remediation-policy.md)."""
    max_alert_age: PositiveDuration = timedelta(hours=24)
    """An alert that began longer ago is not acted on: what would have helped then may not fit any more."""
    pause_requests: Annotated[tuple[Annotated[str, Field(max_length=256)], ...], Field(max_length=32)] = ()
    """Reasons to pause, by name; while any is listed nothing new is started. One that ends in "until" and a time, such
    as until 2026-03-01T05:00:00Z, counts until then."""


class RevertAfter(Model):
    """Scale back when the pressure is gone."""

    quiet_for: PositiveDuration = timedelta(minutes=30)
    """How long the query must have held."""
    query: Annotated[str, Field(min_length=1, max_length=4096)]
    """PromQL that returns at least one series while the smaller parallelism would do; with the same expressions as
    verify.query."""


class Revert(Model):
    """When a change is taken back."""

    on_ineffective: bool = True
    """Apply the inverse patch when the action did not help."""
    after: RevertAfter | None = None
    """Take a scale that helped back after a quiet period; never by default."""


class PolicySpec(Model):
    """What the user writes."""

    model_config = ConfigDict(title="FlinkRemediationPolicySpec")

    mode: Mode = Mode.ACT
    """Act, or Observe: decide and record, patch nothing."""
    match: Annotated[tuple[Matcher, ...], Field(min_length=1, max_length=32)]
    """Which alerts this policy answers; all conditions must hold."""
    target: TargetSelector
    """Which FlinkDeployment an alert is about."""
    actions: Annotated[tuple[Action, ...], Field(min_length=1, max_length=8)]
    """The ladder: the next rung is tried when the one before proved ineffective."""
    verify: Verify = Verify()
    """How success is told."""
    guards: Guards = Guards()
    """When to hold back."""
    revert: Revert = Revert()
    """When to take a change back."""
    history_limit: Annotated[int, Field(ge=1, le=1000)] = 20
    """FlinkRemediations kept for each target, however old."""
    ttl: Duration = timedelta(days=7)
    """What is beyond the history limit is deleted so long after its end."""


class PolicyStatus(Model):
    """What the controller says about a policy."""

    model_config = ConfigDict(title="FlinkRemediationPolicyStatus")

    observed_generation: int = 0
    """Generation of the policy that this is about."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=8)] = ()
    """Ready: whether the policy can be read, and so answers alerts."""
    last_triggered: Time | None = None
    """When its latest FlinkRemediation was created."""
    open: int = 0
    """Its FlinkRemediations that have not ended."""
