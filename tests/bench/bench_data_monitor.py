"""How fast the data monitor reads: events a second and microseconds of CPU an event, next to loops that only consume.

A real broker, 591-byte JSON with 20 features. Each side is a process of its own, bound to one CPU, which reads the same
records from the beginning with the same client and the monitor's settings. Sides take turns. The best turn of each is
told; ratios are the median over turns, whose sides are weighed on alike by what else runs on the machine.

* ``bare_consume``: whole batches, and nothing of them is looked at;
* ``bare_value``: whole batches, and the bytes of every record are taken out;
* ``bare_poll``: one record after the other, and its bytes are taken out: the loop that tutorials show;
* ``only_decode``: whole batches, decoded into typed structs that are dropped: a floor for whatever decodes in Python;
* ``monitor``: the whole service; also with ten times the features, with ten times the panes, and with a 21st feature of
  10,000 categories, next to the same events without it (``monitor_texts``, ``monitor_10000_categories``);
* ``monitor_avro``: the whole service on Avro with the same 20 features, its schema from a stand-in for a registry.

With ``BENCH_BEFORE=REVISION`` of this repository the service of that revision takes turns with the others, too.
"""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
from confluent_kafka import Producer
from data_monitor.adapters import references
from data_monitor.core.columns import Column
from data_monitor.core.learn import learn
from data_monitor.core.reference import UNTYPED_FORMAT
from kafka_broker import KafkaBroker
from registry_stand_in import RegistryStandIn

EVENTS = int(os.environ.get("BENCH_EVENTS", "600000"))
TURNS = int(os.environ.get("BENCH_TURNS", "3"))
BYTES = 591
PARTITIONS = 4
CATEGORIES = 10_000
_ROOT = Path(__file__).parents[2]
_SOURCES, _READER = "operator/data_monitor/src", "tests/bench/reader.py"
FIRST_MS = 1_700_000_000_000
_BARE = ("bare_consume", "bare_value", "bare_poll", "only_decode")
_DISTINCT = 20_000


