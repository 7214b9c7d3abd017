"""A cgroup of our own for a cluster's pods, in every hierarchy: what is in it is known to be ours."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
# Ten times what other processes have by default: how fast a job drains is part of what an incident shows, and should
# not be up to what the machine does beside it. By version 1 and by version 2.
CPU_WEIGHTS = {"cpu.shares": 10240, "cpu.weight": 1000}


@dataclass(frozen=True)
class Cgroup:
    """Below the root of each hierarchy: of version 1 there are several, of version 2 there is one."""

    name: str

    def create(self) -> None:
        """Make it, with its weight; one that is there is kept."""
        version_2 = (ROOT / "cgroup.controllers").exists()
        roots = [ROOT] if version_2 else [p for p in ROOT.iterdir() if p.is_dir() and not p.is_symlink()]
        for root in roots:
            folder = root / self.name
            folder.mkdir(exist_ok=True)
            if root.name == "cpuset":  # a new cpuset is empty, and nothing may enter it
                for key in ("cpuset.cpus", "cpuset.mems"):
                    (folder / key).write_text((root / key).read_text())
            for key, weight in CPU_WEIGHTS.items():
                if (folder / key).exists():
                    (folder / key).write_text(str(weight))

    def end(self) -> None:
        """Kill everything in it; nothing else on the machine is touched."""
        deadline = time.monotonic() + 15
        while (inside := self._members()) and time.monotonic() < deadline:
            for pid in inside:
                kill(pid)
            time.sleep(0.1)

    def remove(self) -> None:
        """Remove it and what is below it; what is left behind is said."""
        for root in self._folders():
            for folder, _, _ in os.walk(root, topdown=False):
                _rmdir(Path(folder))

    def _members(self) -> set[int]:
        pids: set[int] = set()
        for root in self._folders():
            for folder, _, _ in os.walk(root):  # passes over what vanishes meanwhile
                try:
                    pids |= {int(line) for line in Path(folder, "cgroup.procs").read_text().split()}
                except OSError:
                    continue
        return pids

    def _folders(self) -> list[Path]:
        return [path for path in (*ROOT.glob(f"*/{self.name}"), ROOT / self.name) if path.is_dir()]


def kill(pid: int) -> None:
    """Kill a process; one that is gone is no trouble."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _rmdir(folder: Path) -> None:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        print(f"left behind: {folder}: {error}", file=sys.stderr)
