"""What a container runtime that was killed leaves: processes, and mounts below its folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .cgroups import kill


def end_runtimes(folder: Path) -> None:
    """Kill containerd and its shims where their arguments name a file in the folder, as a socket or a configuration."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program, *arguments = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if Path(program).name.startswith("containerd") and any(text.startswith(f"{folder}/") for text in arguments):
            kill(int(process.name))


def unmount(folder: Path) -> None:
    """Unmount everything below the folder."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], capture_output=True, check=False)
