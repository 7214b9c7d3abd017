"""Tables as people have them: each file is written here, and read as a user reads it, by the command line."""

import bz2
import csv
import gzip
import json
import lzma
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from data_monitor.__main__ import main
from data_monitor.adapters import references
from data_monitor.adapters.decode import Decoder
from data_monitor.config import Fields
from data_monitor.core.score import drift_score
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

DICE = random.Random(1)
NUMBERS = [round(DICE.gauss(50, 10), 3) for _ in range(1000)]


def write(path, columns, **options):
    """Columns as CSV, JSON lines or Parquet, by the end of the name; None is an empty cell or null."""
    if path.suffix == ".parquet":
        parquet.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path)
    elif path.suffix == ".jsonl":
        rows = zip(*columns.values(), strict=True)
        path.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
    else:
        with path.open("w", newline="", encoding=options.pop("encoding", "utf-8")) as file:
            writer = csv.writer(file, **options)
            writer.writerows([list(columns), *zip(*columns.values(), strict=True)])
    return path


@pytest.fixture
def run(tmp_path, capsys):
    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def build(run, tmp_path):
    """Builds a reference, which must succeed; returns its features by name, and what was said."""

    def build(path, *options):
        code, out, err = run("reference", "build", "--input", path, "--output", tmp_path / "ref.json", *options)
        assert code == 0, err
        document = json.loads((tmp_path / "ref.json").read_text(), parse_constant=pytest.fail)
        return {one["name"]: one for one in document["features"]}, out + err

    return build


@pytest.fixture
def score(run, tmp_path):
    """The judgement of all rows of a file as one window."""

    def score(path, rows=1000):
        code, out, err = run(
            "score", f"--reference={tmp_path / 'ref.json'}", "--input", path, f"--window={rows}", "--json"
        )
        assert code == 0, err
        return json.loads(out, parse_constant=pytest.fail)

    return score


def stream(folder, rows):
    """What the running monitor makes of records with these features: scores by feature."""
    reference = references.load(folder / "ref.json")
    lines = [json.dumps({"ts_ms": 1000, "features": row}).encode() for row in rows]
    decoded = Decoder(reference, Fields()).decode(lines)
    assert [kind for _, kind in decoded.problems if kind != "wrong_type"] == []
    counts = np.bincount(decoded.events.codes.ravel(), minlength=reference.layout.size)
    return {
        feature.name: float(drift_score(feature.expected(reference.counts[part], counts[part]), counts[part]))
        for feature, part in zip(reference.features, reference.layout.slices, strict=True)
    }


@pytest.mark.parametrize(
    "text", ["NA", "N/A", "#N/A", "NULL", "null", "None", r"\N", "-", ".", "?", "", " ", "nan", "NaN"]
)
def test_a_missing_value_in_a_column_of_numbers_is_one_missing_value(tmp_path, build, score, text):
    clean = write(tmp_path / "clean.csv", {"price": NUMBERS, "age": NUMBERS})
    one = write(tmp_path / "one.csv", {"price": [*NUMBERS[:500], text, *NUMBERS[501:]], "age": NUMBERS})
    features, _ = build(one)
    assert features["price"]["type"] == "number"
    assert sum(features["price"]["counts"]) == 1000
    assert features["price"]["counts"][-1] == 1
    build(clean)
    found = score(one)
    assert found["score"] < 0.01
    assert found["missing"] == {"price": 0.001, "age": 0}


@pytest.mark.parametrize(
    ("no", "yes"), [("False", "True"), ("FALSE", "TRUE"), ("f", "t"), ("no", "Yes"), ("0", "1"), ("0.0", "1.0")]
)
def test_booleans_in_any_words(tmp_path, build, score, no, yes):
    flags = [DICE.random() < 0.7 for _ in range(1000)]
    words = {"member": [yes if flag else no for flag in flags], "x": NUMBERS}
    features, said = build(write(tmp_path / "a.csv", words))
    assert features["member"]["type"] == "boolean"
    assert "member: boolean" in said
    assert score(write(tmp_path / "b.jsonl", {"member": flags, "x": NUMBERS}))["score"] == 0
    assert (
        score(write(tmp_path / "b.csv", {"member": [str(flag).upper() for flag in flags], "x": NUMBERS}))["score"] == 0
    )
    assert stream(tmp_path, [{"member": flag} for flag in flags])["member"] == 0
    assert stream(tmp_path, [{"member": int(flag)} for flag in flags])["member"] == 0


