"""The reports: scores are the monitor's, whatever the rows are like, also in Evidently's; the command; its errors."""

import json
import math
import random
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from data_monitor.__main__ import main
from data_monitor.adapters import references
from data_monitor.core.columns import Column
from data_monitor.core.learn import column_for, learn
from data_monitor.core.score import drift_score
from data_monitor.core.values import Type
from data_monitor.report import summary_report
from data_monitor.report.folder import Folder, Sample

Rows = dict[str, list[object]]

needs_evidently = pytest.mark.skipif(
    not (Path(__file__).parents[3] / ".venv/.report-installed").exists(), reason="make setup installs Evidently"
)


def rows(count: int, shift: float, seed: int) -> Rows:
    """Numbers, heavy tails, gaps, infinities, categories, integers, and a column that loses all of its values."""
    dice = random.Random(seed)
    return {
        "normal": [dice.gauss(shift, 1) for _ in range(count)],
        "gaps": [None if dice.random() < 0.1 + 0.4 * shift else dice.gauss(0, 1) for _ in range(count)],
        "tail": [math.inf if dice.random() < 0.01 else dice.paretovariate(1.5) * (1 + shift) for _ in range(count)],
        "device": dice.choices(["phone", "desktop", "tablet", "", "watch"], [50, 30, 10, 5, 20 * shift], k=count),
        "stars": [dice.randint(1, 4 + round(shift)) for _ in range(count)],
        "lost": [None if shift else dice.random() for _ in range(count)],
        "score": [dice.betavariate(2, 5 + 3 * shift) for _ in range(count)],
    }


def write_rows(path: Path, table: Rows) -> Path:
    records = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    # JSON knows no infinity; whoever writes one writes null or breaks the record.
    path.write_text("".join(json.dumps(record).replace("Infinity", "null") + "\n" for record in records))
    return path


def scores_of(document: Any) -> dict[str, float]:
    """What a report says of each column."""
    if "features" in document:
        return {one["name"]: one["score"] for one in document["features"]}
    metrics = json.loads(json.dumps(document))["metrics"]
    found = [one for one in metrics if one["config"]["type"] == "evidently:metric_v2:ValueDrift"]
    return {one["config"]["column"]: one["value"] for one in found}


@needs_evidently
@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_evidently_shows_the_monitors_score(shift: float) -> None:
    from data_monitor.report import evidently_report

    expected, current = rows(3000, 0.0, 1), rows(2000, shift, 2)
    reference = learn([Column(name, values) for name, values in expected.items()])
    made = evidently_report.make(reference, expected, current, dict.fromkeys(expected, 0.2))
    counts = reference.layout.count([column_for(feature, current[feature.name]) for feature in reference.features])
    shown = scores_of(made.json)
    assert made.scores == shown
    for feature, part in zip(reference.features, reference.layout.slices, strict=True):
        own = float(drift_score(reference.counts[part], counts[part]))
        assert shown[feature.name] == pytest.approx(own, abs=1e-9)
    drifted = next(one for one in made.json["metrics"] if "DriftedColumnsCount" in one["config"]["type"])
    assert drifted["value"]["count"] == sum(score > 0.2 for score in shown.values())
    assert (max(shown.values()) > 0.2) == (shift > 0)


@pytest.mark.parametrize("kind", ["summary", pytest.param("evidently", marks=needs_evidently)])
def test_two_files_in_and_the_score_of_the_offline_command_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """`data-monitor report` and `data-monitor score` on the same rows."""
    a, b = (write_rows(tmp_path / f"{name}.jsonl", rows(1500, name == "b", 3)) for name in "ab")
    output = tmp_path / "report.json"
    files = [f"--reference-data={a}", f"--current-data={b}"]
    assert main(["report", *files, f"--kind={kind}", f"--output={output}"]) == 0
    assert main(["reference", "build", f"--input={a}", f"--output={tmp_path / 'ref.json'}"]) == 0
    capsys.readouterr()
    assert main(["score", f"--reference={tmp_path / 'ref.json'}", f"--input={b}", "--window=1500", "--json"]) == 0
    judgement = json.loads(capsys.readouterr().out)
    shown = scores_of(json.loads(output.read_text()))
    own = {**judgement["features"], "score": judgement["prediction"]}
    assert shown.keys() == own.keys()
    assert all(shown[name] == pytest.approx(own[name], abs=1e-9) for name in own)


