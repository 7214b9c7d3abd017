"""One side of the benchmark, in a process of its own: reads a topic from its beginning, prints its figures as JSON.

``reader.py bare|bare_poll|monitor ADDRESS TOPIC EVENTS REFERENCE FOLDER``
"""

import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path

from data_monitor.adapters import references
from data_monitor.adapters.codec import Form
from data_monitor.adapters.decode import DeadLetterDecoder, Decoder
from data_monitor.adapters.exporter import Exporter, Health
from data_monitor.adapters.kafka import Source
from data_monitor.adapters.snapshot import SnapshotFile
from data_monitor.config import Config, Fields
from data_monitor.core.judge import Judge, Rules
from data_monitor.core.monitor import Monitor
from data_monitor.ingest import Ingest
from data_monitor.readers import Alone, Patience
from data_monitor.service import _BATCH, Partitions, Service, times_of


def poll(source, keys, count):
    """The loop that tutorials show: one record after the other."""
    source.assign(dict.fromkeys(keys, 0))
    seen = 0
    while seen < count:
        message = source._consumer.poll(0.1)
        if message is not None and message.error() is None and message.value():
            seen += 1


def bare(source, keys, count):
    """Consume with the monitor's own client and settings, and look at nothing."""
    source.assign(dict.fromkeys(keys, 0))
    seen = 0
    while seen < count:
        seen += len(source.poll(_BATCH, 0.1))


def monitor(settings, source, count):
    """The whole service: decoding, panes, judging, saving, publishing."""
    judge = Judge(references.load(settings.reference), Rules())
    watch = Monitor(judge, times_of(settings))
    partitions = Partitions(settings, watch, source)
    health = Health()
    alone = Alone([settings.kafka.topic], watch, source, partitions, time.time)
    alone.begin({}, Patience(health))
    store = SnapshotFile(settings.state.path, Form(judge.reference.digest, watch.times.pane, judge.shape))
    ingest = Ingest(watch, settings.kafka.topic, Decoder(judge.reference, Fields()), DeadLetterDecoder("type", []))
    exporter = Exporter("bench", judge.reference.digest, judge.thresholds, [])
    service = Service(settings, watch, ingest, source, partitions, alone, store, exporter, health)

    def stop_at_the_end():
        while sum(state.counters["records"] for state in list(watch.states.values())) < count:
            time.sleep(0.01)
        service.stop()

    threading.Thread(target=stop_at_the_end, daemon=True).start()
    service.run()
    assert watch.counted()["events"] == count, watch.counted()
    assert exporter.published.evaluation.ready


def main(kind, address, topic, events, reference, folder):
    """Read on one CPU; measure from the first request on."""
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    count = int(events)
    settings = Config.model_validate(
        {
            "reference": reference,
            "kafka": {"bootstrapServers": address, "topic": topic, "deadLetterTopic": None, "startAt": "earliest"},
            "state": {"path": str(Path(folder) / f"snapshot-{os.getpid()}")},
        }
    )
    source = Source(settings.kafka, lambda text: print(text, file=sys.stderr))
    keys = source.partitions(topic)
    wall, cpu = time.monotonic(), time.process_time()
    if kind == "monitor":
        monitor(settings, source, count)
    else:
        {"bare": bare, "bare_poll": poll}[kind](source, keys, count)
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
