"""From what was read of a job to findings, as an engineer would judge it who looks at Flink's and Kafka's numbers.

Pure and total: whatever is missing or no number leaves its findings out, and nothing is concluded from it.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from remediator.api.diagnosis import (
    MESSAGE_LIMIT,
    MISSING_LIMIT,
    VERTICES_LIMIT,
    Diagnosis,
    Finding,
    FindingType,
    VertexLoad,
)
from remediator.core.readings import Readings, Spread, VertexReading

SATURATED: Final = 800.0
"""Busy milliseconds of each second from which on a subtask counts as saturated. Ours: above the 700 that Flink's
autoscaler aims at (job.autoscaler.utilization.target), and below the 1,000 that pauses never let it reach."""
BACK_PRESSURED: Final = 500.0
"""Flink's web interface calls more than half of the time HIGH ("Monitoring Back Pressure")."""
NOT_BACK_PRESSURED: Final = 100.0
"""And up to a tenth OK."""
CPU_BUSY: Final = 0.8
"""Share of the CPU limit, or cores for each busy subtask, from which on it computes. Ours; the kernel throttles a
container in some of its 100 ms periods well before the average reaches the limit."""
CPU_IDLE: Final = 0.5
"""Below this, of the one and of the other, it mostly waits. Ours; between the two nothing is said."""
UNLIMITED: Final = 1.1
"""Who uses this much more than the limit is not held to it."""
UNEVEN: Final = 0.6
"""Average through maximum of the subtasks, at or below which work is skewed. Ours: evenly spread, the same subtasks
would carry at least 1.6 times as much."""
GARBAGE: Final = 0.3
"""Share of the time spent on garbage collection. Ours; the autoscaler's job.autoscaler.memory.gc-pressure.threshold is
made for the same question and is off by default."""
CHECKPOINTS: Final = 0.5
"""Share of the checkpoint interval that a checkpoint takes. Ours: from there on, it checkpoints more than not."""
BACKLOG: Final = 100.0
"""Fewer messages are no backlog from which anything could be told. Ours: what a fetch of Kafka's consumer holds."""


def diagnose(readings: Readings) -> Diagnosis:
    """Return what is to be said about a job; never raises."""
    vertices = readings.flink.vertices
    neck = _bottleneck(vertices)
    order = list(FindingType)
    findings = sorted(_findings(readings, neck), key=lambda finding: order.index(finding.type))
    flink = readings.flink
    garbage = _number(flink.garbage)
    lags = _lags(readings)
    shown = sorted(vertices, key=lambda v: _busy(v).maximum or 0, reverse=True)[:VERTICES_LIMIT]
    missing = (*flink.missing, *readings.missing)
    return Diagnosis(
        time=readings.at,
        main=str(findings[0].type) if findings else "",
        bottleneck=_name(neck) if neck else "",
        findings=tuple(findings),
        vertices=tuple(_load(v, readings) for v in vertices if v in shown)[:VERTICES_LIMIT],
        cpu_used=_number(readings.cpu_used),
        cpu_limit=_number(readings.cpu_limit),
        garbage=None if garbage is None else garbage / 1000,
        heap=_number(flink.heap),
        checkpoint_seconds=_number(flink.checkpoint_seconds),
        checkpoint_interval=_number(flink.checkpoint_interval),
        backlog=_number(sum(lags.values())) if lags else None,
        partitions=len(readings.partitions) or None,
        input_rate=_number(readings.input_rate),
        consumed_rate=_number(readings.consumed_rate),
        exception=flink.exception[:MESSAGE_LIMIT],
        missing=tuple(text[:128] for text in missing[:MISSING_LIMIT]),
    )


def summary(diagnosis: Diagnosis | None) -> str:
    """Return the main finding in a sentence, for messages; empty where there is none."""
    if diagnosis is None or not diagnosis.findings:
        return ""
    main, *others = diagnosis.findings
    also = f" Also {', '.join(str(other.type) for other in others)}." if others else ""
    return f"Seen: {main.type}. {main.message}{also}"


def found(diagnosis: Diagnosis | None, types: Sequence[FindingType]) -> Finding | None:
    """Return the first finding that is of one of the types."""
    return next((f for f in (diagnosis.findings if diagnosis else ()) if f.type in types), None)


def _findings(readings: Readings, neck: VertexReading | None) -> Iterator[Finding]:
    yield from _partition_findings(readings, neck)
    if neck is not None:
        yield from _skew(neck)
        yield from _cpu(readings, neck)
    yield from _garbage(readings)
    yield from _checkpoints(readings)
    if neck is None:
        yield from _source(readings)


