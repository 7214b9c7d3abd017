"""How far a job is to be scaled so that its backlog is gone in time, with the arithmetic in words.

The true processing rate of a subtask is what it does in a second of which it is busy all the time (V. Kalavri et al.,
"Three steps is all you need", OSDI 2018; Flink's autoscaler goes by the same): messages that the job consumes, through
the busy time of all subtasks of the busiest vertex. Messages are those of the job's topics, so that it does not matter
how many records that vertex makes of one. Busy time is that of the last minute, and consumed messages are known as an
average of five, since commits come in steps: by the records of the vertex, which are known for both, the one is brought
to the time of the other. Averages of both over five minutes would not do, because subtasks with little to do are often
busy for less than their share, such as those that wait for a store only once it is at its limit.
"""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from remediator.api.base import format_duration
from remediator.api.diagnosis import Diagnosis, VertexLoad
from remediator.api.policy import DEFAULT_FACTOR, Scale

RESTART: Final = timedelta(minutes=1)
"""What a change is assumed to take, in which messages arrive and none is consumed. Seen: 29 s in place, 107 s anew."""
BUSY_ENOUGH: Final = 100.0
"""Busy milliseconds of each second below which a rate per busy second is mostly the error of what it is divided by."""

MOST: Final = 32_768
"""Flink's own limit of a parallelism (KeyGroupRangeAssignment.UPPER_BOUND_MAX_PARALLELISM)."""
TEXT_LIMIT: Final = 1024


@dataclass(frozen=True)
class Sized:
    """A parallelism that is asked for, before the policy's bounds."""

    parallelism: int
    arithmetic: str
    """How it was reckoned, for people."""
    measured: bool = True
    """Whether it follows from measurements."""


def sized(scale: Scale, current: int, diagnosis: Diagnosis | None) -> Sized | None:
    """Return the smallest parallelism that drains the backlog in ``scale.to_drain_within``; None where that is not set.

    Where it cannot be reckoned, the job is scaled by the default factor: a number that is missing stops no remedy.
    """
    if scale.to_drain_within is None:
        return None
    why_not = _unknown(diagnosis)
    if why_not or diagnosis is None:
        asked = math.ceil(current * DEFAULT_FACTOR)
        text = f"The step cannot be sized, because {why_not}: {current} to {asked}, by the factor {DEFAULT_FACTOR:g}."
        return Sized(asked, text, measured=False)
    written, backlog, busiest = diagnosis.input_rate or 0, diagnosis.backlog or 0, _busiest(diagnosis)
    assert busiest is not None  # _unknown has found it
    consumed, busy = _consumed_now(diagnosis.consumed_rate or 0, busiest), (busiest.busy or 0) / 1000
    each = consumed / (busiest.parallelism * busy)
    within = scale.to_drain_within
    # At least half of the time is for draining, else no parallelism would do for a short one.
    left = max(within - RESTART, within / 2)
    waiting = backlog + written * RESTART.total_seconds()
    headroom = scale.headroom
    needed = (written + waiting / left.total_seconds()) * headroom
    share = needed / each if each > 0 else math.inf
    wanted = max(1, math.ceil(share - 1e-9)) if share < MOST else MOST
    text = (
        f"{busiest.parallelism} subtasks of {busiest.name[:80]}, busy {busy:.0%}, consume {consumed:,.0f}/s: "
        f"{each:,.0f}/s for each busy one. {written:,.0f}/s come in, {backlog:,.0f} wait, and "
        f"{written * RESTART.total_seconds():,.0f} more after a restart of {format_duration(RESTART)}; drained in "
        f"{format_duration(left)} of {format_duration(within)}: ({written:,.0f} + {waiting:,.0f}/"
        f"{left.total_seconds():,.0f}) x {headroom:g} = {needed:,.0f}/s, which takes {wanted:,}."
    )
    return Sized(wanted, text)


def desired(scale: Scale, current: int, diagnosis: Diagnosis | None = None) -> int:
    """Return the parallelism to ask for; never below the current one, never beyond the policy's bounds or, where the
    step is sized, the partitions."""
    if scale.parallelism is not None:
        return max(scale.parallelism, current)
    assert scale.max is not None  # the model says so
    step = sized(scale, current, diagnosis)
    if step is None:
        return max(min(math.ceil(current * (scale.factor or DEFAULT_FACTOR)), scale.max), current)
    partitions = diagnosis.partitions if diagnosis and diagnosis.partitions else scale.max
    return max(min(step.parallelism, scale.max, partitions), current)


def arithmetic(scale: Scale, current: int, diagnosis: Diagnosis | None) -> str:
    """Return how the step was sized and what bounds it, for the record; empty for a step that is not sized."""
    step = sized(scale, current, diagnosis)
    if step is None:
        return ""
    asked = desired(scale, current, diagnosis)
    bound = ""
    if asked < step.parallelism:
        few = diagnosis is not None and diagnosis.partitions == asked
        bound = f" Bounded to {asked} by {'the partitions' if few else 'scale.max'}."
    return f"{step.arithmetic[: TEXT_LIMIT - len(bound)]}{bound}"


def _unknown(diagnosis: Diagnosis | None) -> str:
    """Say what is missing for the arithmetic; empty if nothing is."""
    if diagnosis is None:
        return "the job was not looked at"
    numbers = {
        "the rate of incoming messages": diagnosis.input_rate,
        "the rate of consumed messages": diagnosis.consumed_rate,
        "the backlog": diagnosis.backlog,
    }
    missing = [what for what, number in numbers.items() if number is None]
    if missing:
        return f"{' and '.join(missing)} is not known" if len(missing) == 1 else f"{', '.join(missing)} are not known"
    busiest = _busiest(diagnosis)
    if busiest is None:
        return "no vertex is known to be busy"
    return "" if (diagnosis.consumed_rate or 0) > 0 else "nothing is consumed"


def _consumed_now(consumed: float, vertex: VertexLoad) -> float:
    """Return the messages consumed each second in the last minute; the average, where a vertex' records are unknown."""
    now = (vertex.records_in or 0) + (vertex.records_out or 0)
    before = vertex.records_before or 0
    return consumed * now / before if now > 0 and before > 0 else consumed


def _busiest(diagnosis: Diagnosis) -> VertexLoad | None:
    known = [v for v in diagnosis.vertices if (v.busy or 0) >= BUSY_ENOUGH and v.parallelism > 0]
    named = [v for v in known if v.name == diagnosis.bottleneck]
    return max(named or known, key=lambda v: v.busy or 0, default=None)
