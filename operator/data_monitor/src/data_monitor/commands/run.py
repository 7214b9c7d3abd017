"""``data-monitor run``: read the topic and export what is found."""

from __future__ import annotations

import argparse
import importlib
import logging
import signal
import sys
import time
from pathlib import Path

from prometheus_client import REGISTRY, disable_created_metrics
from pythonjsonlogger.json import JsonFormatter

from data_monitor import config
from data_monitor.adapters import references
from data_monitor.adapters.codec import Damaged, Form
from data_monitor.adapters.decode import DeadLetterDecoder, Decoder
from data_monitor.adapters.exporter import Exporter, Health, serve
from data_monitor.adapters.formats import Json, RecordFormat, Registered
from data_monitor.adapters.kafka import Source
from data_monitor.adapters.labels import LabelDecoder
from data_monitor.adapters.pane_records import PaneDecoder
from data_monitor.adapters.registry import Registry
from data_monitor.adapters.snapshot import SnapshotFile
from data_monitor.adapters.state_topic import StateTopic
from data_monitor.config import Config
from data_monitor.core.hours import HOUR_MS
from data_monitor.core.judge import Judge, Rules
from data_monitor.core.monitor import Evaluation, Monitor, Times
from data_monitor.core.panes import Key, PartitionState
from data_monitor.core.truth import Held
from data_monitor.errors import InputError
from data_monitor.ingest import Ingest
from data_monitor.partitions import Partitions
from data_monitor.readers import Alone, Nowhere, Patience, Together
from data_monitor.report.folder import Folder
from data_monitor.report.sampler import Sampler
from data_monitor.report.writer import SampleWriter
from data_monitor.service import Reader, Service, Store, times_of, truth_of

log = logging.getLogger(__name__)


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    run_ = commands.add_parser("run", help="watch the topic and serve metrics until stopped")
    run_.add_argument("--config", type=Path, required=True, help="configuration file (YAML)")
    run_.add_argument("--log-level", default="INFO", help="DEBUG, INFO, WARNING or ERROR (INFO)")
    run_.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    settings = config.load(arguments.config)
    _log_to_stderr(arguments.log_level)
    judge = judge_of(settings)
    times = times_of(settings)
    monitor = Monitor(judge, times, truth_of(settings, judge.reference))
    health = Health()
    patience = Patience(health)
    exporter = Exporter(settings.model, judge.reference.digest, judge.thresholds, settings.dead_letters.error_types)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    REGISTRY.register(exporter)
    try:
        serve(settings.metrics.address, settings.metrics.port, REGISTRY, health)
    except OSError as error:
        raise InputError(
            f"metrics: cannot listen on address {settings.metrics.address!r}, port {settings.metrics.port}: "
            f"{error.strerror}"
        ) from error
    source = Source(settings.kafka, log.warning)
    partitions = Partitions(settings, monitor, source)
    sample = _sample_writer(settings, judge, times)
    ingest = Ingest(
        monitor,
        settings.kafka.topic,
        decoder_of(settings, judge),
        _dead_letters(settings),
        sample,
        _labels(settings),
    )
    topics = _topics(settings)
    form = Form(judge.reference.digest, times.pane, judge.shape)
    stop = _Stop(patience)
    store: Store
    reader: Reader
    if settings.state.store == "topic":
        store = state_topic = StateTopic(settings.kafka, settings.state.topic, form)
        reader = together = Together(topics, monitor, source, partitions, state_topic, patience, time.time)
        together.begin()
    else:
        reader = alone = Alone(topics, monitor, source, partitions, time.time)
        states: dict[Key, PartitionState] = {}
        evaluation = None
        store = Nowhere()
        if settings.state.store == "file":
            store = file = SnapshotFile(settings.state.path, form)
            states, evaluation, held = _load(file, patience)
            if monitor.truth and held:
                monitor.truth.resume(held)
        alone.begin(states, patience)
        monitor.resume(evaluation, time.time())
    if patience.stopped:
        # Not all partitions have been taken up: a snapshot of these would lose the others.
        return 0
    evaluated = sample.evaluated if sample else lambda evaluation: None
    service = Service(
        settings, monitor, ingest, source, partitions, reader, store, exporter, health, evaluated=evaluated
    )
    stop.then(service)
    log.info("watching %s with reference %s", settings.kafka.topic, judge.reference.digest)
    service.run()
    source.close()
    return 0


