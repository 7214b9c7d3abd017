"""Network namespaces by name, without a way out."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Namespace:
    """One that ``ip netns`` knows."""

    name: str

    @property
    def file(self) -> Path:
        """What setns(2) is given."""
        return Path("/var/run/netns") / self.name

    def create(self) -> None:
        """Make it with its loopback up, unless it is there."""
        if self.file.exists():
            return
        run("ip", "netns", "add", self.name)
        run(*self.enter("ip", "link", "set", "lo", "up"))

    def enter(self, *command: str) -> list[str]:
        """Return a command that runs in it. Not ``ip netns exec``: it hides the cgroup mounts."""
        return ["nsenter", f"--net={self.file}", *command]

    def remove(self) -> None:
        """Remove it; its links and rules go with it."""
        if self.file.exists():
            run("ip", "netns", "delete", self.name)


def run(*command: str) -> None:
    """Run a command. Raises RuntimeError with its words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
