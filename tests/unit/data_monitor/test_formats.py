"""Avro and Protobuf records whose schemas are in a registry, against a stand-in that speaks its protocol."""

import base64
import io
import itertools
import json
import struct
from decimal import Decimal

import fastavro
import hypothesis.strategies as st
import numpy as np
import pytest
from certificates import make_certificate
from data_monitor.adapters import avro, protobuf
from data_monitor.adapters.avro_code import compiled
from data_monitor.adapters.decode import Decoder
from data_monitor.adapters.formats import Registered
from data_monitor.adapters.kafka import Unavailable
from data_monitor.adapters.labels import LabelDecoder
from data_monitor.adapters.registry import Registry, Schema
from data_monitor.config import Fields, GroundTruth, SchemaRegistry
from data_monitor.core.columns import Column
from data_monitor.core.learn import learn
from data_monitor.errors import InputError
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from hypothesis import given
from registry_stand_in import RegistryStandIn

NUMBERS = np.random.default_rng(1).normal(size=1000).tolist()
REFERENCE = learn([Column("price", NUMBERS), Column("device", ["m", "t"] * 500)], prediction=Column("score", NUMBERS))
FEATURES = {
    "type": "record",
    "name": "Features",
    "fields": [
        {"name": "price", "type": ["null", "double"], "default": None},
        {"name": "device", "type": {"type": "enum", "name": "Device", "symbols": ["m", "t"]}},
    ],
}
PREDICTION = {
    "type": "record",
    "name": "Prediction",
    "fields": [
        {"name": "ts_ms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "inference_ms", "type": "float"},
        {"name": "score", "type": "int"},
        {"name": "features", "type": FEATURES},
        {"name": "more", "type": {"type": "array", "items": "bytes"}, "default": []},
    ],
}
GOOD = {"ts_ms": 5000, "inference_ms": 0.5, "score": 3, "features": {"price": 1.25, "device": "t"}, "more": [b"x"]}


@pytest.fixture
def registry():
    stand_in = RegistryStandIn()
    yield stand_in
    stand_in.close()


def decoder(registry, reader, **fields):
    form = Registered(Registry(SchemaRegistry(url=registry.url)), reader)
    return Decoder(REFERENCE, Fields(**fields), form)


def avro_record(record, schema=PREDICTION, number=7):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(schema))), record)
    return b"\0" + number.to_bytes(4) + out.getvalue()


def test_avro(registry):
    registry.add(7, json.dumps(PREDICTION))
    records = [
        avro_record(GOOD),
        avro_record({**GOOD, "features": {"price": None, "device": "m"}}),
        avro_record(GOOD)[:-4],
        b"\0\0\0\0\x08" + avro_record(GOOD)[5:],
        b'{"ts_ms": 1}',
        b"",
        None,
        avro_record(GOOD),
    ]
    decode = decoder(registry, avro.reader)
    decode.prepare(records)
    decode.prepare(records)
    found = decode.decode(records)
    assert found.good.tolist() == [0, 1, 7]
    assert found.problems == [(at, "malformed_json") for at in range(2, 7)]
    assert found.events.times_ms.tolist() == [5000] * 3
    assert found.events.latencies_ms.tolist() == [0.5] * 3
    price, device, score = found.columns
    assert np.array_equal(price, [1.25, np.nan, 1.25], equal_nan=True)
    assert list(device) == ["t", "m", "t"]
    assert score.tolist() == [3.0] * 3
    assert sorted(registry.asked) == ["/schemas/ids/7", "/schemas/ids/8"], "asked for once, also for what is not there"


def test_avro_with_a_schema_that_imports_another_and_one_that_has_grown(registry):
    registry.add(3, json.dumps(FEATURES), subject="features/value")
    imported = {"name": "Features", "subject": "features/value", "version": 1}
    fields = [one if one["name"] != "features" else {**one, "type": "Features"} for one in PREDICTION["fields"]]
    registry.add(7, json.dumps({**PREDICTION, "fields": fields}), references=[imported])
    grown = {**PREDICTION, "fields": [*PREDICTION["fields"], {"name": "new", "type": "string"}]}
    registry.add(9, json.dumps(grown))
    records = [avro_record(GOOD), avro_record({**GOOD, "new": "x"}, grown, 9)]
    decode = decoder(registry, avro.reader)
    decode.prepare(records)
    assert decode.decode(records).columns[0].tolist() == [1.25, 1.25]


