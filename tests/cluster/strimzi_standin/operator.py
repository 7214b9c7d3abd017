"""The stand-in's loop: look at everything every few seconds, and bring it to what the resources say.

A loop over lists, not watches: a handful of resources, and no event can be missed.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import model, status
from .kube import ApiError, Kube
from .manifests import access, nodes
from .topics import Topics

API = f"{model.GROUP}/v1"
INTERVAL = 3.0
log = logging.getLogger("strimzi-standin")


class Operator:
    def __init__(self, kube: Kube, namespaces: list[str] | None, kafka_image: str, own_image: str) -> None:
        self.kube = kube
        self.namespaces = namespaces
        self.kafka_image = kafka_image
        self.own_image = own_image
        self.topics: dict[str, Topics] = {}
        # By uid of the owner and name: what was applied last, so that a quiet cluster sees no writes.
        self.applied: dict[tuple[str, str, str], str] = {}

    def list(self, kind: str) -> list[model.Resource]:
        scopes = self.namespaces if self.namespaces is not None else [None]
        return [item for namespace in scopes for item in self.kube.list(API, kind, namespace)]

    def step(self) -> None:
        topics = self.list("KafkaTopic")
        for cluster in model.clusters(self.list("Kafka"), self.list("KafkaNodePool")):
            try:
                self._cluster(cluster, model.topics(topics, cluster))
            except Exception:
                # One broken cluster must not keep the others from being looked after.
                log.exception("%s/%s", cluster.namespace, cluster.name)

    def _cluster(self, cluster: model.Cluster, topics: list[model.Resource]) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = 0
        for manifest in nodes(cluster, self.kafka_image):
            live = self._apply(cluster, manifest)
            if manifest["kind"] == "StatefulSet":
                ready += live.get("status", {}).get("readyReplicas", 0)
        if ready >= cluster.replicas:
            for manifest in access(cluster, self.own_image):
                self._apply(cluster, manifest)
        for pool in cluster.pools:
            self.kube.set_status(pool.resource, status.node_pool(cluster, pool))
        if ready >= cluster.replicas and cluster.listeners:
            self._topics(cluster, topics, now)
        self.kube.set_status(cluster.resource, status.kafka(cluster, ready, now))

    def _apply(self, cluster: model.Cluster, manifest: model.Resource) -> model.Resource:
        name = manifest["metadata"]["name"]
        key = (cluster.resource["metadata"]["uid"], manifest["kind"], name)
        text = json.dumps(manifest, sort_keys=True)
        if self.applied.get(key) == text:
            live = self.kube.get(manifest["apiVersion"], manifest["kind"], cluster.namespace, name)
            if live is not None:
                return live
        log.info("%s/%s: applying %s %s", cluster.namespace, cluster.name, manifest["kind"], name)
        live = self.kube.apply(manifest)
        self.applied[key] = text
        return live

    def _topics(self, cluster: model.Cluster, topics: list[model.Resource], now: str) -> None:
        # A topic whose status is at its generation was made; it is looked at again when its resource changes.
        stale = [topic for topic in topics if not _done(topic)]
        if not stale:
            return
        admin = self.topics.setdefault(cluster.bootstrap_server, Topics(cluster.bootstrap_server))
        failures = admin.reconcile(stale)
        for topic in stale:
            failure = failures[topic["metadata"]["name"]]
            log.info("%s/%s: %s", cluster.namespace, topic["metadata"]["name"], failure or "ready")
            self.kube.set_status(topic, status.topic(topic, failure, now))


def _done(topic: model.Resource) -> bool:
    told = topic.get("status", {})
    ready = any(entry["type"] == "Ready" and entry["status"] == "True" for entry in told.get("conditions", []))
    return ready and told.get("observedGeneration") == topic["metadata"].get("generation")


class Health(BaseHTTPRequestHandler):
    """Strimzi's two probes, on its port."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path in ("/healthy", "/ready") else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Probes are not worth a line each."""


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    watched = os.environ["STRIMZI_NAMESPACE"]
    namespaces = None if watched == "*" else watched.split(",")
    operator = Operator(Kube(), namespaces, os.environ["KAFKA_IMAGE"], os.environ["OWN_IMAGE"])
    threading.Thread(target=ThreadingHTTPServer(("", 8080), Health).serve_forever, daemon=True).start()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("watching %s", watched)
    while not stop.is_set():
        try:
            operator.step()
        except (ApiError, OSError) as error:
            log.warning("the API server does not answer as hoped: %s", error)
        stop.wait(INTERVAL)


if __name__ == "__main__":
    main()
