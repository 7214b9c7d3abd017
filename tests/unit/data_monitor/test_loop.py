"""The process against a broker: the mock that librdkafka brings along, which speaks Kafka's protocol."""

import bisect
import io
import json
import time

import fastavro
import pytest
from data_monitor.__main__ import main
from mock_broker import MockBroker
from monitor_process import FIRST_MS, MonitorProcess, predictions, until
from registry_stand_in import RegistryStandIn


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    (folder / "a.jsonl").write_text("\n".join(predictions(10_000, seed=7)))
    assert main(["reference", "build", "--input", str(folder / "a.jsonl"), "--output", str(folder / "ref.json")]) == 0
    return (folder / "ref.json").read_text()


@pytest.fixture
def broker():
    mock = MockBroker()
    mock.create("predictions", "events-dlq", "data-monitor-state")
    return mock


@pytest.fixture
def monitor(tmp_path, reference, broker):
    (tmp_path / "ref.json").write_text(reference)
    started = []

    def start(**sections):
        process = MonitorProcess(tmp_path, broker.address, **sections)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


def dead_letters(*types):
    return [json.dumps({"event_id": "e", "error_type": kind}) for kind in types]


def test_from_the_topic_to_every_metric_and_on_after_a_restart(broker, monitor):
    bad = ["{", "[]", '{"ts_ms": "now", "features": {}}', '{"features": {}}', '{"ts_ms": 1, "features": {}}']
    broker.send("predictions", [*predictions(3000), *bad])
    broker.send("events-dlq", [*dead_letters("malformed_json", "malformed_json", "new_one"), "{"])
    process = monitor()
    seen = process.wait_for("data_monitor_records_total", lambda value: value == 3009)
    seen = process.wait_for("data_drift_score", lambda value: True) | seen
    assert seen["data_monitor_events_total"] == 3000
    assert seen["validation_errors_total|malformed_json"] == 2
    assert seen["validation_errors_total|wrong_type"] == 1
    assert seen["validation_errors_total|missing_time"] == 2
    assert seen["validation_errors_total|time_out_of_range"] == 1
    assert seen["dlq_messages_total|malformed_json"] == 2
    assert seen["dlq_messages_total|schema_violation"] == 0
    assert seen["dlq_messages_total|other"] == 2

    seen = process.metrics()
    assert seen["data_drift_window_ready"] == 1
    assert seen["data_drift_window_events"] == 3000
    assert seen["data_drift_score"] < 0.1
    assert seen["data_drift_feature_score|price_log"] <= seen["data_drift_score"]
    assert seen["prediction_drift_score"] < 0.1
    assert seen["late_data_rate"] == 0
    assert seen["ml_inference_latency|0.5"] == pytest.approx(0.05, rel=0.05)
    assert seen["ml_inference_latency_seconds_count"] == 3000
    assert seen["data_drift_last_evaluation_timestamp_seconds"] == pytest.approx(time.time(), abs=60)
    assert process.stop() == 0

    broker.send("predictions", predictions(1000, seed=2, first_ms=FIRST_MS + 60_000))
    again = monitor()
    seen = again.wait_for("data_drift_window_events", lambda value: value == 4000)
    assert seen["data_monitor_records_total"] == 1000, "counters begin anew, so that no rate jumps"
    partitions = again.state()["partitions"]
    assert sum(one["counters"].get("records", 0) for one in partitions) == 4009


def test_a_shift_a_late_burst_and_an_idle_partition(broker, monitor):
    broker.send("predictions", predictions(1000))
    process = monitor(window={"length": "20s"}, lateness={"idleAfter": "1s"})
    process.wait_for("data_drift_window_events", lambda value: value == 1000)
    # From now on only the first partition; 40 s later, so the window holds nothing else.
    broker.send("predictions", predictions(2000, seed=3, shift=1, first_ms=FIRST_MS + 60_000), partitions=1)
    broker.send("predictions", predictions(20, seed=4, first_ms=FIRST_MS + 80_000), partitions=1)
    seen = process.wait_for("data_drift_score", lambda value: value > 0.3)
    assert seen["data_drift_features_drifted"] == 1
    assert seen["data_drift_feature_score|session_minutes"] < 0.1
    process.wait_for("late_events_total", lambda value: value == 20)