def label_decoder(registry, reader):
    settings = GroundTruth(topic="labels", fields={"id": "trip.id", "value": "truth"})
    return LabelDecoder(settings, Registered(Registry(SchemaRegistry(url=registry.url)), reader))


UUID = "cba079a6-5d6f-4e69-b3ea-13571057afa2"


@pytest.mark.parametrize(
    ("id_type", "id_", "truth_type", "truth", "found"),
    [
        ("string", "a", "double", 0.5, ("a", 0.5)),
        ("long", 7, ["null", "boolean"], True, (7, True)),
        ("string", "a", ["null", "boolean"], None, ("a", None)),
        ("string", "a", {"type": "enum", "name": "Kind", "symbols": ["x", "y"]}, "y", ("a", "y")),
        ("string", "a", ["null", "double", "string"], "yes", ("a", "yes")),
        ({"type": "string", "logicalType": "uuid"}, UUID, "int", 1, (UUID, 1)),
        (
            "string",
            "a",
            {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2},
            Decimal("12.50"),
            ("a", 12.5),
        ),
        ("string", "a", {"type": "array", "items": "int"}, [1], ("a", None)),
        ("string", "a", "bytes", b"x", ("a", None)),
    ],
)
def test_avro_labels(registry, id_type, id_, truth_type, truth, found):
    trip = {"type": "record", "name": "Trip", "fields": [{"name": "id", "type": id_type}]}
    fields = [{"name": "trip", "type": trip}, {"name": "truth", "type": truth_type}]
    label = {"type": "record", "name": "Label", "fields": fields}
    registry.add(3, json.dumps(label))
    good = avro_record({"trip": {"id": id_}, "truth": truth}, label, 3)
    decode = label_decoder(registry, avro.reader)
    records = [good, good[:-1], b"\0\0\0\0\x04" + good[5:], b'{"trip": {"id": "a"}, "truth": 1}', b"", None, good]
    decode.prepare(records)
    ids, values = decode.decode(records)
    nothing = [None] * 5
    assert (ids, values) == ([found[0], *nothing, found[0]], [found[1], *nothing, found[1]])


def test_protobuf_labels(registry):
    file = descriptor_pb2.FileDescriptorProto(name="label.proto", package="shop", syntax="proto3")
    file.message_type.add(name="Trip", field=[field("id", 1, KINDS.TYPE_INT64)])
    file.message_type.add(
        name="Label",
        field=[
            field("trip", 1, KINDS.TYPE_MESSAGE, ".shop.Trip"),
            field("truth", 2, KINDS.TYPE_DOUBLE, proto3_optional=True, oneof_index=0),
        ],
    ).oneof_decl.add(name="_truth")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Label"))
    registry.add(3, "", "PROTOBUF", serialized=base64.b64encode(file.SerializeToString()).decode())
    head = b"\0" + (3).to_bytes(4) + bytes([2, 2])
    records = [
        head + made(trip={"id": 7}, truth=0.0).SerializeToString(),
        head + made(trip={"id": 7}).SerializeToString(),
        head + made(truth=1.0).SerializeToString(),
        head + b"\xff",
    ]
    decode = label_decoder(registry, protobuf.reader)
    decode.prepare(records)
    assert decode.decode(records) == ([7, 7, None, None], [0.0, None, 1.0, None])


def test_a_registry_that_is_away_is_waited_for(registry):
    registry.add(7, json.dumps(PREDICTION))
    registry.down = True
    decode = decoder(registry, avro.reader)
    with pytest.raises(Unavailable, match="503"):
        decode.prepare([avro_record(GOOD)])
    registry.down = False
    decode.prepare([avro_record(GOOD)])
    assert len(decode.decode([avro_record(GOOD)]).good) == 1


