"""Arrays of a fixed length, summed up as numbers: in files and in records alike."""

import io
import json
import math
import random

import fastavro
import numpy as np
import pyarrow as pa
import pytest
from data_monitor.__main__ import main
from data_monitor.adapters import avro, references
from data_monitor.adapters.decode import Decoder
from data_monitor.adapters.formats import Registered
from data_monitor.adapters.registry import Registry
from data_monitor.config import Fields, SchemaRegistry
from data_monitor.core.values import Missing
from data_monitor.core.vectors import Summary, Vector
from data_monitor.errors import InputError
from pyarrow import parquet
from registry_stand_in import RegistryStandIn

DICE = random.Random(4)
ROWS = [[round(DICE.gauss(0, 1), 4) for _ in range(3)] for _ in range(1000)]
CONFIG = """
reference: ref.json
fields:
  vectors:
    embedding: {length: 3}
    place: {length: 3, summary: elements}
"""
NAMES = ["embedding.norm", "place.0", "place.1", "place.2"]


@pytest.fixture
def command(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text(CONFIG)

    def command(*arguments):
        code = main([*map(str, arguments), f"--config={tmp_path / 'config.yaml'}"])
        out, err = capsys.readouterr()
        return code, out, err

    return command


def write(folder, suffix, rows, nested=True):
    path = folder / f"rows{len(list(folder.iterdir()))}.{suffix}"
    columns = {"embedding": rows, "place": rows}
    if suffix == "parquet":
        array = pa.array(rows, pa.list_(pa.float64(), 3))
        struct = pa.StructArray.from_arrays([array, array], ["embedding", "place"])
        parquet.write_table(pa.table({"features": struct} if nested else dict.fromkeys(columns, array)), path)
    elif suffix == "csv":
        lines = [f'"{json.dumps(row)}","{json.dumps(row)}"' if row else "NA," for row in rows]
        path.write_text("\n".join(["embedding,place", *lines]))
    else:
        records = [{"embedding": row, "place": row} for row in rows]
        records = [{"features": one} for one in records] if nested else records
        path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return path


def counts(folder, records, **fields):
    """The bins of each feature that records fall into, by the running monitor's decoder."""
    reference = references.load(folder / "ref.json")
    vectors = {"embedding": {"length": 3}, "place": {"length": 3, "summary": "elements"}}
    found = Decoder(reference, Fields(vectors=vectors, **fields)).decode(records)
    return reference, found


def test_the_same_vectors_are_the_same_whatever_they_are_written_in(tmp_path, command):
    rows = [None if at % 50 == 7 else row for at, row in enumerate(ROWS)]
    files = [write(tmp_path, suffix, rows, nested) for suffix in ("parquet", "jsonl") for nested in (True, False)]
    files.append(write(tmp_path, "csv", rows))
    records = [json.dumps({"ts_ms": 1, "features": {"embedding": row, "place": row}}).encode() for row in rows]
    digests = set()
    for built in files:
        code, out, err = command("reference", "build", "--input", built, "--output", tmp_path / "ref.json")
        assert code == 0, err
        assert [line.split(":")[0].split()[-1] for line in out.splitlines()[1:]] == NAMES
        for scored in files:
            code, out, err = command(
                "score", f"--reference={tmp_path / 'ref.json'}", f"--input={scored}", "--window=1000", "--json"
            )
            assert code == 0, err
            assert json.loads(out)["features"] == dict.fromkeys(NAMES, 0)
        reference, found = counts(tmp_path, records)
        assert found.problems == []
        assert np.array_equal(
            np.bincount(found.events.codes.ravel(), minlength=reference.layout.size), reference.counts
        )
        digests.add(reference.digest)
    assert len(digests) == 1


def test_another_length_of_vectors_in_space_is_seen(tmp_path, command):
    command("reference", "build", "--input", write(tmp_path, "jsonl", ROWS), "--output", tmp_path / "ref.json")
    longer = [[2 * one for one in row] for row in ROWS]
    _, out, _ = command(
        "score",
        f"--reference={tmp_path / 'ref.json'}",
        "--input",
        write(tmp_path, "csv", longer),
        "--window=1000",
        "--json",
    )
    assert json.loads(out)["features"]["embedding.norm"] > 0.4


@pytest.mark.parametrize(
    ("value", "missing", "wrong"),
    [
        ([3, 4.0, 0], 0, False),
        (None, 4, False),
        ([1, None, 2], 2, False),
        ([1, math.nan, 2], 2, False),
        ([1, 10**400, 2], 2, False),
        ([1e200, 1e200, 0], 1, False),
        (["1", "2.5", "NA"], 2, False),
        ("[1, 2, 3]", 0, False),
        ("NA", 4, False),
        ([1, 2], 4, True),
        ([], 4, True),
        ([1, 2, 3, 4], 4, True),
        ([1, True, 2], 2, True),
        ([1, [2], 3], 2, True),
        ([1, "x", 3], 2, True),
        ({"0": 1}, 4, True),
        (3, 4, True),
        ("[1, 2", 4, True),
    ],
)
def test_a_vector_that_is_none_is_one_records_field(tmp_path, command, value, missing, wrong):
    command("reference", "build", "--input", write(tmp_path, "jsonl", ROWS), "--output", tmp_path / "ref.json")
    good = {"ts_ms": 1, "features": {"embedding": ROWS[0], "place": ROWS[0]}}
    bad = {"ts_ms": 1, "features": {"embedding": value, "place": value}}
    _, found = counts(tmp_path, [json.dumps(one).encode() for one in (good, bad, good)])
    assert found.good.tolist() == [0, 1, 2]
    assert found.problems == ([(1, "wrong_type")] if wrong else [])
    assert sum(math.isnan(column[1]) for column in found.columns) == missing
    assert not any(math.isnan(column[at]) for column in found.columns for at in (0, 2))


def test_numbers_that_mean_missing_are_missing_in_vectors():
    found, wrong = Vector("x", 2, Summary.ELEMENTS).take([[-999, 1], ["-999", 2]], Missing.of(["-999"]))
    assert not wrong
    assert np.array_equal(found, [[math.nan, math.nan], [1, 2]], equal_nan=True)


def test_vectors_of_avro(tmp_path, command):
    command("reference", "build", "--input", write(tmp_path, "jsonl", ROWS), "--output", tmp_path / "ref.json")
    array = {"type": "array", "items": "double"}
    features = [{"name": name, "type": array} for name in ("embedding", "place")]
    schema = {
        "type": "record",
        "name": "Record",
        "fields": [
            {"name": "ts_ms", "type": "long"},
            {"name": "features", "type": {"type": "record", "name": "Features", "fields": features}},
        ],
    }
    registry = RegistryStandIn()
    registry.add(7, json.dumps(schema))
    fields = Fields(vectors={"embedding": {"length": 3}, "place": {"length": 3, "summary": "elements"}})
    form = Registered(Registry(SchemaRegistry(url=registry.url)), avro.reader)
    decoder = Decoder(references.load(tmp_path / "ref.json"), fields, form)
    records = []
    for row in ([3.0, 4.0, 0.0], [1.0]):
        out = io.BytesIO(b"\0\0\0\0\7")
        out.seek(5)
        fastavro.schemaless_writer(out, schema, {"ts_ms": 1, "features": {"embedding": row, "place": row}})
        records.append(out.getvalue())
    decoder.prepare(records)
    found = decoder.decode(records)
    registry.close()
    assert found.problems == [(1, "wrong_type")]
    assert [column[0] for column in found.columns] == [5, 3, 4, 0]


def test_a_vector_that_is_not_there_is_told(tmp_path, command):
    (tmp_path / "plain.jsonl").write_text('{"x": 0.1}\n' * 200)
    code, _, err = command("reference", "build", "--input", tmp_path / "plain.jsonl", "--output", tmp_path / "ref.json")
    assert (code, err.splitlines()[-1].split(": ")[1]) == (2, "no column embedding, which fields.vectors names")
    command("reference", "build", "--input", write(tmp_path, "jsonl", ROWS), "--output", tmp_path / "ref.json")
    with pytest.raises(InputError, match=r"fields\.vectors\.other: the reference has no feature other\.norm"):
        Decoder(references.load(tmp_path / "ref.json"), Fields(vectors={"other": {"length": 3}}))