def test_nothing_is_published_below_the_minimum(broker, monitor):
    broker.send("predictions", predictions(499))
    process = monitor()
    seen = process.wait_for("data_drift_window_events", lambda value: value == 499)
    assert seen["data_drift_window_ready"] == 0
    assert "data_drift_score" not in seen
    assert seen["data_drift_last_evaluation_timestamp_seconds"] == 0


def test_replicas_share_partitions_and_agree_on_one_exact_score(broker, monitor):
    group = {"state": {"store": "topic"}, "kafka": {"properties": {"session.timeout.ms": 6000}}}
    first, second = monitor(**group), monitor(**group)
    broker.send("predictions", predictions(4000), partitions=4)
    seen = [process.wait_for("data_drift_window_events", lambda value: value == 4000) for process in (first, second)]
    assert seen[0]["data_drift_score"] == seen[1]["data_drift_score"]
    # One dies without a word; the other takes its partitions and goes on from its states.
    first.kill()
    broker.send("predictions", predictions(1000, seed=2, first_ms=FIRST_MS + 80_000), partitions=4)
    last = second.wait_for("data_drift_window_events", lambda value: value == 5000)
    assert last["late_data_rate"] == 0


@pytest.mark.parametrize("damage", [b"", b"x" * 100])
def test_a_damaged_snapshot_is_set_aside_and_counting_begins_anew(broker, monitor, tmp_path, damage):
    (tmp_path / "snapshot").write_bytes(damage)
    broker.send("predictions", predictions(600))
    process = monitor()
    process.wait_for("data_drift_window_events", lambda value: value == 600)
    assert (tmp_path / "snapshot.damaged").read_bytes() == damage
    assert "counting begins anew" in process.log.read_text()