def test_basic_auth_comes_from_the_environment(monkeypatch):
    registry = RegistryStandIn("me:secret")
    registry.add(7, json.dumps(PREDICTION))
    with pytest.raises(Unavailable, match="401"):
        Registry(SchemaRegistry(url=registry.url)).by_id(7)
    monkeypatch.setenv("SCHEMA_REGISTRY_USERNAME", "me")
    monkeypatch.setenv("SCHEMA_REGISTRY_PASSWORD", "secret")
    assert Registry(SchemaRegistry(url=registry.url)).by_id(7).schema_type == "AVRO"
    registry.close()


def test_a_registry_over_tls(tmp_path, monkeypatch):
    """A stand-in for the registry, but TLS is the real one; its CA is in a file, as from a Secret or a ConfigMap."""
    key, certificate = tmp_path / "tls.key", tmp_path / "ca.crt"
    make_certificate(key, certificate)
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    registry = RegistryStandIn("me:secret", both)
    registry.add(7, json.dumps(PREDICTION))
    monkeypatch.setenv("SCHEMA_REGISTRY_USERNAME", "me")
    monkeypatch.setenv("SCHEMA_REGISTRY_PASSWORD", "secret")
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        Registry(SchemaRegistry(url=registry.url)).by_id(7)
    assert registry.asked == [], "no password goes to a server that nobody vouches for"
    form = Registered(Registry(SchemaRegistry(url=registry.url, ca_file=certificate)), avro.reader)
    decode = Decoder(REFERENCE, Fields(), form)
    decode.prepare([avro_record(GOOD)])
    assert len(decode.decode([avro_record(GOOD)]).good) == 1
    elsewhere = SchemaRegistry(url=registry.url.replace("127.0.0.1", "localhost"), ca_file=certificate)
    with pytest.raises(Unavailable, match="Hostname mismatch"):
        Registry(elsewhere).by_id(7)
    registry.close()
    with pytest.raises(InputError, match="certificates cannot be read"):
        Registry(SchemaRegistry(url=registry.url, ca_file=tmp_path / "none.crt"))


KINDS = descriptor_pb2.FieldDescriptorProto


def field(name, number, kind, type_name=None, **more):
    return KINDS(name=name, number=number, type=kind, type_name=type_name, label=KINDS.LABEL_OPTIONAL, **more)


def proto():
    """Two files: predictions.proto imports features.proto and Protobuf's own timestamp.proto."""
    features = descriptor_pb2.FileDescriptorProto(name="features.proto", package="shop", syntax="proto3")
    features.enum_type.add(name="Device").value.extend(
        descriptor_pb2.EnumValueDescriptorProto(name=name, number=number) for number, name in enumerate(("m", "t"))
    )
    features.message_type.add(
        name="Features",
        field=[
            field("price", 1, KINDS.TYPE_DOUBLE, proto3_optional=True, oneof_index=0),
            field("device", 2, KINDS.TYPE_ENUM, ".shop.Device"),
        ],
    ).oneof_decl.add(name="_price")
    predictions = descriptor_pb2.FileDescriptorProto(name="predictions.proto", package="shop", syntax="proto3")
    predictions.dependency.extend(["features.proto", "google/protobuf/timestamp.proto"])
    predictions.message_type.add(name="Other")
    outer = predictions.message_type.add(name="Outer")
    outer.nested_type.add(
        name="Prediction",
        field=[
            field("at", 1, KINDS.TYPE_MESSAGE, ".google.protobuf.Timestamp"),
            field("inference_ms", 2, KINDS.TYPE_FLOAT),
            field("score", 3, KINDS.TYPE_INT64),
            field("features", 4, KINDS.TYPE_MESSAGE, ".shop.Features"),
            field("more", 5, KINDS.TYPE_BYTES),
            field("before", 6, KINDS.TYPE_MESSAGE, ".shop.Outer.Prediction"),
        ],
    )
    return features, predictions


