"""What the benchmarks make of what they saw. They themselves take minutes, and are run by hand."""

import importlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bench import comparison
from bench.__main__ import names
from bench.bench_recovery import CONTENDERS, SETTLED, Course, chosen

from demo.incident import LAG_LIMIT, Incident, Sample

START = datetime(2026, 11, 1, tzinfo=UTC)


def course(*lags: float | None, parallelism: int = 2) -> Course:
    """Ten seconds between samples, at 800 events per second."""
    samples = [
        Sample(START + timedelta(seconds=10 * n), lag, parallelism, 800, "inactive", "") for n, lag in enumerate(lags)
    ]
    return Course(Incident(START, "HighKafkaLag", samples))


@pytest.mark.parametrize("name", names())
def test_each_can_be_started(name: str) -> None:
    assert callable(importlib.import_module(f"bench.bench_{name}").run)


def test_contenders_have_names_of_their_own() -> None:
    assert len({contender.name for contender in CONTENDERS}) == len(CONTENDERS)


def test_contenders_are_chosen_by_name() -> None:
    assert chosen("") == CONTENDERS
    assert [contender.name for contender in chosen("by_factor,nobody")] == ["nobody", "by_factor"]
    with pytest.raises(SystemExit, match=r"no sized_8; there are nobody, by_factor"):
        chosen("nobody,sized_8")


def test_times_are_from_the_moment_the_threshold_was_passed() -> None:
    seen = course(0, 500, LAG_LIMIT, 9000, 9000)
    assert seen.first(lambda sample: sample.lag == 9000) == 10
    assert seen.first(lambda sample: sample.lag == 1) is None


def test_a_lag_has_drained_when_it_stays_low() -> None:
    low = [0.0] * (SETTLED // timedelta(seconds=10))
    assert course(0, 2000, 3000, *low).drained() == 20
    assert course(0, 2000, 3000, *low[1:]).drained() is None
    assert course(0, 2000, 0, 3000, *low).drained() == 30
    assert course(0, 0, *low).drained() is None, "there was none"


def test_late_is_what_came_while_too_much_waited() -> None:
    assert course(0, 2000, None, 3000, 0).late() == 800 * 20


def test_courses_of_several_runs_are_drawn_together(tmp_path: Path) -> None:
    long, short = course(0, 2000, None, 0).incident, course(0, 2000, parallelism=4).incident
    for name, incident in (("nobody", long), ("sized_800", short)):
        comparison.save(incident, tmp_path / f"{name}.json")
    found = comparison.saved(tmp_path)
    assert found == {"sized_800": short, "nobody": long}
    picture = comparison.draw(found, LAG_LIMIT)
    assert picture == comparison.draw({"sized_800": short, "nobody": long}, LAG_LIMIT)
    assert "sized 800" in picture