def run(report: Callable[[str], None]) -> dict[str, Any]:
    """Produce, then measure: the bare loops, the monitor, and the monitor with more to keep."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, KafkaBroker(Path(folder) / "kafka") as broker:
        report(f"producing {EVENTS:,} events to a real broker")
        for topic, features, count, categories in (
            ("events-20", 20, EVENTS, 0),
            ("events-200", 199, EVENTS // 10, 0),
            ("events-texts", 20, EVENTS // 4, CATEGORIES),
        ):
            broker.create(topic, PARTITIONS)
            _produce(broker.address, topic, features, count, categories)
            references.save(_reference(features), Path(folder) / f"{topic}.json")
        references.save(_reference(20, CATEGORIES), Path(folder) / "events-categories.json")
        broker.create("events-avro", PARTITIONS)
        _produce_avro(broker.address, "events-avro", 20, EVENTS // 2)
        references.save(_reference(20), Path(folder) / "events-avro.json")
        registry = RegistryStandIn()
        registry.add(1, json.dumps(_avro_schema(20)))
        os.environ["BENCH_REGISTRY"] = registry.url
        before = _source_of(os.environ.get("BENCH_BEFORE"), Path(folder))
        if before:
            report(f"taking turns with {os.environ['BENCH_BEFORE']}")
        turns: dict[str, list[dict[str, float]]] = {}
        for turn in range(TURNS):
            for side, kind, topic, count, pane, reference in (
                *((side, side, "events-20", EVENTS, "10s", "") for side in _BARE),
                *((("monitor_before", "monitor", "events-20", EVENTS, "10s", ""),) if before else ()),
                ("monitor", "monitor", "events-20", EVENTS, "10s", ""),
                ("monitor_1s_panes", "monitor", "events-20", EVENTS, "1s", ""),
                ("monitor_199_features", "monitor", "events-200", EVENTS // 10, "10s", ""),
                ("monitor_avro", "monitor", "events-avro", EVENTS // 2, "10s", ""),
                ("monitor_texts", "monitor", "events-texts", EVENTS // 4, "10s", ""),
                ("monitor_10000_categories", "monitor", "events-texts", EVENTS // 4, "10s", "events-categories"),
            ):
                source = before if side == "monitor_before" else None
                found = _measure(kind, broker.address, topic, count, Path(folder), pane, reference or topic, source)
                report(f"turn {turn + 1}, {side}: {found}")
                turns.setdefault(side, []).append(found)
    best = {
        side: {
            "events_per_second": max(one["events_per_second"] for one in all_of),
            "cpu_us_per_event": min(one["cpu_us_per_event"] for one in all_of),
            "peak_rss_mib": max(one["peak_rss_mib"] for one in all_of),
        }
        for side, all_of in turns.items()
    }
    cpu = {side: np.array([one["cpu_us_per_event"] for one in all_of]) for side, all_of in turns.items()}
    return {
        "events": EVENTS,
        "bytes_per_event": BYTES,
        **best,
        **{f"cpu_of_{side}_by_monitor": _median(cpu[side] / cpu["monitor"]) for side in _BARE},
        "events_per_cpu_second": round(1e6 / cpu["monitor"].min()),
        "avro_events_per_cpu_second": round(1e6 / cpu["monitor_avro"].min()),
        "cpu_of_avro_by_json": _median(cpu["monitor_avro"] / cpu["monitor"]),
        "cpu_of_199_features_by_20": _median(cpu["monitor_199_features"] / cpu["monitor"]),
        "cpu_of_1s_panes_by_10s": _median(cpu["monitor_1s_panes"] / cpu["monitor"]),
        "cpu_of_10000_categories_by_without": _median(cpu["monitor_10000_categories"] / cpu["monitor_texts"]),
        "rss_of_10000_categories_by_without": _median(
            np.array([one["peak_rss_mib"] for one in turns["monitor_10000_categories"]])
            / np.array([one["peak_rss_mib"] for one in turns["monitor_texts"]])
        ),
        **({"cpu_of_monitor_by_before": _median(cpu["monitor"] / cpu["monitor_before"])} if before else {}),
    }


def _median(ratios: Any) -> float:
    return round(float(np.median(ratios)), 3)


def _source_of(revision: str | None, folder: Path) -> Path | None:
    """A folder with the data monitor of a revision, and what reads with it."""
    if not revision:
        return None
    archive = subprocess.run(
        ["git", "archive", revision, _SOURCES, _READER], check=True, capture_output=True, cwd=_ROOT
    ).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], check=True, input=archive)
    return folder


def _measure(
    kind: str, address: str, topic: str, count: int, folder: Path, pane: str, reference: str, source: Path | None
) -> dict[str, float]:
    root = source or _ROOT
    command = [
        sys.executable,
        str(root / _READER),
        kind,
        address,
        topic,
        str(count),
        str(folder / f"{reference}.json"),
        str(folder),
        pane,
    ]
    environment = {**os.environ, "PYTHONPATH": str(root / _SOURCES)}
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=1200, env=environment)
    found: dict[str, float] = json.loads(said.stdout)
    return found


def _reference(features: int, categories: int = 0) -> Any:
    dice = np.random.default_rng(1)
    columns = [Column(f"feature_{number:03d}", dice.normal(size=5000).tolist()) for number in range(features)]
    if categories:
        columns.append(Column("text", [f"item-{number:05d}" for number in range(categories)] * 2))
        for number, column in enumerate(columns[:-1]):
            columns[number] = Column(column.name, list(column.values) * (2 * categories // 5000))
        return learn(columns, prediction=Column("score", dice.random(2 * categories).tolist()))
    # A reference that an older monitor reads, too.
    return replace(learn(columns, prediction=Column("score", dice.random(5000).tolist())), format=UNTYPED_FORMAT)


def _avro_schema(features: int) -> Any:
    fields = [{"name": f"feature_{number:03d}", "type": ["null", "double"]} for number in range(features)]
    return {
        "type": "record",
        "name": "Prediction",
        "fields": [
            {"name": "event_id", "type": "string"},
            {"name": "ts_ms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "inference_ms", "type": "double"},
            {"name": "score", "type": "double"},
            {"name": "features", "type": {"type": "record", "name": "Features", "fields": fields}},
        ],
    }


def _produce_avro(address: str, topic: str, features: int, count: int) -> None:
    """As _produce, in Confluent's wire format."""
    dice = random.Random(1)
    schema = fastavro.parse_schema(_avro_schema(features))
    producer = Producer({"bootstrap.servers": address, "linger.ms": 50, "batch.size": 1_000_000})
    for number in range(count):
        out = io.BytesIO()
        out.write(b"\0\0\0\0\1")
        record = {
            "event_id": f"bench-{number:08d}",
            "ts_ms": FIRST_MS + number // 5,
            "inference_ms": dice.lognormvariate(-3, 0.3),
            "score": dice.random(),
            "features": {f"feature_{at:03d}": dice.gauss(0, 1) for at in range(features)},
        }
        fastavro.schemaless_writer(out, schema, record)
        _send(producer, topic, out.getvalue(), number)
    assert producer.flush(120) == 0


def _send(producer: Producer, topic: str, value: str | bytes, number: int) -> None:
    while True:
        try:
            producer.produce(topic, value, partition=number % PARTITIONS)
            break
        except BufferError:
            producer.poll(0.1)
    if number % 1000 == 0:
        producer.poll(0)


def _produce(address: str, topic: str, features: int, count: int, categories: int) -> None:
    """In event time, 5,000 events a second; distinct values repeat after a while, time goes on."""
    dice = random.Random(1)
    tails = []
    for _ in range(min(count, _DISTINCT)):
        values = {f"feature_{number:03d}": round(dice.gauss(0, 1), 5) for number in range(features)}
        if categories:
            values["text"] = f"item-{dice.randrange(categories):05d}"
        inside = {"inference_ms": round(dice.lognormvariate(-3, 0.3), 4), "score": round(dice.random(), 6)}
        tails.append(json.dumps({**inside, "features": values}, separators=(",", ":"))[1:])
    producer = Producer(
        {
            "bootstrap.servers": address,
            "linger.ms": 50,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 200_000,
        }
    )
    for number in range(count):
        head = f'{{"event_id":"bench-{number:08d}","ts_ms":{FIRST_MS + number // 5},'
        text = head + tails[number % len(tails)]
        if features == 20:
            text = f'{{"pad":"{"x" * max(0, BYTES - len(text) - 9)}",' + text[1:]
        _send(producer, topic, text, number)
    assert producer.flush(120) == 0