@pytest.mark.parametrize(
    "codes",
    [
        ["01", "02", "10", "11"],
        ["007", "42", "43"],
        ["1E5", "2E5", "3"],
        ["1_000", "2_000", "30"],
        ["+49", "+33", "+1"],
        ["0x1F", "0x2A"],
        ["12345678901234567890123", "12345678901234567890124"],
        ["A ", "A", "B"],
        ["Straße", "日本", 'a "quoted", word', "two\nlines", "c,d"],
    ],
)
def test_codes_stay_texts(tmp_path, build, score, codes):
    column = [DICE.choice(codes) for _ in range(1000)]
    features, _ = build(write(tmp_path / "a.csv", {"region": column, "x": NUMBERS}))
    assert features["region"]["type"] == "text"
    assert sorted(features["region"]["categories"]) == sorted(codes)
    assert score(write(tmp_path / "b.jsonl", {"region": column, "x": NUMBERS}))["score"] == 0
    assert score(write(tmp_path / "b.parquet", {"region": column, "x": NUMBERS}))["score"] == 0
    assert stream(tmp_path, [{"region": code, "x": x} for code, x in zip(column, NUMBERS, strict=True)])["region"] == 0


@pytest.mark.parametrize(
    "texts",
    [
        [f"{number:e}" for number in NUMBERS],
        [repr(number / 1e9) for number in NUMBERS],
        [f"{number:+.3f}" for number in NUMBERS],
        [f" {number}" for number in NUMBERS],
        [f"{number}".lstrip("0") for number in NUMBERS],
        [f"{number:.2E}".replace("E+0", "E") for number in NUMBERS],
    ],
)
def test_numbers_as_programs_write_them(tmp_path, build, texts):
    features, _ = build(write(tmp_path / "a.csv", {"x": texts}))
    assert (features["x"]["type"], features["x"]["counts"][-1]) == ("number", 0)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["3,14", "12,5"], "column price, row 1: '3,14' has a decimal comma or thousands separators"),
        (["999", "1,234", "1,234,567.5"], "row 2: '1,234' has a decimal comma or thousands separators"),
        (["1.234,50", "7"], "row 1: '1.234,50' has a decimal comma"),
        ([f"{number / 2}%" for number in range(25)], "row 1: '0.0%' has a percent sign"),
        (["$1,234.50", *[f"${number}" for number in range(24)]], "row 1: '$1,234.50' has a currency"),
        ([f"{number} EUR" for number in range(25)], "row 1: '0 EUR' has a currency"),
    ],
)
def test_numbers_as_people_write_them_are_told(tmp_path, run, build, texts, said):
    path = write(tmp_path / "a.csv", {"price": (texts * 500)[:1000], "x": NUMBERS})
    code, _, err = run("reference", "build", "--input", path, "--output", tmp_path / "r.json")
    assert code == 2
    assert f"{path}: " in err
    assert said in err
    assert "or say what it is: --types price=text" in err
    assert not (tmp_path / "r.json").exists()
    features, _ = build(path, "--types", "price=text")
    assert features["price"]["type"] == "text"


def test_a_few_percentages_are_categories(tmp_path, build):
    features, _ = build(write(tmp_path / "a.csv", {"discount": ["0%", "10%", "20%", "50%"] * 250}))
    assert features["discount"]["categories"] == ["0%", "10%", "20%", "50%"]


def test_a_decimal_comma_in_a_file_that_is_scored_is_told(tmp_path, run, build):
    build(write(tmp_path / "a.csv", {"price": NUMBERS, "age": NUMBERS}))
    path = write(
        tmp_path / "b.csv", {"price": [str(n).replace(".", ",") for n in NUMBERS], "age": NUMBERS}, delimiter=";"
    )
    code, _, err = run("score", f"--reference={tmp_path / 'ref.json'}", "--input", path, "--window=1000")
    assert code == 2
    assert "has a decimal comma" in err
    assert "--types" not in err, "which this command does not have"


@pytest.mark.parametrize("name", ["", " ", "Unnamed: 0"])
def test_an_unnamed_index_is_left_out(tmp_path, build, score, name):
    path = write(tmp_path / "a.csv", {name: range(1000), "age": NUMBERS})
    features, said = build(path)
    assert list(features) == ["age"]
    assert f"left out: column 1 of {path} has no name" in said
    assert score(path)["score"] == 0


