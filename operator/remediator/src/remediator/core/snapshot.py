"""The world at one moment, as the guards and the planner see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from remediator.api.diagnosis import Diagnosis
from remediator.api.policy import Action, PolicySpec
from remediator.api.reasons import Phase
from remediator.api.remediation import AlertReference, TargetReference
from remediator.core.flinkdeployment import FlinkDeployment


@dataclass(frozen=True)
class Vertex:
    """A vertex of a running job's graph, by JobManager REST."""

    id: str
    name: str
    parallelism: int
    max_parallelism: int
    status: str = "RUNNING"
    source: bool = False
    """Whether the job's graph is known, and nothing in it feeds this vertex."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint or savepoint by JobManager REST."""

    id: int
    at: datetime | None = None
    """When it was completed; for the one a job started from, when it was restored."""
    path: str = ""
    """Where it is stored; empty where nothing can address it from outside."""


@dataclass(frozen=True)
class Job:
    """A job by JobManager REST."""

    id: str
    state: str
    vertices: tuple[Vertex, ...]
    completed: Checkpoint | None = None
    """Latest checkpoint that was completed by this run of the JobManager."""
    restored: Checkpoint | None = None
    """What this run of the job started from."""
    savepoint: Checkpoint | None = None
    """Latest savepoint that was completed by this run of the JobManager."""
    checkpointing: bool = True
    """Whether the job takes checkpoints at all."""
    checkpoints_known: bool = True
    """Whether JobManager REST has statistics of its checkpoints: it loses them with some jobs that have failed."""
    checkpoint_seconds: float | None = None
    """How long the latest completed checkpoint took; None where nothing tells."""

    @property
    def running(self) -> bool:
        """Whether the job and all of its vertices run, or have come to their end; a job that waits for slots calls
        itself RUNNING too."""
        return self.state == "RUNNING" and all(v.status in ("RUNNING", "FINISHED") for v in self.vertices)

    @property
    def latest(self) -> Checkpoint | None:
        """What Flink's operator would start from: the highest id of the three (CheckpointHistoryWrapper)."""
        known = [c for c in (self.completed, self.savepoint, self.restored) if c is not None]
        return max(known, key=lambda c: c.id, default=None)


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another remediation: what budgets, cooldowns and storms are counted from."""

    name: str
    target: TargetReference
    phase: Phase
    created: datetime
    actions: tuple[datetime, ...] = ()
    """When its actions were begun; empty if it never came to one."""
    finished: datetime | None = None
    starts_at: datetime | None = None
    """When its alert began; its creation stands for it where nobody says."""
    resolved: bool = False
    """Whether its alert is over."""
    incident: str = ""
    """Hash of policy, target and alert: records of one incident have the same."""
    deleting: bool = False
    """Whether it is being deleted, and so nobody works on it."""
    unreadable: str = ""
    """What of its record cannot be read; nothing else of it counts then."""


@dataclass(frozen=True)
class Progress:
    """How far the remediation that is decided on has come."""

    step: int = 0
    """Rung of the policy's ladder."""
    actions: tuple[datetime, ...] = ()
    """When its own actions so far were begun."""
    checkpoint: Checkpoint | None = None
    """One with a path that JobManager REST confirmed before an earlier action; when it was completed is not kept."""
    approval: str = ""
    """What a person wrote: approved:PLAN, denied or nothing."""
    approved_by: str = ""
    """Field manager that wrote it; empty where nobody says."""
    proposal: str = ""
    """Id of the plan that a person was asked to approve."""
    approval_requested: datetime | None = None
    """When a person was asked about that plan."""


@dataclass(frozen=True)
class Snapshot:
    """Everything a decision about one remediation rests on."""

    now: datetime
    name: str
    """Name of the remediation that is decided on."""
    alert: AlertReference
    resolved: bool
    """Whether Alertmanager has said that the alert is resolved."""
    target_ref: TargetReference
    policy: PolicySpec
    target: FlinkDeployment | None
    job: Job | None
    """None while the JobManager does not answer."""
    siblings: tuple[Sibling, ...] = ()
    progress: Progress = Progress()
    namespace: str = ""
    """Namespace of the remediation that is decided on; empty where nobody says."""
    uid: str = ""
    """Uid of the remediation that is decided on; empty where nobody says."""
    created: datetime | None = None
    """When the remediation that is decided on was created; None where nobody says."""
    incident: str = ""
    """Hash of its policy, target and alert; empty where nobody says."""
    silenced: str = ""
    """What keeps its alert from being notified, such as a silence; empty if nothing does."""
    stops: tuple[str, ...] = ()
    """Requests to stop everything, whatever the policies say."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """All labels of the alert as it came, where they are at hand; a record of a big alert is shortened."""
    unreadable: str = ""
    """What of the FlinkDeployment cannot be read; there is no target then."""
    diagnosis: Diagnosis | None = None
    """What the running job was seen doing; None where nobody looked."""

    @property
    def action(self) -> Action:
        """The rung that is to be decided on."""
        return self.policy.actions[self.progress.step]

    @property
    def checkpoint_with_path(self) -> Checkpoint | None:
        """The latest that has a path, as JobManager REST confirms it now or did before an earlier action."""
        latest = self.job.latest if self.job else None
        return latest if latest and latest.path else self.progress.checkpoint

    @cached_property
    def target_siblings(self) -> tuple[Sibling, ...]:
        """Siblings with the same target."""
        ref = self.target_ref
        return tuple(s for s in self.siblings if (s.target.namespace, s.target.name) == (ref.namespace, ref.name))
