"""The Docker engine: that of the machine, or one of our own in a network namespace without a way out."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from cluster import remains
from cluster.cgroups import Cgroup
from cluster.daemons import Daemons
from cluster.errors import ProviderError
from cluster.namespaces import Namespace

from . import layout

DAEMONS = Daemons(layout.RUN, layout.LOG)
NAMESPACE = Namespace(layout.NETNS)
NAME = "dockerd"
ENVIRONMENT = {"DOCKER_HOST": f"unix://{layout.SOCKET}"}
"""For clients of our own engine."""
_CGROUP = Cgroup(layout.CGROUP)
_RUNTIME = Path(__file__).with_name("runc_without_sys_resource.py")
_SYS_RESOURCE = 24  # capabilities(7), linux/capability.h


@cache
def answers() -> bool:
    """Tell whether an engine of this machine answers; it is asked once."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def start(dockerd: Path) -> None:
    """Start our own engine, unless it runs. Raises ProviderError with the end of its log."""
    if DAEMONS.alive(NAME):
        return
    NAMESPACE.create()
    _CGROUP.create()
    layout.STATE.mkdir(parents=True, exist_ok=True)
    bounding = next(
        line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd:")
    )
    DAEMONS.start(NAME, NAMESPACE.enter(*command(dockerd, int(bounding, 16))))
    DAEMONS.wait(NAME, lambda: bool(docker("version")), 60)


def command(dockerd: Path, bounding: int) -> list[str]:
    """Return dockerd's command line for a machine with these capabilities (a bit each)."""
    line = [
        str(dockerd),
        f"--data-root={layout.STATE / 'data'}",
        f"--exec-root={layout.STATE / 'exec'}",
        f"--host=unix://{layout.SOCKET}",
        f"--pidfile={layout.RUN / 'docker.pid'}",
        # Of our own, so that everything in it is known to be ours.
        f"--cgroup-parent=/{layout.CGROUP}",
        "--exec-opt=native.cgroupdriver=cgroupfs",
        "--log-level=warn",
    ]
    if not bounding >> _SYS_RESOURCE & 1:
        line += [f"--add-runtime=without-sys-resource={_RUNTIME}", "--default-runtime=without-sys-resource"]
    return line


def stop() -> None:
    """End our own engine and all that it runs, whatever state it was left in, and remove its data."""
    DAEMONS.stop([name for name in DAEMONS.noted() if name != NAME])
    # It may need a while to end containers; what is left is killed.
    DAEMONS.stop([name for name in DAEMONS.noted() if name == NAME], seconds=15)
    remains.end_runtimes(layout.STATE)
    _CGROUP.end()
    remains.unmount(layout.STATE)
    NAMESPACE.remove()
    _CGROUP.remove()
    shutil.rmtree(layout.STATE, ignore_errors=True)


def docker(*arguments: str) -> str:
    """Ask our own engine; returns what it printed. Raises ProviderError."""
    return run("docker", *arguments, env=ENVIRONMENT)


def run(*command: str, env: Mapping[str, str] | None = None) -> str:
    """Run a command; returns what it printed. Raises ProviderError with its words."""
    done = subprocess.run(command, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProviderError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