@pytest.mark.parametrize("kind", ["summary", pytest.param("evidently", marks=needs_evidently)])
def test_a_page_of_the_monitors_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    configuration = monitor(tmp_path, keep=2, kind=kind)
    folder = Folder(tmp_path / "data")
    for number in range(3):
        folder.write_sample(sample(tmp_path, evaluated_at=1_764_000_000.0 + number))
        assert main(["report", f"--config={configuration}"]) == 0
    page = Path(capsys.readouterr().out.strip().rpartition("\n")[2])
    text = page.read_text()
    assert text.count("<html") == 1
    assert ("Jensen-Shannon distance over reference bins" in text) == (kind == "evidently")
    # Self-contained: it is read where there is no internet.
    assert "<script src=" not in text
    assert "<script" not in text or kind == "evidently"
    kept = list(folder.summaries())
    assert [(one.name, one.reason, one.rows) for one in kept] == [
        ("20251124T160002Z", "on demand", 400),
        ("20251124T160001Z", "on demand", 400),
    ]
    assert sorted(path.suffix for path in folder.reports.iterdir()) == [".html", ".html", ".json", ".json"]


@pytest.mark.parametrize("kind", ["summary", pytest.param("evidently", marks=needs_evidently)])
def test_a_page_goes_by_the_hours_of_the_window_where_the_reference_does(tmp_path: Path, kind: str) -> None:
    table = {**rows(3000, 0.0, 4), "ts_ms": [(row % 3) * 3_600_000 for row in range(3000)]}
    source, output = write_rows(tmp_path / "b.jsonl", table), tmp_path / "page.json"
    configuration = monitor(tmp_path, kind=kind)
    main(["reference", "build", f"--input={source}", f"--output={tmp_path / 'ref.json'}", "--by-hour"])
    found = sample(tmp_path, hours=[10, 0, 5, *[0] * 21])
    Folder(tmp_path / "data").write_sample(found)
    assert main(["report", f"--config={configuration}", f"--output={output}"]) == 0
    reference = references.load(tmp_path / "ref.json").at(found.hours)
    columns = [column_for(feature, found.columns[feature.name]) for feature in reference.features]
    counts, shown = reference.layout.count(columns), scores_of(json.loads(output.read_text()))
    for feature, part in zip(reference.features, reference.layout.slices, strict=True):
        own = float(drift_score(reference.counts[part], counts[part]))
        assert shown[feature.name] == pytest.approx(own, abs=1e-9)


def monitor(folder: Path, keep: int = 20, kind: str = "summary") -> Path:
    """A configuration with a reference that was built from files."""
    source = write_rows(folder / "a.jsonl", rows(500, 0.0, 4))
    main(["reference", "build", f"--input={source}", f"--output={folder / 'ref.json'}", "--sample=300"])
    path = folder / "config.yaml"
    report = f"{{directory: {folder / 'data'}, keep: {keep}, kind: {kind}}}"
    path.write_text(f"reference: {folder / 'ref.json'}\nreport: {report}\n")
    return path


