"""A lag exporter with the metric names of kafka_exporter, which Strimzi deploys for spec.kafkaExporter."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .exposition import Family, Snapshot, families, render

TIMEOUT = 5.0
log = logging.getLogger("kafka-exporter-standin")


class Reader:
    """Reads offsets and groups with Kafka's admin client."""

    def __init__(self, bootstrap_servers: str, topics: str, groups: str) -> None:
        from confluent_kafka.admin import AdminClient

        self.admin = AdminClient({"bootstrap.servers": bootstrap_servers, "socket.timeout.ms": int(TIMEOUT * 1000)})
        self.topics = re.compile(topics)
        self.groups = re.compile(groups)
        self.lock = threading.Lock()

    def read(self) -> Snapshot:
        # Two scrapes at once would only double the broker's work.
        with self.lock:
            metadata = self.admin.list_topics(timeout=TIMEOUT)
            partitions = {
                name: len(topic.partitions)
                for name, topic in metadata.topics.items()
                if not name.startswith("__") and self.topics.search(name)
            }
            replicas = {
                (name, number): (len(partition.isrs), len(partition.replicas))
                for name in partitions
                for number, partition in metadata.topics[name].partitions.items()
            }
            names = [(topic, number) for topic, count in partitions.items() for number in range(count)]
            # Committed offsets first: an end read before a commit would give a lag below zero.
            committed = dict(self._committed())
            return Snapshot(
                brokers=len(metadata.brokers),
                partitions=partitions,
                replicas=replicas,
                oldest=self._offsets(names, earliest=True),
                newest=self._offsets(names, earliest=False),
                committed=committed,
                members=self._members(list(committed)),
            )

    def _offsets(self, names: list[tuple[str, int]], earliest: bool) -> dict[tuple[str, int], int]:
        from confluent_kafka import TopicPartition
        from confluent_kafka.admin import OffsetSpec

        if not names:
            return {}
        wanted = {TopicPartition(*name): OffsetSpec.earliest() if earliest else OffsetSpec.latest() for name in names}
        futures = self.admin.list_offsets(wanted, request_timeout=TIMEOUT)
        return {(where.topic, where.partition): future.result().offset for where, future in futures.items()}

    def _committed(self) -> Iterator[tuple[str, dict[tuple[str, int], int]]]:
        from confluent_kafka import ConsumerGroupTopicPartitions

        listed = self.admin.list_consumer_groups(request_timeout=TIMEOUT).result()
        for group in sorted(entry.group_id for entry in listed.valid if self.groups.search(entry.group_id)):
            request = [ConsumerGroupTopicPartitions(group)]
            try:
                answer = self.admin.list_consumer_group_offsets(request, request_timeout=TIMEOUT)[group].result()
            except Exception as error:
                log.warning("offsets of %s: %s", group, error)
                continue
            yield (
                group,
                {(part.topic, part.partition): part.offset for part in answer.topic_partitions if part.offset >= 0},
            )

    def _members(self, groups: list[str]) -> dict[str, int]:
        found = {}
        if groups:
            for group, future in self.admin.describe_consumer_groups(groups, request_timeout=TIMEOUT).items():
                try:
                    found[group] = len(future.result().members)
                except Exception as error:
                    log.warning("members of %s: %s", group, error)
        return found


def serve(reader: Reader, port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/healthz":
                self._answer(200, "ok\n")
                return
            started = time.monotonic()
            try:
                found: list[Family] = families(reader.read())
            except Exception as error:
                # Without an answer `up` falls to 0, which says more than an empty page.
                log.warning("scrape failed after %.1f s: %s", time.monotonic() - started, error)
                self._answer(503, f"{error}\n")
                return
            self._answer(200, render(found))

        def _answer(self, code: int, text: str) -> None:
            body = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are not worth a line each."""

    return ThreadingHTTPServer(("", port), Handler)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # The first process of a container ignores what it does not ask for, and would be killed after half a minute.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    environment = os.environ
    reader = Reader(
        environment["BOOTSTRAP_SERVERS"], environment.get("TOPIC_REGEX", ".*"), environment.get("GROUP_REGEX", ".*")
    )
    serve(reader, int(environment.get("PORT", "9404"))).serve_forever()


if __name__ == "__main__":
    main()
