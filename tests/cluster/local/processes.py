"""Daemons of ours: started with a log and a note of which process it is, ended by that note only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from . import layout


def start(name: str, command: Sequence[str | Path], env: dict[str, str] | None = None) -> None:
    """Start a daemon that outlives us."""
    layout.LOG.mkdir(parents=True, exist_ok=True)
    with (layout.LOG / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )
    note = {"pid": process.pid, "started": _started(process.pid)}
    _note(name).write_text(json.dumps(note))


def alive(name: str) -> bool:
    """Tell whether the daemon that was noted still runs; a process that got its number later does not count."""
    return _pid(name) is not None


def stop(names: Sequence[str], seconds: float = 3) -> None:
    """End daemons: ask, wait a little, then insist; their data goes anyway."""
    pids = {name: pid for name in names if (pid := _pid(name)) is not None}
    for pid in pids.values():
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while any(alive(name) for name in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    for name in names:
        if (pid := _pid(name)) is not None:
            os.kill(pid, signal.SIGKILL)
            _gone(pid)
        _note(name).unlink(missing_ok=True)


def noted() -> list[str]:
    """Names of all daemons that were started, whether they still run or not."""
    return sorted(path.stem for path in layout.RUN.glob("*.process"))


def log_tail(name: str, lines: int = 20) -> str:
    """Return the end of a daemon's log."""
    path = layout.LOG / f"{name}.log"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""


def _note(name: str) -> Path:
    layout.RUN.mkdir(parents=True, exist_ok=True)
    return layout.RUN / f"{name}.process"


def _pid(name: str) -> int | None:
    try:
        note = json.loads(_note(name).read_text())
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