def _bottleneck(vertices: Sequence[VertexReading]) -> VertexReading | None:
    """The vertex with the busiest subtask, if that is saturated; where Flink does not measure how busy a vertex is, the
    one that is not backpressured while another is (Flink, "Monitoring Back Pressure")."""
    saturated = [v for v in vertices if (_busy(v).maximum or 0) >= SATURATED]
    if saturated:
        return max(saturated, key=lambda v: (_busy(v).maximum or 0, _busy(v).average or 0))
    pressed = [v for v in vertices if (_number(v.back_pressured.average) or 0) >= BACK_PRESSURED]
    free = [
        v
        for v in vertices
        if _busy(v).maximum is None and (_number(v.back_pressured.average) or 0) < NOT_BACK_PRESSURED and not v.source
    ]
    return free[0] if pressed and len(free) == 1 else None


def _lags(readings: Readings) -> dict[str, float]:
    """The lags that are known."""
    return {name: lag for name, raw in readings.partitions.items() if (lag := _number(raw)) is not None}


def _partition_findings(readings: Readings, neck: VertexReading | None) -> Iterator[Finding]:
    lags, partitions = _lags(readings), len(readings.partitions)
    sources = [v for v in readings.flink.vertices if v.source]
    subtasks = max((v.parallelism for v in sources), default=0)
    # Where another vertex holds the source up, the partitions are not what limits.
    if 0 < partitions < subtasks and (neck is None or neck.source):
        yield _finding(
            FindingType.FEWER_PARTITIONS_THAN_SUBTASKS,
            f"The topics have {_count(partitions, 'partition')} and the source {subtasks} subtasks: "
            f"{subtasks - partitions} of them read nothing, and more would read nothing either. Add partitions.",
        )
    total = sum(lags.values())
    if partitions < 2 or total < BACKLOG:
        return
    hottest = max(sorted(lags), key=lambda name: lags[name])
    share = lags[hottest] / total
    # Three times its fair share, at least half of all, and what two even partitions would hardly show by chance.
    if share >= max(0.5, min(0.9, 3 / partitions)):
        yield _finding(
            FindingType.HOT_PARTITION,
            f"{share:.0%} of the backlog of {total:,.0f} messages is in {hottest[:150]}, one of {partitions} "
            f"partitions: "
            "one subtask reads it, and more of them do not help. Look at the keys that the producers write.",
        )


def _skew(neck: VertexReading) -> Iterator[Finding]:
    if neck.parallelism < 2:
        return
    for what, unit, spread in (("is busy", "ms/s", _busy(neck)), ("takes in", "records/s", neck.records_in)):
        average, most = _number(spread.average), _number(spread.maximum)
        if average is not None and most is not None and most >= 1 and average / most <= UNEVEN:
            yield _finding(
                FindingType.SKEWED,
                f"One subtask of {_name(neck)} {what} {most:,.0f} {unit}, the average of {neck.parallelism} "
                f"{average:,.0f}: work is not evenly spread, such as by a hot key.",
            )
            return


def _cpu(readings: Readings, neck: VertexReading) -> Iterator[Finding]:
    used, limit = _number(readings.cpu_used), _number(readings.cpu_limit)
    busy = _busy(neck).maximum
    seen = (
        f"{_name(neck)} is busy {busy:.0f} ms of each second" if busy is not None else f"{_name(neck)} holds the job up"
    )
    if used is None:
        load = _number(readings.flink.cpu_load)
        # A JVM may see more processors than its container may use: a low load says nothing.
        if load is not None and CPU_BUSY <= load <= UNLIMITED:
            yield _finding(FindingType.CPU_BOUND, f"{seen}, and a TaskManager's CPU load is {load:.0%}.")
        return
    share = used / limit if limit else None
    if share is not None and share > UNLIMITED:
        share = None
    working = sum((_busy(v).average or 0) * v.parallelism for v in readings.flink.vertices) / 1000
    each = used / working if working >= 0.1 else None
    cores = f"the TaskManagers use {used:.2f}{f' of {limit:.2f}' if share is not None else ''} CPU cores"
    if (share or 0) >= CPU_BUSY or (each or 0) >= CPU_BUSY:
        yield _finding(FindingType.CPU_BOUND, f"{seen}, and {cores}: it computes, and more subtasks on more CPU help.")
    elif each is not None and each < CPU_IDLE and (share is None or share < CPU_IDLE) and not any(_garbage(readings)):
        yield _finding(
            FindingType.WAITS_OUTSIDE,
            f"{seen}, but {cores}, {each:.2f} for each busy subtask: it waits for something outside, such as a slow "
            "store, which is the cause. More subtasks wait side by side, and load it more.",
        )


