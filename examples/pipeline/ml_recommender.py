"""The example job: Kafka events, validated, enriched and scored, to predictions; invalid ones to a dead letter topic.

With ``--panes-topic`` it also counts the predictions for the data monitor (docs/data-monitor.md).

The feature extractor is slow on purpose (``--feature-ms``): with 3 ms a subtask carries 333 events/s, so
800 events/s are too many for parallelism 2 and no burden for 4.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pyflink.common import Configuration, Duration, SimpleStringSchema, Types, WatermarkStrategy
from pyflink.common.watermark_strategy import TimestampAssigner
from pyflink.datastream import DataStream, OutputTag, StreamExecutionEnvironment
from pyflink.datastream.connectors.base import DeliveryGuarantee
from pyflink.datastream.connectors.kafka import (
    KafkaOffsetResetStrategy,
    KafkaOffsetsInitializer,
    KafkaRecordSerializationSchema,
    KafkaSink,
    KafkaSource,
)
from pyflink.datastream.functions import KeyedProcessFunction, MapFunction, ProcessFunction, RuntimeContext
from pyflink.datastream.state import MapStateDescriptor
from recommender import features, model, panes, records, validation

REJECTED = OutputTag("rejected", Types.STRING())
# Events come this much out of order, and a partition that is idle for so long holds nothing back.
OUT_OF_ORDERNESS_SECONDS = 5
IDLE_SECONDS = 10
# What the data monitor keeps by default: a window of ten minutes, and one minute by which it may be held back.
KEEP_PANES_SECONDS = 660


class Validate(ProcessFunction):
    """Lets valid events through; the others go to the side output."""

    def process_element(self, value: str, ctx: ProcessFunction.Context) -> Iterator[object]:
        try:
            validation.parse(value)
        except validation.InvalidEvent as error:
            yield REJECTED, records.dead_letter(value, error.error_type, error.message, _now_ms())
        else:
            yield value


class ExtractFeatures(MapFunction):
    """Adds what the feature store knows: the slow step."""

    def __init__(self, seconds: float, hang_file: str, overlap: float) -> None:
        self._seconds = seconds
        self._hang_file = hang_file
        self._overlap = overlap
        self._lookup: features.Lookup | None = None

    def open(self, runtime_context: RuntimeContext) -> None:
        self._lookup = features.SlowFeatureStore(
            self._seconds, time.monotonic, time.sleep, Path(self._hang_file).exists, self._overlap
        )

    def map(self, value: str) -> str:
        assert self._lookup is not None
        event = records.loads(value)
        return records.dumps({"event": event, "features": features.extract(event, self._lookup)})


class Infer(MapFunction):
    """Scores an event."""

    def map(self, value: str) -> str:
        enriched = records.loads(value)
        return model.predict(enriched["event"], enriched["features"], _now_ms())


class EventTime(TimestampAssigner):
    """When a prediction's event happened."""

    def extract_timestamp(self, value: str, record_timestamp: int) -> int:
        return records.loads(value)["ts_ms"]


class CountPanes(KeyedProcessFunction):
    """Counts the predictions of a part; sends a pane when it is complete, and again after late ones changed it."""

    def __init__(self, counter: panes.PaneCounter, source: str) -> None:
        self._counter = counter
        self._source = source
        self._panes: panes.Panes | None = None

    def open(self, runtime_context: RuntimeContext) -> None:
        # By what cannot be added to each other: after a change of it, counting begins anew.
        name = f"panes-{self._counter.digest}-{self._counter.length_ms}"
        descriptor = MapStateDescriptor(name, Types.LONG(), Types.PICKLED_BYTE_ARRAY())
        self._panes = runtime_context.get_map_state(descriptor)

    def process_element(self, value: str, ctx: KeyedProcessFunction.Context) -> None:
        timers = ctx.timer_service()
        arrived = self._counter.add(self._panes, records.loads(value), timers.current_watermark())
        timers.register_event_time_timer(arrived + self._counter.length_ms - 1)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[str]:
        newest = self._counter.start_ms(timestamp)
        for start, pane in sorted(self._panes.items()):
            if self._counter.expired(start, newest):
                self._panes.remove(start)
            elif pane.changed and start <= newest:
                pane.changed = False
                self._panes[start] = pane
                yield self._counter.record(start, pane, f"{self._source}/{ctx.get_current_key()}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def source(options: argparse.Namespace) -> KafkaSource:
    return (
        KafkaSource.builder()
        .set_bootstrap_servers(options.bootstrap_servers)
        .set_topics(options.events_topic)
        .set_group_id(options.group_id)
        .set_starting_offsets(KafkaOffsetsInitializer.committed_offsets(KafkaOffsetResetStrategy.EARLIEST))
        # Small fetches: with large ones pendingRecords does not see what lies in the client already.
        .set_property("max.partition.fetch.bytes", "16384")
        .set_property("max.poll.records", "100")
        .set_value_only_deserializer(SimpleStringSchema())
        .build()
    )


def sink(bootstrap_servers: str, topic: str) -> KafkaSink:
    return (
        KafkaSink.builder()
        .set_bootstrap_servers(bootstrap_servers)
        .set_record_serializer(
            KafkaRecordSerializationSchema.builder()
            .set_topic(topic)
            .set_value_serialization_schema(SimpleStringSchema())
            .build()
        )
        # Every event is answered, some twice after a restart; exactly once would hold answers back until a checkpoint.
        .set_delivery_guarantee(DeliveryGuarantee.AT_LEAST_ONCE)
        .build()
    )


def watermarks() -> WatermarkStrategy:
    bounded = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(OUT_OF_ORDERNESS_SECONDS))
    return bounded.with_idleness(Duration.of_seconds(IDLE_SECONDS))