def test_protobuf(registry):
    features, predictions = proto()
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    for file in (features, predictions):
        pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Outer.Prediction"))
    encoded = {file.name: base64.b64encode(file.SerializeToString()).decode() for file in (features, predictions)}
    registry.add(1, "", "PROTOBUF", subject="features", serialized=encoded["features.proto"])
    imports = [{"name": "features.proto", "subject": "features", "version": 1}]
    registry.add(2, "", "PROTOBUF", references=imports, serialized=encoded["predictions.proto"])
    whole = made(at={"seconds": 5, "nanos": 250_000_000}, inference_ms=0.5, score=3)
    whole.features.price, whole.features.device = 0.0, 1
    whole.before.score = 1
    # The second message of the file, the first inside of it.
    head = b"\0" + (2).to_bytes(4) + bytes([4, 2, 0])
    records = [
        head + whole.SerializeToString(),
        head + made(at={"seconds": 6}, features={"device": 0}).SerializeToString(),
        head + b"\xff",
        b"\0" + (2).to_bytes(4) + bytes([2, 18]),
        head + whole.SerializeToString(),
    ]
    decode = decoder(registry, protobuf.reader, time="at", timeUnit="iso8601")
    decode.prepare(records)
    found = decode.decode(records)
    assert found.good.tolist() == [0, 1, 4]
    assert found.events.times_ms.tolist() == [5250, 6000, 5250]
    price, device, score = found.columns
    assert np.array_equal(price, [0.0, np.nan, 0.0], equal_nan=True), "absent is missing, zero is zero"
    assert list(device) == ["t", "m", "t"]
    assert score.tolist() == [3, 0, 3]


PRIMITIVES = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "string": st.text(max_size=200),
    "bytes": st.binary(max_size=5),
}
SCHEMAS = st.recursive(
    st.sampled_from(sorted(PRIMITIVES)),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=5).map(lambda kinds: {"record": kinds})
        | inner.map(lambda kind: {"array": kind})
        | inner.flatmap(lambda kind: st.booleans().map(lambda first: {"optional": kind, "first": first}))
    ),
    max_leaves=12,
)


def avro_schema(drawn, names):
    """The Avro schema of what was drawn; an optional inside an optional is not allowed in Avro."""
    if isinstance(drawn, str):
        return drawn
    if "record" in drawn:
        fields = [{"name": f"f{n}", "type": avro_schema(one, names)} for n, one in enumerate(drawn["record"])]
        return {"type": "record", "name": f"R{next(names)}", "fields": fields}
    if "array" in drawn:
        return {"type": "array", "items": avro_schema(drawn["array"], names)}
    inner = avro_schema(drawn["optional"], names)
    if isinstance(inner, list) or inner == "null":
        return inner
    return ["null", inner] if drawn["first"] else [inner, "null"]


def value_of(schema, draw):
    if isinstance(schema, list):
        return value_of(schema[draw(st.integers(0, 1))], draw)
    if isinstance(schema, str):
        return draw(PRIMITIVES[schema])
    if schema["type"] == "array":
        return [value_of(schema["items"], draw) for _ in range(draw(st.integers(0, 2)))]
    return {one["name"]: value_of(one["type"], draw) for one in schema["fields"]}


@given(st.data())
def test_compiled_readers_read_what_fastavro_writes(data):
    inner = avro_schema(data.draw(SCHEMAS), itertools.count())
    schema = {"type": "record", "name": "Top", "fields": [{"name": "x", "type": inner}]}
    record = value_of(schema, data.draw)
    stand_in = type("StandIn", (), {"by_id": lambda self, number: Schema(json.dumps(schema))})()
    read = avro.reader(stand_in, 1)
    encoded = avro_record(record, schema)
    assert read(encoded) == record
    for cut in range(5, len(encoded)):
        with pytest.raises((EOFError, IndexError, ValueError, struct.error)):
            read(encoded[:cut])


def test_events_are_read_by_compiled_readers():
    schema = fastavro.parse_schema(json.loads(json.dumps(FEATURES)))
    read = compiled(schema, {})
    assert read(avro_record({"price": 1.5, "device": "t"}, FEATURES), 5) == {"price": 1.5, "device": "t"}


def test_a_schema_of_another_kind_leaves_its_records_out(registry):
    registry.add(7, json.dumps(PREDICTION))
    decode = decoder(registry, protobuf.reader)
    decode.prepare([avro_record(GOOD)])
    assert decode.decode([avro_record(GOOD)]).problems == [(0, "malformed_json")]
