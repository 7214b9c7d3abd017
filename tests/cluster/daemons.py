"""Daemons of ours: started with a log and a note of which process it is, ended by that note only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import ProviderError


@dataclass(frozen=True)
class Daemons:
    """Those of one cluster, by name: notes in the folder ``run``, logs in ``log``."""

    run: Path
    log: Path

    def start(self, name: str, command: Sequence[str | Path], env: dict[str, str] | None = None) -> None:
        """Start a daemon that outlives us."""
        for folder in (self.run, self.log):
            folder.mkdir(parents=True, exist_ok=True)
        with (self.log / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **(env or {})},
            )
        note = {"pid": process.pid, "started": _started(process.pid)}
        self._note(name).write_text(json.dumps(note))

    def alive(self, name: str) -> bool:
        """Tell whether the daemon that was noted still runs; a process that got its number later does not count."""
        return self._pid(name) is not None

    def wait(self, name: str, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until a daemon does what it is for; a ProviderError of the condition means not yet.

        Raises ProviderError with the end of its log when it ends or the time is over.
        """
        deadline = time.monotonic() + seconds
        trouble = ""
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except ProviderError as error:
                trouble = str(error)
            if not self.alive(name):
                break
            time.sleep(0.3)
        tail = self._log_tail(name)
        raise ProviderError(f"{name} is not ready after {seconds:.0f} s: {trouble}\nEnd of its log:\n{tail}")

    def stop(self, names: Sequence[str], seconds: float = 3) -> None:
        """End daemons: ask, wait a little, then insist; their data goes anyway."""
        pids = {name: pid for name in names if (pid := self._pid(name)) is not None}
        for pid in pids.values():
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while any(self.alive(name) for name in pids) and time.monotonic() < deadline:
            time.sleep(0.1)
        for name in names:
            if (pid := self._pid(name)) is not None:
                os.kill(pid, signal.SIGKILL)
                _gone(pid)
            self._note(name).unlink(missing_ok=True)

    def noted(self) -> list[str]:
        """Names of all daemons that were started, whether they still run or not."""
        return sorted(path.stem for path in self.run.glob("*.process"))

    def _log_tail(self, name: str, lines: int = 20) -> str:
        path = self.log / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def _note(self, name: str) -> Path:
        return self.run / f"{name}.process"

    def _pid(self, name: str) -> int | None:
        try:
            note = json.loads(self._note(name).read_text())
        except (OSError, ValueError):
            return None
        pid = int(note["pid"])
        return pid if note["started"] is not None and _started(pid) == note["started"] else None


def _started(pid: int) -> str | None:
    """Return when a process started (clock ticks since boot, proc(5)); None if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _gone(pid: int) -> None:
    deadline = time.monotonic() + 5
    while _started(pid) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
