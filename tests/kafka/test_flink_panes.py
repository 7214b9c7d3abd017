"""The example job as Flink runs it, in each version that its image is built for, on a real broker: every event is
answered, and the panes that it counts say what the events say."""

import json
import random
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest
from cluster.images import catalogue
from confluent_kafka import Consumer, TopicPartition
from flink_image import FlinkImage, missing
from kafka_broker import KafkaBroker
from loadgen.events import EventSource
from monitor_process import MonitorProcess, until

REFERENCE = Path(__file__).resolve().parents[2] / "charts/streaming-monitoring/files/data-monitor/ml-recommender.json"
PANE_MS, EVERY_MS = 10_000, 20
# While this is a link whose target has too long a name, the job fails at each event.
STUMBLE = "tmp/stumble"

pytestmark = [
    pytest.mark.skipif(not shutil.which("java"), reason="a real broker needs Java 17"),
    pytest.mark.skipif(bool(missing()), reason=f"the image cannot be built or run here: {', '.join(missing())}"),
]


IMAGES = ["pipeline", *(pytest.param(f"pipeline-{flink}", marks=pytest.mark.long) for flink in catalogue.OTHER_FLINKS)]


@pytest.fixture
def broker(tmp_path):
    with KafkaBroker(tmp_path / "kafka") as started:
        # One partition, so that all see the events in one order: what is late depends on it.
        for topic in ("events", "predictions", "events-dlq", "panes", "once"):
            started.create(topic, 1)
        yield started


@pytest.fixture
def flink(broker, tmp_path, request):
    with FlinkImage(tmp_path / "flink", request.param) as image:
        shutil.copy(REFERENCE, image.root / "tmp/reference.json")
        start(image, broker)
        yield image


def start(flink, broker, savepoint=None):
    panes = ["--panes-topic=panes", "--reference=/tmp/reference.json"]
    arguments = [f"--bootstrap-servers={broker.address}", "--feature-ms=0", f"--hang-file=/{STUMBLE}", *panes]
    flink.start(*arguments, savepoint=savepoint)


class Topic:
    """A topic of one partition, read as it grows."""

    def __init__(self, broker, name):
        self._consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "test"})
        self._consumer.assign([TopicPartition(name, 0, 0)])
        self.records = []

    def read(self):
        """All records so far."""
        self.records += [json.loads(message.value()) for message in self._consumer.consume(10_000, 0.2)]
        return self.records


def told(records):
    """Events of each pane by what each part said last."""
    last = {(record["startMs"], record["part"]): record["events"] for record in records}
    found = Counter()
    for (start, _), events in last.items():
        found[start] += events
    return found


@pytest.mark.parametrize("flink", IMAGES, indirect=True)
def test_panes_counted_by_flink_say_what_the_events_say_whatever_is_sent_again(broker, flink, tmp_path):
    source = EventSource("run", random=random.Random(5))
    begin = (int(time.time() * 1000) - 300_000) // PANE_MS * PANE_MS
    panes = Topic(broker, "panes")

    def events(first_s, last_s):
        broker.send("events", [source.next(begin + ms) for ms in range(first_s * 1000, last_s * 1000, EVERY_MS)])

    def complete(seconds):
        """All panes before this time have been sent, with all events."""
        return sum(told(panes.read()).values()) == seconds * 1000 / EVERY_MS

    # A pane is sent, and two are counted in part when the checkpoint is made.
    events(0, 25)
    until(lambda: complete(10), "the first pane")
    flink.checkpoint()
    events(25, 56)
    until(lambda: complete(50), "the panes after the checkpoint")
    sent = len(panes.records)
    (flink.root / STUMBLE).symlink_to("x" * 300)
    events(56, 57)
    until(lambda: flink.failures() > 0, "the job fails")
    (flink.root / STUMBLE).unlink()
    # It goes on from the checkpoint, and says again what it said after it.
    again = {(record["startMs"], record["part"]) for record in panes.records if record["startMs"] > begin}
    until(lambda: {(one["startMs"], one["part"]) for one in panes.read()[sent:]} >= again, "the panes come again")
    late = [source.next(begin + 12_000 + number) for number in range(50)]
    broker.send("events", late)
    events(57, 70)
    # What moves the watermark on, in a pane that does not become complete.
    counted = 70 * 1000 // EVERY_MS + len(late)
    broker.send("events", [source.next(begin + 200_000) for _ in range(4)])
    until(lambda: sum(told(panes.read()).values()) == counted, "all of them")

    # The job sends predictions again, too; a monitor that reads those counts them as often. So each once:
    predictions = Topic(broker, "predictions")
    found = {}

    def answered():
        found.update({one["event_id"]: one for one in predictions.read()})
        return len(found) == counted + 4

    until(answered, "every event is answered")
    assert len(predictions.records) > counted + 4
    broker.send("once", [json.dumps(found[f"run-{number}"]) for number in range(counted)])
    seen = []
    for topic, format_ in (("once", "json"), ("panes", "panes")):
        folder = tmp_path / topic
        folder.mkdir()
        shutil.copy(REFERENCE, folder / "ref.json")
        monitor = MonitorProcess(folder, broker.address, kafka={"topic": topic, "format": format_, "groupId": topic})
        monitor.start()
        try:
            monitor.wait_for("data_drift_window_events", lambda value: value == counted)
            seen.append(monitor.wait_for("data_monitor_lag_records", lambda value: value == 0))
        finally:
            monitor.kill()
    same = [
        name
        for name in seen[0]
        if name.startswith(("data_drift", "prediction_drift", "late_", "ml_inference_latency_seconds_count"))
    ]
    same = [name for name in [*same, "data_monitor_events_total"] if "evaluation" not in name]
    assert {name: seen[1].get(name) for name in same} == {name: seen[0][name] for name in same}
    assert {"data_drift_score", "data_drift_feature_score|device", "prediction_drift_score"} <= set(same)
    assert seen[1]["late_events_total"] == len(late)


@pytest.mark.long
@pytest.mark.parametrize("flink", IMAGES, indirect=True)
def test_after_a_savepoint_nothing_is_missing_and_nothing_comes_twice(broker, flink):
    source = EventSource("run", random=random.Random(5))
    begin = (int(time.time() * 1000) - 300_000) // PANE_MS * PANE_MS
    predictions, panes = Topic(broker, "predictions"), Topic(broker, "panes")

    def events(first_s, last_s):
        broker.send("events", [source.next(begin + ms) for ms in range(first_s * 1000, last_s * 1000, EVERY_MS)])

    # The savepoint holds a pane that is counted in part.
    events(0, 25)
    until(lambda: len(predictions.read()) == 25 * 1000 // EVERY_MS, "the first events are answered")
    start(flink, broker, flink.stop())
    events(25, 50)
    counted = 50 * 1000 // EVERY_MS
    broker.send("events", [source.next(begin + 200_000) for _ in range(4)])
    until(lambda: sum(told(panes.read()).values()) == counted, "every event is in a pane")
    until(lambda: len(predictions.read()) >= counted + 4, "every event is answered")
    assert Counter(one["event_id"] for one in predictions.read()) == {f"run-{n}": 1 for n in range(counted + 4)}
