"""One side of the benchmark, in a process of its own: reads a topic from its beginning, prints its figures as JSON.

``reader.py SIDE ADDRESS TOPIC EVENTS REFERENCE FOLDER PANE``
"""

import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path

import msgspec
from confluent_kafka import Message
from data_monitor.adapters import references
from data_monitor.adapters.codec import Form
from data_monitor.adapters.decode import DeadLetterDecoder, Decoder, feature_paths
from data_monitor.adapters.exporter import Exporter, Health
from data_monitor.adapters.kafka import Source
from data_monitor.adapters.schema import NUMBER, Node
from data_monitor.adapters.snapshot import SnapshotFile
from data_monitor.commands.run import format_of
from data_monitor.config import Config, Fields
from data_monitor.core.judge import Judge, Rules
from data_monitor.core.monitor import Monitor
from data_monitor.ingest import Ingest
from data_monitor.partitions import Partitions
from data_monitor.readers import Alone, Patience
from data_monitor.service import _BATCH, Service, times_of


def bare_poll(settings, source, count):
    """The loop that tutorials show: one record after the other."""
    seen = 0
    while seen < count:
        message = source._consumer.poll(0.1)
        if message is not None and message.error() is None and message.value():
            seen += 1


def bare_consume(settings, source, count):
    """Whole batches, and nothing of them is looked at."""
    seen = 0
    while seen < count:
        seen += len(source._consumer.consume(_BATCH, 0.1))


def bare_value(settings, source, count):
    """Whole batches, and the bytes of every record are taken out."""
    seen = 0
    while seen < count:
        seen += sum(map(bool, map(Message.value, source._consumer.consume(_BATCH, 0.1))))


def only_decode(settings, source, count):
    """Whole batches, decoded into typed structs, which are dropped: what nothing in Python can be faster than."""
    root = Node()
    reference = references.load(settings.reference)
    for path in [settings.fields.time, settings.fields.inference_time, *feature_paths(reference, settings.fields)]:
        root.leaf(path, NUMBER)
    decode = msgspec.json.Decoder(root.build()).decode
    seen = 0
    while seen < count:
        values = list(map(Message.value, source._consumer.consume(_BATCH, 0.1)))
        for value in values:
            try:
                decode(value)
            except msgspec.DecodeError:  # no record, but what the client says of a connection
                seen -= 1
        seen += len(values)


def monitor(settings, source, count):
    """The whole service: decoding, panes, judging, saving, publishing."""
    judge = Judge(references.load(settings.reference), Rules())
    watch = Monitor(judge, times_of(settings))
    partitions = Partitions(settings, watch, source)
    health = Health()
    alone = Alone([settings.kafka.topic], watch, source, partitions, time.time)
    alone.begin({}, Patience(health))
    store = SnapshotFile(settings.state.path, Form(judge.reference.digest, watch.times.pane, judge.shape))
    decoder = Decoder(judge.reference, Fields(), format_of(settings, settings.kafka.format))
    ingest = Ingest(watch, settings.kafka.topic, decoder, DeadLetterDecoder("type", []))
    exporter = Exporter("bench", judge.reference.digest, judge.thresholds, [])
    service = Service(settings, watch, ingest, source, partitions, alone, store, exporter, health)

    def stop_at_the_end():
        while sum(state.counters["records"] for state in list(watch.states.values())) < count:
            time.sleep(0.05)
        service.stop()

    threading.Thread(target=stop_at_the_end, daemon=True).start()
    service.run()
    assert watch.counted()["events"] == count, watch.counted()
    assert exporter.published.evaluation.ready


SIDES = {side.__name__: side for side in (bare_consume, bare_value, bare_poll, only_decode, monitor)}


def main(kind, address, topic, events, reference, folder, pane):
    """Read on one CPU; measure from the first request on."""
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    count = int(events)
    kafka = {"bootstrapServers": address, "topic": topic, "deadLetterTopic": None, "startAt": "earliest"}
    avro = {"schemaRegistry": {"url": os.environ["BENCH_REGISTRY"]}} if topic.endswith("avro") else {}
    settings = Config.model_validate(
        {
            "reference": reference,
            "kafka": {**kafka, **({"format": "avro"} if avro else {})},
            **avro,
            "window": {"pane": pane},
            "state": {"path": str(Path(folder) / f"snapshot-{os.getpid()}")},
        }
    )
    source = Source(settings.kafka, lambda text: print(text, file=sys.stderr))
    keys = source.partitions(topic)
    wall, cpu = time.monotonic(), time.process_time()
    if kind != "monitor":
        source.assign(dict.fromkeys(keys, 0))
    SIDES[kind](settings, source, count)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    # Not getrusage: that begins with what the parent had.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    rss = int(status["VmHWM"].split()[0]) / 1024
    print(
        json.dumps(
            {
                "events_per_second": round(count / wall),
                "cpu_us_per_event": round(cpu / count * 1e6, 3),
                "peak_rss_mib": round(rss, 1),
            }
        )
    )
    sys.stdout.flush()
    # The client's threads need not be waited for.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