def _garbage(readings: Readings) -> Iterator[Finding]:
    spent, heap = _number(readings.flink.garbage), _number(readings.flink.heap)
    if spent is not None and spent / 1000 >= GARBAGE:
        full = f" with {heap:.0%} of its heap in use" if heap is not None else ""
        yield _finding(
            FindingType.GARBAGE,
            f"A TaskManager spends {min(spent, 1000):.0f} ms of each second on garbage collection{full}: give it more "
            "memory, or look for what fills it.",
        )


def _checkpoints(readings: Readings) -> Iterator[Finding]:
    flink = readings.flink
    took, interval = _number(flink.checkpoint_seconds), _number(flink.checkpoint_interval)
    if took is None or not interval or took / interval < CHECKPOINTS:
        return
    waited = [_number(value) or 0 for v in flink.vertices for value in (v.start_delay, v.alignment)]
    # Barriers that travel slowly are what backpressure does to checkpoints, not the other way round.
    if max(waited, default=0) >= took / 2:
        return
    yield _finding(
        FindingType.CHECKPOINT_BOUND,
        f"The last checkpoint took {took:,.1f} s of the {interval:,.1f} s between two, and not for backpressure "
        f"(barriers waited {max(waited, default=0):,.1f} s): look at the size of the state and at its store.",
    )


def _source(readings: Readings) -> Iterator[Finding]:
    vertices, backlog = readings.flink.vertices, sum(_number(lag) or 0 for lag in readings.partitions.values())
    idle = [_number(v.idle.average) for v in vertices if v.source]
    pressed = [_number(v.back_pressured.maximum) for v in vertices]
    known = [value for value in (*idle, *pressed) if value is not None]
    if backlog < BACKLOG or not idle or len(known) < len(idle) + len(pressed):
        return
    if (
        min(value or 0 for value in idle) >= BACK_PRESSURED
        and max(value or 0 for value in pressed) < NOT_BACK_PRESSURED
    ):
        yield _finding(
            FindingType.SOURCE_BOUND,
            f"{backlog:,.0f} messages wait, and the source is idle {min(value or 0 for value in idle):.0f} ms of each "
            "second: it gets nothing to read. Look at the brokers, their quotas and the network.",
        )


def _busy(vertex: VertexReading) -> Spread:
    """How busy a vertex is, by what is left of the second where Flink does not measure it."""
    average, maximum = _number(vertex.busy.average), _number(vertex.busy.maximum)
    if average is None:
        average = _rest(vertex.idle.average, vertex.back_pressured.average)
    # The least idle subtask and the least backpressured one need not be the same: nothing is known of the busiest.
    return Spread(None, average, average if maximum is None else maximum)


def _rest(idle: float | None, pressed: float | None) -> float | None:
    first, second = _number(idle), _number(pressed)
    return None if first is None or second is None else min(max(1000 - first - second, 0), 1000)


def _load(vertex: VertexReading, readings: Readings) -> VertexLoad:
    busy, watermark = _busy(vertex), _number(vertex.watermark)
    return VertexLoad(
        name=_name(vertex),
        parallelism=max(vertex.parallelism, 0),
        source=vertex.source,
        busy=busy.average,
        busiest=busy.maximum,
        back_pressured=_number(vertex.back_pressured.average),
        idle=_number(vertex.idle.average),
        records_in=_total(vertex.records_in, vertex.parallelism),
        records_out=_total(vertex.records_out, vertex.parallelism),
        records_before=_number(readings.records.get(vertex.id)),
        watermark_lag=None if watermark is None else readings.at.timestamp() - watermark / 1000,
    )


def _total(spread: Spread, parallelism: int) -> float | None:
    average = _number(spread.average)
    return None if average is None else average * max(parallelism, 0)


def _number(value: float | None) -> float | None:
    """What can be reckoned with: finite, and not below zero, which no reading of ours can be."""
    return value if value is not None and math.isfinite(value) and value >= 0 else None


def _finding(kind: FindingType, message: str) -> Finding:
    return Finding(type=kind, message=message[:MESSAGE_LIMIT])


def _name(vertex: VertexReading) -> str:
    return vertex.name[:256]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