def test_the_index_of_pandas_in_parquet_and_a_count_of_rows_are_left_out(tmp_path, build):
    table = {"age": NUMBERS, "row": list(range(1000)), "__index_level_0__": list(range(1000))}
    features, said = build(write(tmp_path / "a.parquet", table))
    assert list(features) == ["age"]
    assert "row counts the rows" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b,a\n1,2,3\n", ":1: twice in the header: a"),
        ("a,b\n1,2\n1,2,3\n", ":3: 3 cells, the header has 2; does the header lack"),
        ('a,b\n1,"2\n3,4\n', ":2: a quote is not closed"),
        ("1.5,2.5\n1,2\n", ":1: the first line is to hold the names of the columns, this one holds '1.5'"),
        ("a,b\n", "no rows"),
        ("a\n1\n", "1 rows; a reference needs 100"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_line(tmp_path, run, text, said):
    path = tmp_path / "a.csv"
    path.write_text(text)
    code, _, err = run("reference", "build", "--input", path, "--output", tmp_path / "r.json")
    assert (code, str(path) in err, said in err) == (2, True, True), err


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "a,b\nü,2\n".encode("latin-1"), "UTF8"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16"), "UTF-16; save it as UTF-8"),
        ("a.parquet", b"PAR1 or so", "not Parquet"),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n" * 9999)[:-20], "a.csv.gz"),
        ("a.csv.gz", b"a,b\n1,2\n", "a.csv.gz"),
        ("a.csv.xz", b"a,b\n1,2\n", "a.csv.xz"),
        ("a.json", b'[{"a": 1}, 2]', ":2: a row is an object"),
        ("a.jsonl", b'{"a.b": 1, "a": {"b": 2}}\n', ":1: a.b is there twice"),
    ],
)
def test_bytes_that_are_no_table_are_told_without_a_traceback(tmp_path, run, name, content, said):
    (tmp_path / name).write_bytes(content)
    code, _, err = run("reference", "build", "--input", tmp_path / name, "--output", tmp_path / "r.json")
    assert (code, said in err) == (2, True), err


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_separators_byte_order_marks_and_line_ends(tmp_path, build, delimiter):
    columns = {"price": NUMBERS, "note": ["a, b", 'c "d"'] * 500}
    path = write(tmp_path / "a.csv", columns, delimiter=delimiter, encoding="utf-8-sig", lineterminator="\r\n")
    features, said = build(path)
    assert list(features) == ["price", "note"]
    assert features["note"]["categories"] == ["a, b", 'c "d"']
    assert "separated by" in said


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("ending", "compress"),
    [
        ("gz", gzip.compress),
        ("bz2", bz2.compress),
        ("xz", lzma.compress),
        ("zst", lambda data: pa.compress(data, "zstd", asbytes=True)),
    ],
)
def test_compressed(tmp_path, build, score, suffix, ending, compress):
    plain = write(tmp_path / f"a.{suffix}", {"x": NUMBERS, "c": ["a", "b"] * 500})
    build(plain)
    packed = tmp_path / f"b.{suffix}.{ending}"
    packed.write_bytes(compress(plain.read_bytes()))
    assert score(packed)["score"] == 0


def test_several_files_and_a_folder(tmp_path, run, build, score):
    folder = tmp_path / "days" / "day=1"
    folder.mkdir(parents=True)
    write(folder / "a.csv", {"x": NUMBERS[:500], "c": ["a"] * 500})
    # Another order of the columns, and one that the other file does not have.
    write(folder / "b.csv", {"c": ["b"] * 500, "new": [1] * 500, "x": NUMBERS[500:]})
    (folder / "_SUCCESS").write_text("")
    features, said = build(tmp_path / "days")
    assert "do not have the same columns: new" in said
    assert features["new"]["counts"][-1] == 500
    whole = write(tmp_path / "all.csv", {"x": NUMBERS, "c": ["a"] * 500 + ["b"] * 500, "new": [""] * 500 + [1] * 500})
    assert score(whole)["score"] == 0
    write(folder / "c.jsonl", {"x": NUMBERS})
    code, _, err = run("reference", "build", "--input", tmp_path / "days", "--output", tmp_path / "r.json")
    assert (code, "files of one kind belong together" in err) == (2, True)