def test_panes_counted_elsewhere_say_the_same_as_their_events(broker, monitor, reference):
    document = json.loads(reference)
    described = [*document["features"], document["prediction"]]
    events = [json.loads(text) for text in predictions(3000, shift=0.5)]
    panes = {}
    for number, event in enumerate(events):
        # As two subtasks would, each with half of the events.
        panes.setdefault((event["ts_ms"] // 10_000, number % 2), []).append(event)
    broker.create("panes")
    broker.send("panes", [pane_record(document["digest"], described, at, rows) for (at, _), rows in panes.items()])
    broker.send("predictions", [json.dumps(event) for event in events])
    seen = [
        process.wait_for("data_drift_window_events", lambda value: value == 3000)
        for process in (
            monitor(),
            monitor(kafka={"topic": "panes", "format": "panes"}, state={"store": "none"}),
        )
    ]
    same = [name for name in seen[0] if name.startswith(("data_drift_feature", "data_drift_score", "prediction_drift"))]
    assert {name: seen[1][name] for name in same} == {name: seen[0][name] for name in same}
    assert {"data_drift_feature_psi|device", "data_drift_score", "prediction_drift_score"} <= set(same)
    assert seen[1]["ml_inference_latency|0.95"] == seen[0]["ml_inference_latency|0.95"]


def pane_record(digest, described, number, rows):
    """Written from the documentation of the format, not with the monitor's code."""
    counts = {}
    for feature in described:
        values = [row["features"].get(feature["name"], row.get(feature["name"])) for row in rows]
        if feature["kind"] == "numeric":
            bins = [bisect.bisect_right(feature["edges"], value) for value in values]
            size = len(feature["edges"]) + 2
        else:
            bins = [feature["categories"].index(value) for value in values]
            size = len(feature["categories"]) + 2
        counts[feature["name"]] = [bins.count(one) for one in range(size)]
    record = {"format": "streaming-monitoring.dev/drift-pane/v1", "reference": digest, "counts": counts}
    latencies = [[row["inference_ms"], 1] for row in rows]
    span = {"startMs": number * 10_000, "lengthMs": 10_000, "events": len(rows)}
    return json.dumps(record | span | {"latenciesMs": latencies})


def test_truth_that_comes_later_gives_errors_also_over_a_kill(broker, monitor):
    broker.create("labels")
    truth = {"groundTruth": {"topic": "labels", "wait": "1m", "window": "1m"}}
    events = [json.loads(text) for text in predictions(3000)]
    broker.send("predictions", map(json.dumps, events))
    # True is one more than predicted, two for every third, nothing is known of every fourth.
    known = {event["event_id"]: event["score"] + 1 + (at % 3 == 0) for at, event in enumerate(events) if at % 4}
    labels = [json.dumps({"event_id": name, "label": value}) for name, value in known.items()]
    broker.send("labels", labels[:1000], partitions=4)
    process = monitor(**truth)
    seen = process.wait_for("ground_truth_joined_total", lambda value: value == 1000)
    assert seen["ground_truth_waiting|prediction"] == 2000
    assert "ground_truth_window_joined" not in seen, "nothing has waited long enough"
    until(lambda: saved_records(process) == 4000, "what waits is saved")
    process.kill()

    broker.send("labels", [*labels[1000:], "{", '{"event_id": "nobody", "label": 1}'], partitions=4)
    again = monitor(**truth)
    again.wait_for("ground_truth_waiting|prediction", lambda value: value == 3000 - len(known))
    later = (text.replace('"r-', '"s-') for text in predictions(1000, seed=2, first_ms=FIRST_MS + 100_000))
    broker.send("predictions", later)
    seen = again.wait_for("ground_truth_window_joined", lambda value: value > 0)
    # The window of drift ends with the pane of 120 s, a minute later than this one.
    assert seen["ground_truth_window_end_timestamp_seconds"] == FIRST_MS / 1000 + 60
    assert seen["ground_truth_window_predictions"] == 3000
    assert seen["ground_truth_window_joined"] == len(known) == 2250
    assert seen["ground_truth_joined_ratio"] == 0.75
    errors = [event["score"] - known[event["event_id"]] for event in events if event["event_id"] in known]
    assert seen["prediction_mean_absolute_error"] == pytest.approx(sum(map(abs, errors)) / 2250)
    assert seen["prediction_root_mean_squared_error"] == pytest.approx((sum(e * e for e in errors) / 2250) ** 0.5)
    assert seen["prediction_bias"] == pytest.approx(sum(errors) / 2250)
    assert "prediction_accuracy" not in seen
    assert seen["ground_truth_dropped_total|wait|prediction"] == 750
    assert seen["ground_truth_dropped_total|invalid|label"] == 1
    assert seen["ground_truth_waiting|label"] == 1


def test_labels_in_avro_wait_for_the_registry_and_lose_nothing(broker, monitor):
    schema = {
        "type": "record",
        "name": "Label",
        "fields": [{"name": "event_id", "type": "string"}, {"name": "label", "type": ["null", "double"]}],
    }
    registry = RegistryStandIn()
    registry.add(3, json.dumps(schema))
    registry.down = True
    parsed = fastavro.parse_schema(schema)

    def label(event, value, number=3):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, parsed, {"event_id": event["event_id"], "label": value})
        return b"\0" + number.to_bytes(4) + out.getvalue()

    broker.create("labels")
    events = [json.loads(text) for text in predictions(1000)]
    labels = [label(event, event["score"] - 0.5) for event in events[:900]]
    unreadable = [label(events[900], 1.0, number=4), label(events[901], None), b'{"event_id": "r-902", "label": 1}']
    broker.send("predictions", map(json.dumps, events))
    broker.send("labels", [*labels, *unreadable], partitions=4)
    process = monitor(
        schemaRegistry={"url": registry.url},
        groundTruth={"topic": "labels", "format": "avro", "wait": "1m", "window": "1m"},
    )
    until(lambda: registry.asked, "the schema is asked for")
    registry.down = False
    seen = process.wait_for("ground_truth_joined_total", lambda value: value == 900)
    seen = process.wait_for("ground_truth_dropped_total|invalid|label", lambda value: value == 3) | seen
    assert seen["ground_truth_waiting|prediction"] == 100
    broker.send("predictions", predictions(1000, seed=2, first_ms=FIRST_MS + 70_000))
    seen = process.wait_for("ground_truth_window_joined", lambda value: value == 900)
    assert seen["prediction_bias"] == pytest.approx(0.5)
    registry.close()


def saved_records(process):
    """Records that the snapshot counts."""
    return sum(one["counters"].get("records", 0) for one in (process.state() or {"partitions": []})["partitions"])


def test_a_stop_while_the_broker_is_away_leaves_the_state_as_it_was(broker, monitor, tmp_path):
    broker.send("predictions", predictions(600))
    process = monitor()
    process.wait_for("data_monitor_records_total", lambda value: value == 600)
    assert process.stop() == 0
    before = (tmp_path / "snapshot").read_bytes()
    lost = monitor(kafka={"bootstrapServers": "127.0.0.1:1"})
    until(lambda: "waiting" in lost.log.read_text(), "it waits")
    assert lost.stop() == 0
    assert (tmp_path / "snapshot").read_bytes() == before