def judge_of(settings: Config) -> Judge:
    """The judge that a configuration asks for. Raises InputError."""
    reference = references.load(settings.reference)
    names = {feature.name for feature in reference.features}
    if unknown := sorted(set(settings.score.weights) - names):
        raise InputError(f"score.weights: {', '.join(unknown)} is no feature of {settings.reference}")
    if reference.hours is not None and settings.window.pane * 1000 > HOUR_MS:
        raise InputError(f"window.pane: {settings.reference} goes by the hour of the day, so at most 1h")
    score = settings.score
    return Judge(
        reference,
        Rules(settings.window.min_samples, score.headline, score.quantile, score.weights, score.threshold),
    )


def decoder_of(settings: Config, judge: Judge) -> Decoder | PaneDecoder:
    """The decoder for the topic's records."""
    if settings.kafka.format == "panes":
        return PaneDecoder(judge, round(settings.window.pane * 1000))
    form = format_of(settings, settings.kafka.format)
    return Decoder(judge.reference, settings.fields, form, with_ids=settings.ground_truth is not None)


def format_of(settings: Config, name: str) -> RecordFormat:
    """The format of a topic's records. Raises InputError."""
    if not settings.schema_registry or name == "json":
        return Json()
    # Libraries that other formats do without.
    reader = importlib.import_module(f"data_monitor.adapters.{name}").reader
    return Registered(Registry(settings.schema_registry), reader)


def _sample_writer(settings: Config, judge: Judge, times: Times) -> SampleWriter | None:
    """What keeps rows for the report; there are none in panes that somebody else counted."""
    if not settings.report or settings.kafka.format == "panes":
        return None
    names = [feature.name for feature in judge.layout.features]
    sampler = Sampler(names, settings.report.sample_size, times.panes)
    return SampleWriter(Folder(settings.report.directory), sampler, settings.model, judge, times.pane)


def _dead_letters(settings: Config) -> DeadLetterDecoder:
    return DeadLetterDecoder(settings.dead_letters.error_type_field, settings.dead_letters.error_types)


def _topics(settings: Config) -> list[str]:
    """All that are read; the first one is waited for."""
    truth = settings.ground_truth
    topics = [settings.kafka.topic, settings.kafka.dead_letter_topic, truth.topic if truth else None]
    return [topic for topic in topics if topic]


def _labels(settings: Config) -> LabelDecoder | None:
    truth = settings.ground_truth
    return LabelDecoder(truth, format_of(settings, truth.format)) if truth else None


def _load(file: SnapshotFile, patience: Patience) -> tuple[dict[Key, PartitionState], Evaluation | None, Held | None]:
    waiting = False
    while not file.lock() and not patience.stopped:
        if not waiting:
            log.warning("waiting: another data monitor holds the state")
            waiting = True
        time.sleep(1.0)
    try:
        return file.load()
    except Damaged as error:
        log.error("the state is damaged (%s); it is kept as %s, and counting begins anew", error, file.set_aside())
        return {}, None, None


class _Stop:
    """Ends the process in an orderly way on the first signal."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._service: Service | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())

    def then(self, service: Service) -> None:
        """Stop this, too."""
        self._service = service
        if self._patience.stopped:
            service.stop()

    def _stop(self) -> None:
        self._patience.stopped = True
        if self._service:
            self._service.stop()


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )
    )
    try:
        logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    except ValueError as error:
        raise InputError(f"--log-level: {error}") from error