def test_parquet_types(tmp_path, build, score):
    moments = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=DICE.randrange(9999)) for _ in range(1000)]
    table = pa.table(
        {
            "decimal": pa.array([Decimal(str(n)) for n in NUMBERS]),
            "float32": pa.array(NUMBERS, pa.float32()),
            "nullable": pa.array([None, *[int(n) for n in NUMBERS[1:]]], pa.int16()),
            "unsigned": pa.array([2**64 - 1, 2**64 - 2] * 500, pa.uint64()),
            "dictionary": pa.array(["a", "b"] * 500).dictionary_encode(),
            "nested": pa.array([{"inner": {"deep": n}, "c": None} for n in NUMBERS]),
            "at": pa.array(moments, pa.timestamp("ns", "Europe/Berlin")),
            "day": pa.array([moment.date() for moment in moments]),
            "span": pa.array([timedelta(seconds=n) for n in NUMBERS], pa.duration("ns")),
            "list": pa.array([[1.0, 2.0]] * 1000),
            "nothing": pa.nulls(1000),
        }
    )
    path = write(tmp_path / "a.parquet", table)
    features, said = build(path, "--types", "at=datetime,day=datetime")
    assert {name: one["type"] for name, one in features.items()} == {
        "decimal": "number",
        "float32": "number",
        "nullable": "number",
        "unsigned": "number",
        "dictionary": "text",
        "nested.inner.deep": "number",
        "at": "datetime",
        "day": "datetime",
        "span": "number",
    }
    assert f"left out: list of {path} holds list<" in said
    assert "left out: nothing has no values" in said
    assert features["unsigned"]["categories"] == [str(2**64 - 2), str(2**64 - 1)]
    assert features["nullable"]["counts"][-1] == 1
    rows = {
        "decimal": NUMBERS,
        "float32": NUMBERS,
        "nullable": [None, *[int(n) for n in NUMBERS[1:]]],
        "unsigned": [2**64 - 1, 2**64 - 2] * 500,
        "dictionary": ["a", "b"] * 500,
        "nested.inner.deep": NUMBERS,
        "at": [moment.isoformat() for moment in moments],
        "day": [date.isoformat(moment) for moment in moments],
        "span": NUMBERS,
    }
    assert score(write(tmp_path / "b.csv", rows))["score"] == 0
    assert score(write(tmp_path / "b.jsonl", rows))["score"] == 0


def test_json_with_tokens_that_json_does_not_have_and_objects_that_are_null(tmp_path, build):
    lines = [json.dumps({"x": x, "o": {"a": row % 2 + 1}}) for row, x in enumerate(NUMBERS)]
    lines[:4] = ['{"x": NaN, "o": null}', '{"x": -Infinity}', '{"x": 1e999}', '{"x": ' + "9" * 500 + "}"]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    features, _ = build(tmp_path / "a.jsonl", "--sample", 1000)
    assert list(features) == ["x", "o.a"]
    assert [features[name]["counts"][-1] for name in features] == [4, 4]
    (tmp_path / "b.json").write_text("[\n" + ",\n".join(lines) + "\n]")
    assert build(tmp_path / "b.json")[0] == features


def test_what_counts_as_missing_can_be_said(tmp_path, build, score):
    columns = {"level": [-999, *NUMBERS[1:]], "country": ["NA", "SE"] * 500}
    path = write(tmp_path / "a.csv", columns)
    features, _ = build(path, "--missing=-999", "--not-missing", "NA")
    assert features["level"]["counts"][-1] == 1
    assert features["country"]["categories"] == ["NA", "SE"]
    assert score(write(tmp_path / "b.jsonl", columns))["missing"] == {"level": 0.001, "country": 0}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    assert set(stream(tmp_path, rows).values()) == {0}


def test_values_of_another_type_are_told_with_the_first_row(tmp_path, build):
    path = write(tmp_path / "a.csv", {"x": [*NUMBERS[:-20], *["broken"] * 20]})
    features, said = build(path)
    assert features["x"]["counts"][-1] == 20
    assert f"{path}: 20 of 1,000 values of x are no number" in said
    assert "'broken' in row 981" in said


