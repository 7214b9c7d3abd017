"""A sized step drains the backlog in time, is the smallest that does, and shows its arithmetic."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remediator.api.diagnosis import Diagnosis, VertexLoad
from remediator.api.policy import Scale
from remediator.core.decide import decide
from remediator.core.decision import Act, Refuse, Wait
from remediator.core.sizing import RESTART, arithmetic, desired, sized
from worlds import NOW, policy, snapshot


def scale(**changes: Any) -> Scale:
    return Scale.model_validate({"toDrainWithin": "5m", "max": 16, **changes})


def seen(
    rate: float = 800, each: float = 333, parallelism: int = 2, backlog: float = 2500, **changes: Any
) -> Diagnosis:
    """A job that falls behind: ``parallelism`` subtasks that do ``each`` messages per second are busy all the time."""
    vertex = VertexLoad(name="feature_extractor", parallelism=parallelism, busy=1000, busiest=1000)
    numbers = {"input_rate": rate, "consumed_rate": each * parallelism, "backlog": backlog, "vertices": (vertex,)}
    return Diagnosis(time=NOW, bottleneck=vertex.name, **{**numbers, **changes})  # type: ignore[arg-type]


def seconds_to_drain(parallelism: int, rate: float, each: float, backlog: float) -> float:
    """Simulate it, second by second: a restart in which nothing is consumed, then all subtasks at work."""
    waiting, passed = backlog, 0
    while passed < 7200:
        passed += 1
        working = passed > RESTART.total_seconds()
        waiting = max(waiting + rate - (each * parallelism if working else 0), 0)
        if working and not waiting:
            return passed
    return float("inf")


@given(
    rate=st.floats(1, 5000),
    each=st.floats(5, 1000),
    backlog=st.floats(0, 1e6),
    minutes=st.integers(2, 60),
    headroom=st.sampled_from([1, 1.2, 2]),
)
def test_it_drains_in_time_and_no_smaller_one_would(
    rate: float, each: float, backlog: float, minutes: int, headroom: float
) -> None:
    rule = scale(toDrainWithin=f"{minutes}m", headroom=headroom, max=32768)
    step = sized(rule, 2, seen(rate, each, backlog=backlog))
    assert step is not None
    assert step.measured
    limit = minutes * 60
    assert seconds_to_drain(step.parallelism, rate, each, backlog) <= limit + 1
    if headroom == 1 and step.parallelism > 1:
        assert seconds_to_drain(step.parallelism - 1, rate * 0.999, each * 0.999, backlog) > limit - 2


@pytest.mark.parametrize(
    ("rate", "backlog", "expected"),
    [(700, 2500, 4), (800, 2500, 4), (900, 2500, 5), (800, 50_000, 5), (1200, 2500, 6), (500, 100, 3)],
)
def test_the_example_jobs_overload(rate: float, backlog: float, expected: int) -> None:
    step = sized(scale(), 2, seen(rate, backlog=backlog))
    assert step is not None
    assert step.parallelism == expected


def test_the_arithmetic_is_told() -> None:
    assert arithmetic(scale(max=4), 2, seen(800, backlog=50_000, partitions=8)) == (
        "2 subtasks of feature_extractor, busy 100%, consume 666/s: 333/s for each busy one. 800/s come in, "
        "50,000 wait, and 48,000 more after a restart of 1m; drained in 4m of 5m: (800 + 98,000/240) x 1.2 = "
        "1,450/s, which takes 5. Bounded to 4 by scale.max."
    )
    assert arithmetic(scale(), 2, seen(800, backlog=50_000, partitions=4)).endswith("Bounded to 4 by the partitions.")
    assert arithmetic(Scale(factor=2, max=4), 2, seen()) == ""


def test_half_busy_subtasks_can_do_twice_of_what_they_do() -> None:
    half = VertexLoad(name="feature_extractor", parallelism=2, busy=500, busiest=520)
    step = sized(scale(), 2, seen(666, consumed_rate=666, backlog=0, vertices=(half,)))
    assert step is not None
    assert "busy 50%, consume 666/s: 666/s for each busy one" in step.arithmetic
    assert step.parallelism == 2


def test_early_in_an_overload_what_is_consumed_is_that_of_the_last_minute() -> None:
    # Of five minutes, four at 300/s and one at the 571/s that two subtasks carry; each message makes three records.
    average = (4 * 300 + 571) / 5
    vertex = VertexLoad(
        name="feature_extractor",
        parallelism=2,
        busy=1000,
        busiest=1000,
        records_in=571,
        records_out=1142,
        records_before=3 * average,
    )
    step = sized(scale(), 2, seen(650, consumed_rate=average, backlog=5000, vertices=(vertex,)))
    assert step is not None
    assert "busy 100%, consume 571/s: 286/s for each busy one" in step.arithmetic
    assert step.parallelism == 4


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ({"input_rate": None}, "the rate of incoming messages is not known"),
        ({"consumed_rate": None, "backlog": None}, "the rate of consumed messages, the backlog are not known"),
        ({"consumed_rate": 0.0}, "nothing is consumed"),
        ({"vertices": ()}, "no vertex is known to be busy"),
    ],
)
def test_what_cannot_be_reckoned_is_doubled_and_says_why(missing: dict[str, Any], told: str) -> None:
    step = sized(scale(), 3, seen(**missing))
    assert step is not None
    assert (step.parallelism, step.measured) == (6, False)
    assert step.arithmetic == f"The step cannot be sized, because {told}: 3 to 6, by the factor 2."
    assert "the job was not looked at" in arithmetic(scale(), 3, None)


def test_a_plan_carries_its_arithmetic_and_stays_within_the_bounds() -> None:
    rung = [{"type": "Scale", "scale": {"toDrainWithin": "5m", "max": 16}}]
    decision = decide(snapshot(policy=policy(actions=rung), diagnosis=seen(1200)))
    assert isinstance(decision, Act)
    assert decision.plan.parallelism_after == 6
    assert decision.plan.sizing.endswith("which takes 6.")


def test_a_size_that_suffices_waits_and_one_at_the_maximum_is_refused() -> None:
    rung = [{"type": "Scale", "scale": {"toDrainWithin": "5m", "max": 2}}]
    enough = decide(snapshot(policy=policy(actions=rung), diagnosis=seen(100, backlog=0)))
    assert isinstance(enough, Wait)
    assert enough.reason == "SizeSuffices"
    bounded = decide(snapshot(policy=policy(actions=rung), diagnosis=seen(1200)))
    assert isinstance(bounded, Refuse)
    assert bounded.reason == "AlreadyAtMaximum"


positive = st.none() | st.floats(0, 1e300)


@given(
    current=st.integers(1, 32768),
    maximum=st.integers(2, 32768),
    headroom=st.floats(1, 10),
    within=st.integers(1, 86_400),
    diagnosis=st.none()
    | st.builds(
        Diagnosis,
        time=st.just(NOW),
        input_rate=positive,
        consumed_rate=positive,
        backlog=positive,
        partitions=st.none() | st.integers(1, 1000),
        vertices=st.lists(
            st.builds(
                VertexLoad,
                name=st.text(max_size=20),
                parallelism=st.integers(0, 40_000),
                busy=positive,
                records_in=positive,
                records_out=positive,
                records_before=positive,
            ),
            max_size=4,
        ).map(tuple),
    ),
)
def test_whatever_was_measured_the_step_stays_within_the_bounds_and_the_record(
    current: int, maximum: int, headroom: float, within: int, diagnosis: Diagnosis | None
) -> None:
    rule = Scale(to_drain_within=timedelta(seconds=within), headroom=headroom, max=maximum)
    asked = desired(rule, current, diagnosis)
    assert current <= asked <= max(current, maximum)
    assert 0 < len(arithmetic(rule, current, diagnosis)) <= 1024
