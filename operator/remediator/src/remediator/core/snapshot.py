"""The world at one moment, as the guards and the planner see it."""

from dataclasses import dataclass
from datetime import datetime

from remediator.api.policy import PolicySpec
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


@dataclass(frozen=True)
class Job:
    """A job by JobManager REST."""

    id: str
    state: str
    vertices: tuple[Vertex, ...]
    completed_checkpoint: int | None = None
    """Id of the latest completed checkpoint."""
    completed_at: datetime | None = None
    """When it was completed."""
    checkpointing: bool = True
    """Whether the job takes checkpoints at all."""


@dataclass(frozen=True)
class Sibling:
    """Another remediation: what budgets, cooldowns and storms are counted from."""

    name: str
    target: TargetReference
    phase: Phase
    created: datetime
    planned: datetime | None
    """When its plan was written; None if it never came to one."""
    finished: datetime | None


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

    @property
    def target_siblings(self) -> tuple[Sibling, ...]:
        """Siblings with the same target."""
        ref = self.target_ref
        return tuple(s for s in self.siblings if (s.target.namespace, s.target.name) == (ref.namespace, ref.name))
