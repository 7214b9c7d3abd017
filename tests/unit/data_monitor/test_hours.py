"""References by the hour of the day: a window is compared with its own hours, whatever the others are like."""

import json
import random

import msgspec
import numpy as np
import pytest
from data_monitor.__main__ import main
from data_monitor.commands.run import judge_of
from data_monitor.config import Config
from data_monitor.core.columns import Column
from data_monitor.core.hours import HOURS, mixed
from data_monitor.core.judge import Judge, Rules
from data_monitor.core.learn import learn
from data_monitor.core.monitor import Evaluation, Monitor, Times
from data_monitor.core.panes import Events, PartitionState
from data_monitor.core.reference import BadReference, Reference
from data_monitor.errors import InputError
from data_monitor.report.folder import Folder
from data_monitor.report.sampler import Sampler
from data_monitor.report.writer import SampleWriter
from hypothesis import given
from hypothesis import strategies as st

DAYS, EACH = 10, 200
HOUR_MS = 3_600_000
MIDNIGHT = 1_700_006_400_000


def day_and_night(hours, seed):
    """Values that follow the hour of the day, by three deviations up and down."""
    return np.random.default_rng(seed).normal(size=len(hours)) + 3 * np.sin(2 * np.pi * hours / HOURS)


@pytest.fixture(scope="module")
def reference():
    hours = np.tile(np.repeat(np.arange(HOURS), EACH), DAYS)
    return learn([Column("x", day_and_night(hours, 1).tolist())], hours=hours, block=EACH)


def judged(reference, hours, shift=0.0):
    judge = Judge(reference, Rules())
    window = np.zeros(judge.shape.size, np.int64)
    window[: judge.layout.size] = judge.layout.count([day_and_night(hours, 2) + shift])
    return judge.drift(window, np.bincount(hours, minlength=HOURS).tolist())


def whole(reference):
    return Reference.from_document({**reference.to_document(), "hours": None})


@pytest.mark.parametrize("hours", [[3], [6], [18], [5, 6], [0, 6, 6, 12, 18]])
def test_a_season_of_the_day_is_no_drift_and_a_shift_within_it_is_found(reference, hours):
    window = np.repeat(hours, 3000)
    calm = judged(reference, window)
    assert calm.score < 0.08
    assert judged(reference, window, shift=1).score > 0.2
    assert calm.hours == tuple(np.bincount(window, minlength=HOURS))
    assert judged(whole(reference), window).hours == ()


def test_without_hours_the_same_window_would_be_drift(reference):
    assert judged(whole(reference), np.repeat(18, 3000)).score > 0.4


def test_the_thresholds_are_those_of_blocks_against_their_own_hours(reference):
    hours = np.tile(np.repeat(np.arange(HOURS), EACH), DAYS)
    without = learn([Column("x", day_and_night(hours, 1).tolist())], block=EACH)
    assert reference.thresholds["x"] < 0.2 < 0.5 < without.thresholds["x"]


COUNTS = st.lists(st.integers(1, 50), min_size=3, max_size=3)
WEIGHTS = st.lists(st.integers(0, 9), min_size=HOURS, max_size=HOURS).filter(any)


@given(st.lists(COUNTS, min_size=HOURS, max_size=HOURS), COUNTS, WEIGHTS, st.integers(0, HOURS - 1))
def test_a_mixture_has_the_shares_of_its_hours_and_no_more_samples_than_all_of_them(rows, all_of, weights, hour):
    by_hour, total, weights = np.array(rows), np.array(all_of), np.array(weights)
    by_hour[hour] = 0
    found = mixed(total, by_hour, 1, weights)
    by_hour[hour] = total
    shares = by_hour / by_hour.sum(1, keepdims=True)
    assert found / found.sum() == pytest.approx(weights @ shares / weights.sum())
    assert found.sum() <= by_hour[weights > 0].sum() * (1 + 1e-9)
    alone = mixed(total, by_hour, 1, np.arange(HOURS) == hour)
    assert alone == pytest.approx(total), "one hour is compared with itself"


def test_hours_with_few_rows_are_compared_with_all():
    hours = np.repeat([1, 2], [600, 400])
    reference = learn([Column("x", day_and_night(hours, 1).tolist())], hours=hours)
    assert reference.hours.any(1).nonzero()[0].tolist() == [1]
    assert reference.at(np.eye(HOURS, dtype=int)[2].tolist()).counts == pytest.approx(reference.counts)


