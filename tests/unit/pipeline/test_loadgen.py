"""Rate control, dials, events and the generator's account, with a clock of the test's."""

import json
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadgen.__main__ import parse_arguments
from loadgen.dials import Dial, parse_rate, parse_shift
from loadgen.events import EventSource, new_run
from loadgen.generate import Generator, Watch
from loadgen.kafka import Complaints
from loadgen.pacing import CATCH_UP_SECONDS, Pacer
from recommender import features

NOW_MS = 1_764_000_000_000


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class FakeSink:
    """A broker client with room for so many events, which it delivers or refuses when polled."""

    def __init__(self, room=1_000_000, error=None):
        self.room, self.error, self.queue, self.values, self.partitions = room, error, [], [], []

    def produce(self, topic, *, value, partition, on_delivery):
        if len(self.queue) >= self.room:
            raise BufferError("Local: Queue full")
        self.queue.append(on_delivery)
        self.values.append(value)
        self.partitions.append(partition)

    def poll(self, timeout):
        for on_delivery in self.queue:
            on_delivery(self.error, None)
        self.queue.clear()
        return 0

    def flush(self, timeout):
        self.poll(timeout)
        return len(self.queue)


class Stuck(FakeSink):
    """A broker that does not answer."""

    def poll(self, timeout):
        return 0


def constant(value, name="rate"):
    return Dial(name, value, None, float, lambda text: None)


def generator(clock, sink=None, rate=None, shift=None, **source):
    return Generator(
        sink or FakeSink(),
        "events",
        list(range(8)),
        EventSource("run", **source),
        rate or constant(400.0),
        shift or constant(0.0, "shift"),
        clock=clock,
        wall_ms=lambda: NOW_MS,
    )


def play(clock, sender, seconds, step=0.01):
    for _ in range(round(seconds / step)):
        clock.now += step
        sender.tick()


@given(st.floats(0.1, 5000), st.floats(0.002, 0.2))
def test_the_rate_is_met_whatever_the_step(rate, step):
    pacer = Pacer(rate, 0.0)
    sent, steps = 0, round(20 / step)
    for number in range(1, steps + 1):
        due = pacer.due(number * step)
        sent += due
        pacer.sent(due)
    assert sent == pytest.approx(rate * steps * step, abs=1.001)
    assert pacer.missed == 0


@given(st.floats(1, 5000), st.floats(1, 3600))
def test_a_stall_is_no_burst_and_is_not_hidden(rate, stall):
    pacer = Pacer(rate, 0.0)
    due = pacer.due(stall)
    assert due <= 1.0 + rate * CATCH_UP_SECONDS
    assert due + pacer.missed == pytest.approx(rate * stall, abs=1.001)


def test_what_was_due_at_the_old_rate_stays_due():
    pacer = Pacer(100, 0.0)
    pacer.set_rate(1000, 0.1)
    assert pacer.due(0.1) == 10
    assert pacer.due(0.2) == 110


def test_rate_zero_stops_at_once():
    pacer = Pacer(100, 0.0)
    pacer.set_rate(0, 0.4)
    assert pacer.due(0.4) == 0
    assert pacer.due(1000) == 0
    assert pacer.missed == 0


def test_a_clock_that_goes_back_earns_nothing():
    pacer = Pacer(128, 10.0)
    assert pacer.due(10.25) == 32
    assert pacer.due(5.0) == 32
    assert pacer.due(10.25) == 32


@pytest.mark.parametrize("text", ["", "many", "-11", "nan", "inf", "1e9"])
@pytest.mark.parametrize("parse", [parse_rate, parse_shift])
def test_a_dial_that_says_no_number_of_use(parse, text):
    with pytest.raises(ValueError, match=r".+"):
        parse(text)


@pytest.mark.parametrize(("text", "rate"), [("400\n", 400.0), (" 0 ", 0.0), ("0.5", 0.5), ("1e3", 1000.0)])
def test_parse_rate(text, rate):
    assert parse_rate(text) == rate


def test_a_dial_keeps_the_last_good_value_and_says_so_once(tmp_path):
    said, file = [], tmp_path / "rate"
    dial = Dial("rate", 400.0, file, parse_rate, said.append)
    assert [dial.read(), dial.read()] == [400.0, 400.0]
    assert len(said) == 1
    file.write_text("800\n")
    assert dial.read() == 800.0
    assert said[-1] == "rate 400 -> 800"
    file.write_text("x")
    assert [dial.read(), dial.read()] == [800.0, 800.0]
    assert len(said) == 3
    file.write_text("0")
    assert dial.read() == 0.0


def test_events_go_out_evenly_to_all_partitions():
    clock, sink = Clock(), FakeSink()
    sender = generator(clock, sink)
    play(clock, sender, 10)
    assert sender.counts.sent == sender.counts.delivered == pytest.approx(4000, abs=1)
    assert sender.pacer.missed == 0
    counts = [sink.partitions.count(partition) for partition in range(8)]
    assert max(counts) - min(counts) <= 1


def test_every_event_id_is_its_own():
    clock, sink = Clock(), FakeSink()
    play(clock, generator(clock, sink, bad_fraction=0.0), 2)
    ids = [json.loads(value)["event_id"] for value in sink.values]
    assert ids == [f"run-{number}" for number in range(len(ids))]
    assert len({new_run() for _ in range(100)}) == 100


