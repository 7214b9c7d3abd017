"""What is recorded of a job as it was seen before a decision: load of its vertices, and the findings."""

import math
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from remediator.api.base import Model, PreciseTime

VERTICES_LIMIT = 16
MISSING_LIMIT = 16
MESSAGE_LIMIT = 512


class FindingType(StrEnum):
    """What can be found about a job that does not keep up, the most decisive first."""

    FEWER_PARTITIONS_THAN_SUBTASKS = "FewerPartitionsThanSubtasks"
    """The topics have fewer partitions than the source has subtasks: some have nothing to read."""
    HOT_PARTITION = "HotPartition"
    """Most of the backlog is in one partition, which one subtask reads."""
    SKEWED = "Skewed"
    """Few subtasks of the bottleneck do most of the work."""
    GARBAGE = "Garbage"
    """A TaskManager spends much of its time on garbage collection."""
    CHECKPOINT_BOUND = "CheckpointBound"
    """Checkpoints take much of the time between them, and not for backpressure."""
    WAITS_OUTSIDE = "WaitsOutside"
    """The bottleneck is busy, but not with computing: it waits for something outside, such as a slow store."""
    CPU_BOUND = "CpuBound"
    """The bottleneck is busy computing: the good case for more subtasks."""
    SOURCE_BOUND = "SourceBound"
    """There is a backlog, and the whole job waits for its source."""


def _finite(value: float | None) -> float | None:
    # JSON has no words for the others.
    return round(value, 3) if value is not None and math.isfinite(value) else None


Number = Annotated[float | None, AfterValidator(_finite)]
Text = Annotated[str, Field(max_length=MESSAGE_LIMIT)]
VertexName = Annotated[str, Field(max_length=256)]


class Finding(Model):
    """One thing that was found, with its evidence."""

    type: FindingType
    """What, as a constant."""
    message: Text
    """The evidence, for people."""


class VertexLoad(Model):
    """What a vertex of the job's graph was seen doing, as the average of its subtasks where nothing else is said."""

    name: VertexName
    """Name of the vertex."""
    parallelism: Annotated[int, Field(ge=0)]
    """Number of its subtasks."""
    source: bool = False
    """Whether nothing in the job feeds it."""
    busy: Number = None
    """Milliseconds of each second in which a subtask works or waits for an answer."""
    busiest: Number = None
    """The same of the busiest subtask."""
    back_pressured: Number = None
    """Milliseconds of each second in which a subtask cannot hand on what it has."""
    idle: Number = None
    """Milliseconds of each second in which a subtask has nothing to do."""
    records_in: Number = None
    """Records that all subtasks together take in, each second."""
    records_out: Number = None
    """Records that all subtasks together hand on, each second."""
    records_before: Number = None
    """Both together, on average over the time of the consumed rate."""
    watermark_lag: Number = None
    """Seconds by which the subtask that is furthest behind in event time is behind the clock."""


class Diagnosis(Model):
    """A job as it was seen before a decision."""

    time: PreciseTime
    """When it was looked at."""
    main: Annotated[str, Field(max_length=64)] = ""
    """Type of the most decisive finding; empty where nothing was found."""
    bottleneck: VertexName = ""
    """The vertex that holds the others up; empty where none does, or none is known to."""
    findings: Annotated[tuple[Finding, ...], Field(max_length=len(FindingType))] = ()
    """All findings, the most decisive first."""
    vertices: Annotated[tuple[VertexLoad, ...], Field(max_length=VERTICES_LIMIT)] = ()
    """Load of the vertices; of a bigger graph, the busiest."""
    cpu_used: Number = None
    """CPU cores that the TaskManagers use together."""
    cpu_limit: Number = None
    """CPU cores that they may use together."""
    garbage: Number = None
    """Share of its time, 0 to 1, that the worst TaskManager spends on garbage collection."""
    heap: Number = None
    """Share of its heap, 0 to 1, that the fullest TaskManager uses."""
    checkpoint_seconds: Number = None
    """How long the last checkpoint took."""
    checkpoint_interval: Number = None
    """Seconds between the starts of two checkpoints."""
    backlog: Number = None
    """Messages that are not consumed yet, in all partitions together."""
    partitions: int | None = None
    """Partitions of the topics that the job reads."""
    input_rate: Number = None
    """Messages that are written to the topics each second."""
    consumed_rate: Number = None
    """Messages that the job consumes each second, on average over five minutes."""
    exception: Text = ""
    """Root cause of the job's last failure."""
    missing: Annotated[tuple[Annotated[str, Field(max_length=128)], ...], Field(max_length=MISSING_LIMIT)] = ()
    """What could not be read, or not in time; nothing is concluded from it."""
