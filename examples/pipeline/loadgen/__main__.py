"""Command line: ``python -m loadgen [run]``, ``python -m loadgen wait`` and ``python -m loadgen audit``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from loadgen import audit, kafka, metrics
from loadgen.dials import Dial, parse_rate, parse_shift
from loadgen.events import EventSource, new_run
from loadgen.generate import TICK_SECONDS, Generator, Watch

_EXIT_LOST = 1
_EXIT_UNAVAILABLE = 2


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; without a command it means ``run``."""
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = ["run", *arguments]
    parser = argparse.ArgumentParser(prog="python -m loadgen", description="Load for the example pipeline.")
    commands = parser.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="produce events until stopped (the default command)")
    _common(run)
    run.add_argument("--rate", type=_number(parse_rate), default=400.0, help="events per second (400)")
    run.add_argument("--rate-file", type=Path, help="a file with the rate, read again every second")
    run.add_argument("--bad-fraction", type=_fraction, default=0.001, help="share of invalid events (0.001)")
    run.add_argument("--late-fraction", type=_fraction, default=0.0, help="share of late events (0)")
    run.add_argument("--late-seconds", type=float, default=60.0, help="how late these are (60)")
    run.add_argument(
        "--shift", type=_number(parse_shift), default=0.0, help="move the features by this many deviations (0)"
    )
    run.add_argument("--shift-file", type=Path, help="a file with the shift, read again every second")
    run.add_argument("--run", default=None, help="name of the run, the first part of its event ids (made up)")
    run.add_argument("--duration", type=float, help="stop after so many seconds")
    run.add_argument("--count", type=int, help="stop after so many events")
    run.add_argument("--seed", type=int, help="the same events again (not the same ids)")
    run.add_argument("--wait-seconds", type=float, default=600.0, help="wait for broker and topic (600)")
    run.add_argument("--flush-seconds", type=float, default=20.0, help="wait for deliveries at the end (20)")
    run.add_argument("--report-seconds", type=float, default=10.0, help="between two reports on stderr (10)")
    run.add_argument("--metrics-port", type=int, default=0, help="Prometheus metrics; 0: none (0)")

    waits = commands.add_parser(
        "wait",
        help="wait until the broker answers and topics are there",
        description="Exit code 0: all are there, 2: one was not in time.",
    )
    waits.add_argument("--bootstrap-servers", required=True, help="Kafka, host:port[,host:port]")
    waits.add_argument("--topic", action="append", required=True, help="a topic (may be repeated)")
    waits.add_argument("--wait-seconds", type=float, default=600.0, help="how long for each (600)")

    audits = commands.add_parser(
        "audit",
        help="is every produced event in predictions or in the dead letter topic?",
        description="Prints JSON. Exit code 0: none is lost, 1: some are, 2: the topics could not be read.",
    )
    _common(audits)
    audits.add_argument("--predictions-topic", default="predictions")
    audits.add_argument("--dlq-topic", default="events-dlq")
    audits.add_argument("--run", action="append", default=[], help="only events of this run (may be repeated)")
    audits.add_argument("--wait", type=float, default=0.0, help="seconds to wait for events under way (0)")
    return parser.parse_args(arguments)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bootstrap-servers", required=True, help="Kafka, host:port[,host:port]")
    parser.add_argument("--events-topic", default="events")


def _number(parse: Callable[[str], float]) -> Callable[[str], float]:
    """The same check for an argument as for the dial's file, with its words."""

    def read(text: str) -> float:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"a share is between 0 and 1, not {text}")
    return value


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} loadgen: {text}", file=sys.stderr, flush=True)


class _Stop:
    """Set by SIGTERM and SIGINT: the loop then ends by itself."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.asked = True


def run(options: argparse.Namespace) -> int:
    """Produce until stopped. Exit code 1 when an event was accepted but not delivered."""
    stop = _Stop()
    producer = kafka.producer(options.bootstrap_servers, _say)
    partitions = kafka.wait_for_topic(producer, options.events_topic, options.wait_seconds, _say, lambda: stop.asked)
    source = EventSource(options.run or new_run(), options.bad_fraction, options.late_fraction, options.late_seconds)
    if options.seed is not None:
        source.random.seed(options.seed)
    generator = Generator(
        producer,
        options.events_topic,
        partitions,
        source,
        Dial("rate", options.rate, options.rate_file, parse_rate, _say),
        Dial("shift", options.shift, options.shift_file, parse_shift, _say),
    )
    if options.metrics_port:
        metrics.serve(options.metrics_port, generator)
    _say(f"run {source.run}: {generator.pacer.rate:g} events/s to {options.events_topic}, {len(partitions)} partitions")
    began = time.monotonic()
    watch = Watch(generator, options.report_seconds, began)
    while not stop.asked:
        generator.tick(options.count)
        now = time.monotonic()
        if (line := watch.line(now)) is not None:
            _say(line)
        if options.duration is not None and now - began >= options.duration:
            break
        if options.count is not None and generator.counts.sent >= options.count:
            break
        time.sleep(TICK_SECONDS)
    account = generator.finish(options.flush_seconds)
    account["seconds"] = round(time.monotonic() - began, 2)
    print(json.dumps(account), flush=True)
    return 1 if account["failed"] or account["unanswered"] else 0


def run_wait(options: argparse.Namespace) -> int:
    """Wait for topics."""
    stop = _Stop()
    client = kafka.producer(options.bootstrap_servers, _say)
    for topic in options.topic:
        partitions = kafka.wait_for_topic(client, topic, options.wait_seconds, _say, lambda: stop.asked)
        _say(f"topic {topic}: {len(partitions)} partitions")
    return 0


def run_audit(options: argparse.Namespace) -> int:
    """Print the audit."""
    names = (options.events_topic, options.predictions_topic, options.dlq_topic)
    events, predictions, dead_letters = (kafka.KafkaTopic(options.bootstrap_servers, name, _say) for name in names)
    result = audit.audit(events, predictions, dead_letters, runs=frozenset(options.run), wait_seconds=options.wait)
    # What retention took away can be neither found nor missed.
    result["expired_events"] = events.expired
    for topic in (events, predictions, dead_letters):
        topic.close()
    print(json.dumps(result, indent=2))
    return _EXIT_LOST if result["lost"] else 0


def main(arguments: list[str]) -> int:
    """Run a command; returns the exit code."""
    options = parse_arguments(arguments)
    try:
        commands = {"run": run, "wait": run_wait, "audit": run_audit}
        return commands[options.command](options)
    except kafka.Unavailable as error:
        _say(str(error))
        return _EXIT_UNAVAILABLE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
