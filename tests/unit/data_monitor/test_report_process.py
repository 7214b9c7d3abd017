"""From a topic to a page: the monitor and the server of reports as two processes with a folder between them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from data_monitor.__main__ import main
from data_monitor.report.folder import Folder
from mock_broker import MockBroker
from monitor_process import MonitorProcess, predictions, until
from ports import free_port


@pytest.fixture
def broker() -> MockBroker:
    mock = MockBroker()
    mock.create("predictions", "events-dlq")
    return mock


@pytest.fixture
def start(tmp_path: Path, broker: MockBroker) -> Iterator[Callable[..., tuple[MonitorProcess, int]]]:
    """Start a monitor, and the server of its reports; returns that one's port."""
    (tmp_path / "a.jsonl").write_text("\n".join(predictions(5000, seed=7)))
    main(["reference", "build", f"--input={tmp_path / 'a.jsonl'}", f"--output={tmp_path / 'ref.json'}", "--sample=500"])
    begun: list[MonitorProcess | subprocess.Popen[bytes]] = []

    def run(fewest: int = 500, **report: object) -> tuple[MonitorProcess, int]:
        port = free_port()
        sections = {"directory": str(tmp_path / "data"), "address": "127.0.0.1", "port": port, **report}
        monitor = MonitorProcess(tmp_path, broker.address, report=sections, window={"minSamples": fewest})
        begun.append(monitor)
        monitor.start()
        command = [sys.executable, "-m", "data_monitor", "serve-reports", f"--config={monitor.config}"]
        begun.append(subprocess.Popen(command, env={**os.environ, "HOME": "/nonexistent"}))
        return monitor, port

    yield run
    for process in begun:
        process.kill()


def page(port: int, path: str) -> str:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def test_drift_becomes_a_report(broker: MockBroker, start: Callable[..., tuple[MonitorProcess, int]]) -> None:
    broker.send("predictions", predictions(2000, shift=1))
    monitor, port = start(fewest=2000, sampleSize=1000)
    until(lambda: "score 0.3" in page(port, "/"), "the monitor's finding is on the page")
    report = until(lambda: "Data drift" in page(port, "/latest") and page(port, "/latest"), "a report")
    assert "price_log" in report
    (summary,) = Folder(monitor.folder / "data").summaries()
    assert summary.reason == "drift"
    # All of the window is counted, a part of it is kept. A window is judged as soon as it holds enough, however much of
    # the topic has been read by then: here, all of it.
    assert summary.events == 2000
    assert summary.rows == 1000
    seen = monitor.metrics()
    assert summary.score == pytest.approx(seen["data_drift_score"], abs=1e-9)
    assert summary.features["price_log"] == pytest.approx(seen["data_drift_feature_score|price_log"], abs=1e-9)


def test_what_is_like_the_reference_makes_none(
    broker: MockBroker, start: Callable[..., tuple[MonitorProcess, int]]
) -> None:
    broker.send("predictions", predictions(2000))
    monitor, port = start()
    until(lambda: "score 0.0" in page(port, "/"), "the monitor's finding is on the page")
    sample = Folder(monitor.folder / "data").sample()
    assert sample
    assert not sample.drifted
    assert sample.columns.keys() == {"price_log", "session_minutes", "device", "score"}
    assert set(sample.columns["device"]) == {"mobile", "desktop", "tablet"}
    assert list(Folder(monitor.folder / "data").summaries()) == []


def test_a_folder_that_cannot_be_written_to_does_not_stop_the_monitor(
    broker: MockBroker, start: Callable[..., tuple[MonitorProcess, int]], tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    broker.send("predictions", predictions(1000))
    monitor, _ = start()
    monitor.wait_for("data_drift_window_events", lambda value: value == 1000)
    until(lambda: "no sample for the report" in monitor.log.read_text(), "it is logged")
    assert monitor.stop() == 0