def sample(folder: Path, evaluated_at: float = 1_764_000_000.0, **other: object) -> Sample:
    found = {
        "model": "m",
        "evaluated_at": evaluated_at,
        "score": 0.4,
        "threshold": 0.2,
        "features": {"normal": 0.4, "tail": 0.1},
        "reference": references.load(folder / "ref.json").digest,
        "events": 30_000,
        "columns": {name: [None if v == math.inf else v for v in column] for name, column in rows(400, 1, 5).items()},
    }
    return Sample(**{**found, **other})


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_summary_shows_the_bins_of_the_alert(shift: float) -> None:
    expected, current = rows(3000, 0.0, 1), rows(2000, shift, 2)
    reference = learn([Column(name, values) for name, values in expected.items()])
    made = summary_report.make(reference, {}, current, dict.fromkeys(expected, 0.2))
    shown = {one["name"]: one for one in made.json["features"]}
    assert list(shown) == sorted(shown, key=lambda name: -shown[name]["score"])
    for feature, part in zip(reference.features, reference.layout.slices, strict=True):
        counts = np.bincount(feature.encode(column_for(feature, current[feature.name])), minlength=feature.size)
        own = shown[feature.name]
        assert own["score"] == pytest.approx(float(drift_score(reference.counts[part], counts)), abs=1e-12)
        assert own["drifted"] == (own["score"] > 0.2)
        assert [one["current"] for one in own["bins"]] == pytest.approx((counts / 2000).tolist())
        assert [one["reference"] for one in own["bins"]] == pytest.approx((reference.counts[part] / 3000).tolist())
        assert own["bins"][-1]["label"] == "missing"
    assert made.html.count("<svg viewBox") == len(shown)
    assert made.html.count("<b class=d>") == sum(one["drifted"] for one in shown.values())


def test_names_and_categories_are_texts_and_no_markup() -> None:
    evil = '<script>alert("&")</script>'
    reference = learn([Column(evil, [evil, "b"] * 500)])
    page = summary_report.make(reference, {}, {evil: [evil] * 100}, {evil: 0.2}).html
    assert "<script" not in page
    assert "&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;: 50.00% in the reference, 100.00% now" in page
    ElementTree.fromstring(page[page.index("<svg viewBox") : page.rindex("</svg>") + 6])


def test_bins_have_names_that_people_read() -> None:
    numbers = [0.0] * 500 + [float(one) for one in range(1, 501)]
    feature = learn([Column("x", numbers)]).features[0]
    assert summary_report.labels(feature)[:3] == ["below -1e-06", "0", "1e-06 to 50.5"]
    days = [f"2026-01-{1 + at % 28:02}T00:00:00" for at in range(1000)]
    moments = learn([Column("t", days, Type.DATETIME)]).features[0]
    assert summary_report.labels(moments)[0] == "below 2026-01-02 12:00"


def test_a_reference_keeps_rows_that_do_not_change_what_it_is(tmp_path: Path) -> None:
    monitor(tmp_path)
    kept = references.load(tmp_path / "ref.json")
    source = tmp_path / "a.jsonl"
    assert main(["reference", "build", f"--input={source}", f"--output={tmp_path / 'bare.json'}", "--sample=0"]) == 0
    bare = references.load(tmp_path / "bare.json")
    assert {len(values) for values in kept.sample.values()} == {300}
    assert not bare.sample
    assert kept.digest == bare.digest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "either --config"),
        (["--reference-data={0}/a.jsonl", "--current-data={0}/a.jsonl"], "belong together"),
        (["--reference-data={0}/a.jsonl", "--output={0}/r.html"], "belong together"),
        (["--reference-data={0}/a.jsonl", "--current-data={0}/no.csv", "--output={0}/r.html"], "no.csv: No such file"),
        (["--reference-data={0}/a.jsonl", "--current-data={0}/a.jsonl", "--output={0}/r.pdf"], ".html or .json"),
        (["--config={0}/config.yaml"], "no sample yet"),
        (["--config={0}/none.yaml"], "none.yaml: No such file"),
    ],
)
def test_mistakes_have_readable_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    monitor(tmp_path)
    assert main(["report", *(argument.format(tmp_path) for argument in arguments)]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("r.*"))


def test_a_sample_of_another_reference_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configuration = monitor(tmp_path)
    Folder(tmp_path / "data").write_sample(sample(tmp_path, reference="another"))
    assert main(["report", f"--config={configuration}"]) == 2
    assert "goes with reference another" in capsys.readouterr().err


def test_without_evidently_it_is_said_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = monitor(tmp_path)
    Folder(tmp_path / "data").write_sample(sample(tmp_path))
    monkeypatch.setitem(sys.modules, "data_monitor.report.evidently_report", None)
    assert main(["report", f"--config={configuration}", "--kind=evidently"]) == 2
    assert "data-monitor-report" in capsys.readouterr().err
