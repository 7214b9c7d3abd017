"""A data monitor as a process, and predictions for it: what the unit tests of the loop, chaos and benchmarks share."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from ports import free_port
from prometheus_client.parser import text_string_to_metric_families

PATIENCE_SECONDS = 60.0
FIRST_MS = 1_700_000_000_000


def predictions(count: int, *, seed: int = 1, shift: float = 0.0, first_ms: int = FIRST_MS) -> Iterator[str]:
    """Records as the example pipeline writes them, 20 ms apart."""
    dice = random.Random(seed)
    for number in range(count):
        record = {
            "event_id": f"r-{number}",
            "ts_ms": first_ms + number * 20,
            "inference_ms": round(dice.lognormvariate(-3, 0.3), 4),
            "score": round(dice.random(), 6),
            "features": {
                "price_log": round(dice.gauss(3 + shift, 1), 4),
                "session_minutes": round(dice.gauss(5, 2), 4),
                "device": dice.choice(["mobile", "desktop", "tablet"]),
            },
        }
        yield json.dumps(record)


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


class MonitorProcess:
    """``data-monitor run`` with a configuration of its own in a folder."""

    def __init__(self, folder: Path, bootstrap_servers: str, **sections: Any) -> None:
        self.folder = folder
        self.port = free_port()
        kafka = {"bootstrapServers": bootstrap_servers, "startAt": "earliest", **sections.pop("kafka", {})}
        state = {"path": str(folder / "snapshot"), "every": "200ms", **sections.pop("state", {})}
        window = {"evaluateEvery": "200ms", **sections.pop("window", {})}
        configuration = {
            "reference": str(folder / "ref.json"),
            "kafka": kafka,
            "state": state,
            "window": window,
            "metrics": {"address": "127.0.0.1", "port": self.port},
            **sections,
        }
        self.config = folder / f"config-{self.port}.yaml"
        self.config.write_text(yaml.safe_dump(configuration))
        self.log = folder / f"log-{self.port}.txt"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        """Begin to run, with these variables beside ours."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "data_monitor", "run", "--config", str(self.config)],
                stderr=log,
                env={**os.environ, **environment},
            )

    def kill(self) -> None:
        """End it at once, without a chance to save."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def pause(self) -> None:
        """Stop it where it is, until it is to go on."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of a pause."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """Ask it to end; the exit code."""
        assert self._process
        self._process.terminate()
        return self._process.wait(PATIENCE_SECONDS)

    def metrics(self) -> dict[str, float]:
        """Samples by name and labels without the model's; empty while it does not answer."""
        assert self._process
        assert self._process.poll() is None, self.log.read_text()[-4000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        return {
            sample.name + "".join(f"|{v}" for k, v in sorted(sample.labels.items()) if k != "model"): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def wait_for(self, name: str, wanted: Callable[[float], bool]) -> dict[str, float]:
        """The metrics once one of them is as wanted."""
        seen: dict[str, float] = {}

        def reached() -> bool:
            nonlocal seen
            seen = self.metrics()
            return name in seen and wanted(seen[name])

        try:
            until(reached, name)
        except AssertionError as error:
            raise AssertionError(f"{error}; last {seen.get(name)}; log: {self.log.read_text()[-2000:]}") from None
        return seen

    def state(self) -> Any:
        """What ``data-monitor state`` says; None while there is no snapshot."""
        snapshot = self.folder / "snapshot"
        if not snapshot.exists():
            return None
        said = subprocess.run(
            [sys.executable, "-m", "data_monitor", "state", str(snapshot)], check=True, capture_output=True
        )
        return json.loads(said.stdout)
