"""What is read of a running job before a decision. Every number may be missing, and none is trusted to be finite."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Spread:
    """A metric over the subtasks of a vertex, or over TaskManagers."""

    minimum: float | None = None
    average: float | None = None
    maximum: float | None = None


UNKNOWN = Spread()


@dataclass(frozen=True)
class VertexReading:
    """A vertex by JobManager REST."""

    id: str
    name: str
    parallelism: int
    source: bool = False
    """Whether no other vertex feeds it."""
    busy: Spread = UNKNOWN
    """Milliseconds of each second; Flink has none (NaN) for some sources."""
    idle: Spread = UNKNOWN
    back_pressured: Spread = UNKNOWN
    records_in: Spread = UNKNOWN
    """Records each second and subtask."""
    records_out: Spread = UNKNOWN
    watermark: float | None = None
    """The lowest of the subtasks, in milliseconds since 1970."""
    start_delay: float | None = None
    """Longest time in seconds until the last checkpoint's barrier reached a subtask."""
    alignment: float | None = None
    """Longest time in seconds that a subtask waited for the barriers of its other inputs."""


@dataclass(frozen=True)
class FlinkReadings:
    """What JobManager REST tells."""

    vertices: tuple[VertexReading, ...] = ()
    cpu_load: float | None = None
    """Highest share, 0 to 1, of the processors that a TaskManager's JVM sees."""
    heap: float | None = None
    """Highest share of its heap that a TaskManager uses."""
    garbage: float | None = None
    """Most milliseconds of each second that a TaskManager spends on garbage collection."""
    checkpoint_seconds: float | None = None
    checkpoint_interval: float | None = None
    exception: str = ""
    missing: tuple[str, ...] = ()
    """What of it did not come, or not in time."""


@dataclass(frozen=True)
class Readings:
    """Everything a diagnosis rests on."""

    at: datetime
    flink: FlinkReadings = FlinkReadings()
    cpu_used: float | None = None
    """CPU cores of all TaskManagers together."""
    cpu_limit: float | None = None
    partitions: Mapping[str, float] = field(default_factory=dict)
    """Lag in messages, by partition; below 0 where nothing is committed."""
    input_rate: float | None = None
    """Messages written each second."""
    consumed_rate: float | None = None
    """Messages consumed each second, over five minutes."""
    records: Mapping[str, float] = field(default_factory=dict)
    """Records in and out of all subtasks of a vertex, each second, over the same time, by the vertex' ID."""
    missing: tuple[str, ...] = ()
    """What of the rest did not come, or not in time."""
