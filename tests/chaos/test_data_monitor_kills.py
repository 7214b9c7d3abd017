"""Kill -9 at random points of a replay: the totals are those of an undisturbed run, to the last count of every pane."""

import json
import os
import random
import time

from data_monitor.__main__ import main
from data_monitor.adapters import codec
from data_monitor.adapters.snapshot import Snapshot
from mock_broker import MockBroker
from monitor_process import FIRST_MS, MonitorProcess, predictions, until

KILLS = int(os.environ.get("KILLS", "8"))
# The mock keeps the last 5 MB of a partition: four of them hold this many.
EVENTS = 40_000


def records(dice):
    """Predictions over 13 minutes, a longer time than a window: some late, some beyond the window, some broken."""
    for text in predictions(EVENTS, seed=5):
        chance = dice.random()
        if chance < 0.01:
            yield text[:-9]
        elif chance < 0.03:
            record = json.loads(text)
            yield json.dumps({**record, "ts_ms": record["ts_ms"] - dice.choice([20_000, 900_000])})
        else:
            yield text


def content(folder):
    """All that is counted, by partition."""
    snapshot = codec.unpack((folder / "snapshot").read_bytes(), Snapshot)
    return {(one.topic, one.partition): one for one in snapshot.partitions}


def read_so_far(folder):
    if not (folder / "snapshot").exists():
        return 0
    return sum(one.counters.get("records", 0) for one in content(folder).values())


def test_kills_leave_no_trace_in_the_totals(tmp_path):
    dice = random.Random(os.environ.get("SEED", "1"))
    training = tmp_path / "training.jsonl"
    training.write_text("\n".join(predictions(10_000, seed=7, first_ms=FIRST_MS - 10**9)))
    folders = [tmp_path / name for name in ("killed", "undisturbed")]
    for folder in folders:
        folder.mkdir()
        build = ["reference", "build", "--input", str(training), "--output", str(folder / "ref.json")]
        assert main(build) == 0
    broker = MockBroker()
    broker.create("predictions", "events-dlq")
    everything = list(records(dice))
    dead = [json.dumps({"error_type": dice.choice(["malformed_json", "new"])}) for _ in range(2000)]
    total = len(everything) + len(dead)

    killed = MonitorProcess(folders[0], broker.address, state={"every": "30ms"})
    saves = []
    for turn in range(KILLS):
        broker.send(
            "predictions", everything[turn * len(everything) // KILLS : (turn + 1) * len(everything) // KILLS], 4
        )
        broker.send("events-dlq", dead[turn * len(dead) // KILLS : (turn + 1) * len(dead) // KILLS], 4)
        before, began = read_so_far(folders[0]), killed.log.stat().st_size if killed.log.exists() else 0
        killed.start()
        point = dice.random()
        if point < 0.9:
            # Most kills while it reads and saves, some while it starts.
            until(lambda began=began: b"watching" in killed.log.read_bytes()[began:], "the monitor reads")
        if point < 0.5:
            until(lambda before=before: read_so_far(folders[0]) > before, "a save")
        time.sleep(dice.random() * 0.2)
        killed.kill()
        saves.append(read_so_far(folders[0]) - before)
    began = killed.log.stat().st_size
    killed.start()
    # The last kill may have come after the last save: only who watches has a handler for the signal yet.
    until(lambda: b"watching" in killed.log.read_bytes()[began:], "the monitor reads")
    until(lambda: read_so_far(folders[0]) == total, "all is read")
    assert killed.stop() == 0

    undisturbed = MonitorProcess(folders[1], broker.address)
    undisturbed.start()
    until(lambda: read_so_far(folders[1]) == total, "all is read")
    assert undisturbed.stop() == 0

    expected = content(folders[1])
    assert content(folders[0]) == expected
    counters = {kind: sum(one.counters.get(kind, 0) for one in expected.values()) for kind in ("late", "expired")}
    assert all(counters.values()), "the replay holds what it should"
    # Otherwise the kills came too early to meet anything.
    assert sum(1 for progress in saves if progress) >= KILLS / 4
    print(
        f"{KILLS} kills, {sum(1 for progress in saves if progress)} of them after a save; totals equal: {total} records"
    )