def test_the_user_says_what_a_feature_is(tmp_path, run, build, score):
    shops = [DICE.randrange(100, 140) for _ in range(1000)]
    path = write(tmp_path / "a.csv", {"shop": shops, "x": NUMBERS})
    assert build(path)[0]["shop"]["kind"] == "numeric"
    features, said = build(path, "--types", "shop=text")
    assert (features["shop"]["kind"], "shop: text" in said) == ("categorical", True)
    assert score(write(tmp_path / "b.jsonl", {"shop": shops, "x": NUMBERS}))["score"] == 0
    for types, words in (("shop=word", "wanted NAME=TYPE"), ("shops=text", "no feature shops in")):
        code, _, err = run("reference", "build", "--input", path, "--output", tmp_path / "r.json", "--types", types)
        assert (code, words in err) == (2, True)


def test_features_that_cannot_be_judged_are_told(tmp_path, build):
    columns = {
        "id": [f"u{number}" for number in range(1000)],
        "same": ["x"] * 1000,
        "none": [""] * 1000,
        "since": [f"2024-01-{day:02d}" for day in range(1, 21)] * 50,
        "x": NUMBERS,
    }
    path = write(tmp_path / "a.csv", columns)
    features, said = build(path)
    assert list(features) == ["same", "x"]
    for words in (
        "id looks like an id (1,000 distinct texts, 100% of the rows have one of their own)",
        "none has no values",
        "since holds times",
        "same is always the same",
    ):
        assert words in said
    features, said = build(path, "--features", "id,none")
    assert "warning: id cannot be judged: 100% of the rows" in said
    assert "warning: none has no values" in said


def test_a_file_without_some_columns_counts_them_as_missing(tmp_path, run, build):
    build(write(tmp_path / "a.csv", {"x": NUMBERS, "y": NUMBERS}))
    path = write(tmp_path / "b.csv", {"y": NUMBERS})
    _, out, err = run("score", f"--reference={tmp_path / 'ref.json'}", "--input", path, "--window=1000", "--json")
    assert f"{path} has no x: all of it counts as missing" in err
    found = json.loads(out)
    assert (found["features"]["x"], found["features"]["y"]) == (pytest.approx(1, abs=0.01), 0)


KINDS = {
    "number": st.floats(-1e9, 1e9).map(lambda x: round(x, 4)),
    "large": st.integers(-(2**63), 2**63 - 1),
    "few": st.integers(0, 5),
    "boolean": st.booleans(),
    "text": st.sampled_from(["a", "B", "ü", "x y", "q,r", '"s"', "01"]),
    "word": st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=3),
}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_the_same_rows_are_the_same_whatever_they_are_written_in(tmp_path_factory, capsys, data):
    folder = tmp_path_factory.mktemp("tables")
    rows, columns = 120, {}
    for name, values in KINDS.items():
        # A few of them, many times each: so a column is what it is called.
        pool = data.draw(st.lists(values, min_size=15, max_size=40), label=name)
        dice = random.Random(data.draw(st.integers(0, 99)))
        columns[name] = [None if dice.random() < 0.05 else dice.choice(pool) for _ in range(rows)]
        columns[name][0] = pool[0]
    files = [write(folder / f"a.{suffix}", columns) for suffix in ("csv", "parquet", "jsonl")]
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    reference = folder / "ref.json"
    for built in files:
        build = ["reference", "build", f"--output={reference}", f"--input={built}", f"--features={','.join(columns)}"]
        assert main(build) == 0, capsys.readouterr().err
        for scored in files:
            capsys.readouterr()
            command = ["score", f"--reference={reference}", f"--input={scored}", f"--window={rows}", "--json"]
            assert main(command) == 0
            found = json.loads(capsys.readouterr().out)["features"]
            assert found == dict.fromkeys(found, 0), (built, scored)
        found = stream(folder, records)
        assert found == dict.fromkeys(found, 0), built


@pytest.mark.parametrize(("deviations", "expected"), [(0.3, 0.124), (0.5, 0.205), (1, 0.391), (2, 0.671)])
@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_a_shift_of_known_size_is_seen(tmp_path, build, score, deviations, expected, suffix):
    dice = np.random.default_rng(8)
    build(write(tmp_path / f"a.{suffix}", {"x": dice.normal(size=10_000).tolist()}))
    found = score(write(tmp_path / f"b.{suffix}", {"x": dice.normal(deviations, size=10_000).tolist()}), 10_000)
    assert found["score"] == pytest.approx(expected, abs=0.02)