def test_the_monitor_weighs_the_hours_that_its_window_spans_also_after_a_restart(reference, tmp_path):
    judge, key, now = Judge(reference, Rules()), ("t", 0), (MIDNIGHT + 6 * HOUR_MS) / 1000
    monitor = Monitor(judge, Times())
    monitor.adopt(key, PartitionState(0), now)
    hours = np.repeat([5, 6], [2000, 1000])
    times = MIDNIGHT + 6 * HOUR_MS + np.linspace(-300_000, 200_000, 3000).astype(np.int64)
    times[:2000] = times[:2000].clip(max=MIDNIGHT + 6 * HOUR_MS - 1)
    times[2000:] = times[2000:].clip(min=MIDNIGHT + 6 * HOUR_MS)
    codes = judge.layout.encode([day_and_night(hours, 2)])
    monitor.add(key, Events(times, codes, np.full(3000, np.nan)), now)
    found = monitor.evaluate(now).judgement
    assert np.flatnonzero(found.hours).tolist() == [5, 6]
    assert (found.hours[5], found.hours[6]) == (2000, 1000)
    assert found.score < 0.08
    again = Monitor(judge, Times())
    again.adopt(key, monitor.states[key], now)
    assert again.evaluate(now).judgement == found
    assert msgspec.convert(msgspec.to_builtins(again.evaluation), Evaluation).judgement == found, "as in a snapshot"
    folder = Folder(tmp_path)
    writer = SampleWriter(folder, Sampler(["x"], 100, 60), "m", judge, 10_000)
    writer.add(times // 10_000, [day_and_night(hours, 2)])
    writer.evaluated(again.evaluation)
    assert folder.sample().hours == list(found.hours), "for the report"


def test_it_survives_its_file_and_is_another_reference_than_without_hours(reference):
    again = Reference.from_document(json.loads(json.dumps(reference.to_document())))
    assert again.hours.tolist() == reference.hours.tolist()
    assert again.digest == reference.digest != whole(reference).digest
    with pytest.raises(BadReference, match="the hours' counts do not fit"):
        Reference.from_document({**reference.to_document(), "hours": [[1, 2]]})


def test_panes_longer_than_an_hour_are_refused(reference, tmp_path):
    path = tmp_path / "ref.json"
    path.write_text(json.dumps(reference.to_document()))
    judge_of(Config.model_validate({"reference": path, "window": {"length": "2h", "pane": "1h"}}))
    with pytest.raises(InputError, match=r"window.pane: .*ref.json goes by the hour of the day, so at most 1h"):
        judge_of(Config.model_validate({"reference": path, "window": {"length": "4h", "pane": "2h"}}))


def write(path, hours):
    values = day_and_night(np.asarray(hours), len(hours)).tolist()
    rows = ({"ts_ms": (MIDNIGHT + hour * HOUR_MS), "x": value} for hour, value in zip(hours, values, strict=True))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_built_and_scored_from_files(tmp_path, capsys):
    dice = random.Random(1)
    training = write(tmp_path / "a.jsonl", sorted(dice.choices([0, 6, 18], [5, 5, 5], k=6000) + [12] * 499))
    reference = tmp_path / "ref.json"
    build = ["reference", "build", f"--input={training}", f"--output={reference}", "--by-hour", "--features=x"]
    assert main(build) == 0
    said = capsys.readouterr().err
    assert "fewer than 500 rows, so compared with all: hour 1, 2" in said
    assert "11, 12, 13" in said
    data = write(tmp_path / "b.jsonl", [18] * 1000 + [6] * 1000 + [0, 6] * 500)
    assert main(["score", f"--reference={reference}", f"--input={data}", "--window=1000", "--json"]) == 0
    windows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [window["score"] < 0.1 for window in windows] == [True] * 3
    assert windows[2]["hours"][:7] == [500, 0, 0, 0, 0, 0, 500]


def test_mistakes_have_readable_errors(tmp_path, capsys):
    training = write(tmp_path / "a.jsonl", [1] * 600)
    build = ["reference", "build", f"--input={training}", f"--output={tmp_path / 'ref.json'}", "--by-hour"]
    assert main([*build, "--features=x", "--segment=x"]) == 2
    assert "--by-hour and --segment: a segment has no counts by hour" in capsys.readouterr().err
    training.write_text(training.read_text() + '{"x": 1}\n')
    assert main([*build, "--features=x"]) == 2
    assert "a.jsonl: row 601: ts_ms is no time" in capsys.readouterr().err
