"""reference build and score, as a user runs them."""

import csv
import json
import random

import pytest
from data_monitor.__main__ import main


def rows(count, shift=0.0, seed=1):
    dice = random.Random(seed)
    for number in range(count):
        yield {
            "event_id": f"e{number}",
            "ts_ms": 1_790_000_000_000 + number,
            "score": dice.random(),
            "features": {"price": dice.gauss(3 + shift, 1), "device": dice.choice(["mobile", "desktop"])},
        }


def write(path, records):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["event_id", "ts_ms", "score", "price", "device"])
        for record in records:
            features = record["features"]
            writer.writerow(
                [record["event_id"], record["ts_ms"], record["score"], features["price"], features["device"]]
            )
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_from_training_data_to_a_score_for_each_window(tmp_path, capsys, suffix):
    training = write(tmp_path / f"a.{suffix}", rows(6000))
    reference = tmp_path / "ref.json"
    assert main(["reference", "build", "--input", str(training), "--output", str(reference)]) == 0
    written = json.loads(reference.read_text())
    assert [feature["name"] for feature in written["features"]] == ["price", "device"]
    assert written["prediction"]["name"] == "score"
    assert written["thresholds"]["price"] < 0.2
    out, err = capsys.readouterr()
    assert written["digest"] in out
    assert ("event_id looks like an id" in err) == (suffix == "csv")

    data = write(tmp_path / f"b.{suffix}", [*rows(2000, seed=2), *rows(2500, shift=1, seed=3)])
    score = ["score", "--reference", str(reference), "--input", str(data), "--window", "1000"]
    assert main([*score, "--json"]) == 0
    windows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [window["first_row"] for window in windows] == [0, 1000, 2000, 3000]
    assert [window["score"] > 0.2 for window in windows] == [False, False, True, True]
    assert windows[-1]["drifted"] == ["price"]
    assert windows[-1]["features"]["device"] < 0.1
    assert main(score) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_chosen_features_and_a_segment(tmp_path, capsys):
    training, reference = write(tmp_path / "a.jsonl", rows(6000)), tmp_path / "ref.json"
    build = ["reference", "build", "--input", str(training), "--output", str(reference)]
    assert main([*build, "--features", "price", "--segment", "device"]) == 0
    segments = json.loads(reference.read_text())["segments"]
    assert {one["value"] for one in segments["values"]} == {"mobile", "desktop"}
    assert main([*build, "--features", "prise"]) == 2
    assert "no column prise; there are event_id, ts_ms, score, features.price" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "x", "the name must end in one of .csv, .tsv, .jsonl"),
        ("a.csv", "", "no rows"),
        ("a.csv", "a,b\n1,2\n1\n", ":3: 1 cells, the header has 2"),
        ("a.jsonl", '{"a":1}\n{"a":\n', ":2: not JSON"),
        ("a.jsonl", "[1]\n", ":1: a row is an object"),
        ("a.jsonl", '{"a":1}\n', "1 rows; a reference needs 100"),
        ("a.jsonl", '{"user":null}\n' * 100, "no features"),
        ("missing.csv", None, "No such file"),
    ],
)
def test_bad_input_ends_with_2_and_says_why(tmp_path, capsys, name, text, said):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    code = main(["reference", "build", "--input", str(path), "--output", str(tmp_path / "r.json"), "--prediction="])
    assert (code, said in capsys.readouterr().err) == (2, True)
    assert not (tmp_path / "r.json").exists()