def build(environment: StreamExecutionEnvironment, options: argparse.Namespace) -> None:
    """Put the job together. The uids tie state to operators across upgrades: keep them."""
    servers = options.bootstrap_servers
    events: DataStream = environment.from_source(source(options), watermarks(), "events").uid("events")
    # Not chained to the source: a slow step then shows as backpressure of the source.
    valid = events.rebalance().process(Validate(), Types.STRING()).name("validate").uid("validate")
    valid.get_side_output(REJECTED).sink_to(sink(servers, options.dlq_topic)).name("dlq").uid("dlq")
    lookups = ExtractFeatures(options.feature_ms / 1000, options.hang_file, options.feature_overlap_ms / 1000)
    enriched = valid.map(lookups, Types.STRING()).name("feature_extractor").uid("feature_extractor")
    predictions = enriched.map(Infer(), Types.STRING()).name("model_inference").uid("model_inference")
    predictions.sink_to(sink(servers, options.predictions_topic)).name("predictions").uid("predictions")
    if options.panes_topic:
        counted = (
            predictions.assign_timestamps_and_watermarks(watermarks().with_timestamp_assigner(EventTime()))
            .key_by(panes.part_of, Types.STRING())
            .process(CountPanes(counter(options), options.group_id), Types.STRING())
            .name("pane_counter")
            .uid("pane_counter")
        )
        counted.sink_to(sink(servers, options.panes_topic)).name("panes").uid("panes")


def counter(options: argparse.Namespace) -> panes.PaneCounter:
    reference = json.loads(Path(options.reference).read_text())
    return panes.PaneCounter(reference, options.pane_seconds * 1000, KEEP_PANES_SECONDS * 1000)


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap-servers", required=True, help="Kafka, host:port[,host:port]")
    parser.add_argument("--group-id", default="ml-recommender")
    parser.add_argument("--events-topic", default="events")
    parser.add_argument("--predictions-topic", default="predictions")
    parser.add_argument("--dlq-topic", default="events-dlq")
    parser.add_argument("--feature-ms", type=float, default=3.0, help="time a subtask's feature lookup takes (3)")
    parser.add_argument(
        "--feature-overlap-ms",
        type=float,
        default=features.CATCH_UP_SECONDS * 1000,
        help="how much of the time between two lookups counts as the store's (%(default)g): with 1, a subtask that has "
        "little to do waits for it, too",
    )
    parser.add_argument(
        "--hang-file",
        default="/tmp/feature-store-hangs",  # noqa: S108
        help="while this file is in a TaskManager's pod, its feature lookups hang: for showing what heals that",
    )
    parser.add_argument("--job-name", default="ml-recommender")
    parser.add_argument(
        "--panes-topic", help="also count the predictions for the data monitor; a topic with one partition"
    )
    parser.add_argument("--reference", help="the data monitor's reference, a file: the bins to count by")
    parser.add_argument("--pane-seconds", type=int, default=10, help="the data monitor's window.pane (10)")
    options = parser.parse_args(arguments)
    if options.panes_topic and not options.reference:
        parser.error("--panes-topic needs --reference")
    return options


def main(arguments: list[str]) -> None:
    options = parse_arguments(arguments)
    configuration = Configuration()
    # Python inside the TaskManager's process: no second process per slot, and faster for small records.
    configuration.set_string("python.execution-mode", "thread")
    environment = StreamExecutionEnvironment.get_execution_environment(configuration)
    build(environment, options)
    environment.execute(options.job_name)


if __name__ == "__main__":
    main(sys.argv[1:])