def test_the_dial_is_read_every_second(tmp_path):
    clock, file = Clock(), tmp_path / "rate"
    file.write_text("100")
    sender = generator(clock, rate=Dial("rate", 0.0, file, parse_rate, lambda text: None))
    play(clock, sender, 5)
    assert sender.counts.sent == pytest.approx(500, abs=2)
    file.write_text("1000")
    play(clock, sender, 5)
    assert 500 + 3990 <= sender.counts.sent <= 500 + 5010


def test_a_full_queue_loses_no_event_id_and_counts_what_was_missed():
    clock, sink = Clock(), Stuck(room=100)
    sender = generator(clock, sink)
    play(clock, sender, 10)
    assert sender.counts.sent == 100
    assert sender.counts.refused > 0
    assert sender.counts.sent + sender.pacer.missed >= 4000 - 400 * CATCH_UP_SECONDS - 1
    sink.room = 1_000_000
    play(clock, sender, 1)
    ids = [json.loads(value)["event_id"] for value in sink.values if value.endswith(b"}")]
    assert ids == [f"run-{number}" for number in range(len(ids))]


def test_failed_deliveries_are_in_the_account():
    clock = Clock()
    sender = generator(clock, FakeSink(error="Local: Message timed out"))
    play(clock, sender, 1)
    account = sender.finish(1)
    assert account["failed"] == account["sent"] > 0
    assert account["delivered"] == 0
    assert account["errors"] == {"Local: Message timed out": account["failed"]}


def test_the_count_is_a_limit():
    clock = Clock()
    sender = generator(clock)
    for _ in range(100):
        clock.now += 0.1
        sender.tick(123)
    assert sender.counts.sent == 123


def test_the_watch_says_when_the_generator_is_behind():
    clock = Clock()
    sender = generator(clock)
    watch = Watch(sender, 10, clock.now)
    play(clock, sender, 9.5)
    assert watch.line(clock.now) is None
    play(clock, sender, 0.6)
    line = watch.line(clock.now)
    assert line is not None
    assert "BEHIND" not in line
    play(clock, sender, 10, step=2.0)
    assert "BEHIND" in (watch.line(clock.now) or "")


def test_a_shift_moves_the_features():
    def median(shift):
        source = EventSource("run", shift=shift, random=random.Random(3))
        events = [json.loads(source.next(NOW_MS)) for _ in range(2000)]
        return statistics.median(features.extract(e, lambda user: (0.5, 1.0))["price_log"] for e in events)

    # The price's logarithm has a standard deviation of 0.8.
    assert median(1.0) - median(0.0) == pytest.approx(0.8, abs=0.1)
    assert median(-1.0) - median(0.0) == pytest.approx(-0.8, abs=0.1)


def test_the_shift_is_turned_while_it_runs(tmp_path):
    clock, sink, file = Clock(), FakeSink(), tmp_path / "shift"
    file.write_text("0")
    sender = generator(clock, sink, shift=Dial("shift", 0.0, file, parse_shift, lambda text: None))
    play(clock, sender, 5)
    before = len(sink.values)
    file.write_text("2")
    play(clock, sender, 1.1)
    play(clock, sender, 5)
    prices = [json.loads(value)["price"] for value in sink.values]
    assert statistics.median(prices[-1000:]) > 3 * statistics.median(prices[:before])


def test_late_events_are_late():
    source = EventSource("run", late_fraction=0.5, late_seconds=30, random=random.Random(3))
    times = [json.loads(source.next(NOW_MS))["ts_ms"] for _ in range(200)]
    assert set(times) == {NOW_MS, NOW_MS - 30_000}
    assert times.count(NOW_MS - 30_000) == source.late


def test_the_watch_says_when_the_broker_does_not_answer():
    clock = Clock()
    sender = generator(clock, Stuck())
    watch = Watch(sender, 10, clock.now)
    play(clock, sender, 10.1)
    assert f"BEHIND: {sender.counts.sent} of them wait for the broker" in (watch.line(clock.now) or "")


@pytest.mark.parametrize(
    "arguments",
    [["--rate", "-5"], ["--rate", "x"], ["--bad-fraction", "3"], ["--late-fraction", "x"], ["--nothing"], ["rerun"]],
)
def test_wrong_arguments_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        parse_arguments([*arguments, "--bootstrap-servers", "kafka:9092"])
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_run_is_the_default_command():
    assert parse_arguments(["--bootstrap-servers", "kafka:9092"]).command == "run"
    assert parse_arguments(["run", "--bootstrap-servers", "kafka:9092"]).rate == 400
    assert parse_arguments(["audit", "--bootstrap-servers", "kafka:9092"]).predictions_topic == "predictions"


def test_an_error_of_the_client_is_said_once():
    class Error:
        def __init__(self, text):
            self.text = text

        def str(self):
            return self.text

    said = []
    complain = Complaints(said.append)
    for text in ("refused", "refused", "timed out", "refused"):
        complain(Error(text))
    assert said == ["refused", "timed out", "refused"]
