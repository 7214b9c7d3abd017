"""Docker engines: that of the machine, and our own, which leave the machine's network as it is."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cluster import remains
from cluster.cgroups import Cgroup
from cluster.daemons import Daemons
from cluster.errors import ProviderError
from cluster.namespaces import Namespace

from . import layout

NAME = "dockerd"
_RUNTIME = Path(__file__).with_name("runc_without_sys_resource.py")
_SYS_RESOURCE = 24  # capabilities(7), linux/capability.h
# In the machine's own network: no bridge, and no rules of Docker's.
_NO_NETWORK = (
    "--bridge=none",
    *(f"--{part}=false" for part in ("iptables", "ip6tables", "ip-forward", "ip-masq", "userland-proxy")),
)


@cache
def answers() -> bool:
    """Tell whether an engine of this machine answers; it is asked once."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


@dataclass(frozen=True)
class Engine:
    """One of our own, with everything of it in one folder and one cgroup."""

    state: Path
    cgroup: Cgroup
    namespace: Namespace | None
    """Network of its own, without a way out; None: the machine's, which only builds get that ask for it."""

    @property
    def daemons(self) -> Daemons:
        """Its daemon, and others that belong to it."""
        return Daemons(self.state / "run", self.state / "log")

    @property
    def host(self) -> str:
        """What clients call it."""
        return f"unix://{self.state / 'docker.sock'}"

    def start(self, dockerd: Path) -> None:
        """Start it, unless it runs. Raises ProviderError with the end of its log."""
        if self.daemons.alive(NAME):
            return
        if self.namespace:
            self.namespace.create()
        self.cgroup.create()
        self.state.mkdir(parents=True, exist_ok=True)
        bounding = next(
            line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd:")
        )
        command = self.command(dockerd, int(bounding, 16))
        self.daemons.start(NAME, self.namespace.enter(*command) if self.namespace else command)
        self.daemons.wait(NAME, lambda: bool(self.docker("version")), 60)

    def command(self, dockerd: Path, bounding: int) -> list[str]:
        """Return its command line for a machine with these capabilities (a bit each)."""
        line = [
            str(dockerd),
            f"--data-root={self.state / 'data'}",
            f"--exec-root={self.state / 'exec'}",
            f"--host={self.host}",
            f"--pidfile={self.daemons.run / 'docker.pid'}",
            # Of our own, so that everything in it is known to be ours.
            f"--cgroup-parent=/{self.cgroup.name}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--log-level=warn",
            *(() if self.namespace else _NO_NETWORK),
        ]
        if not bounding >> _SYS_RESOURCE & 1:
            line += [f"--add-runtime=without-sys-resource={_RUNTIME}", "--default-runtime=without-sys-resource"]
        return line

    def stop(self) -> None:
        """End it and all that it runs, whatever state it was left in, and remove its data."""
        noted = self.daemons.noted()
        if self.daemons.alive(NAME):
            # Otherwise it would ask them, and wait; what it does not answer is killed below.
            with contextlib.suppress(ProviderError):
                self.docker("rm", "--force", *self.docker("ps", "--all", "--quiet").split())
        self.daemons.stop([name for name in noted if name != NAME])
        self.daemons.stop([name for name in noted if name == NAME], seconds=15)
        remains.end_runtimes(self.state)
        self.cgroup.end()
        remains.unmount(self.state)
        if self.namespace:
            self.namespace.remove()
        self.cgroup.remove()
        shutil.rmtree(self.state, ignore_errors=True)

    def docker(self, *arguments: str) -> str:
        """Ask it; returns what it printed. Raises ProviderError."""
        return self.run("docker", *arguments)

    def run(self, *command: str) -> str:
        """Run a client of it; returns what it printed. Raises ProviderError with its words."""
        environment = {**os.environ, "DOCKER_HOST": self.host}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ProviderError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout


KIND = Engine(layout.STATE, Cgroup(layout.CGROUP), Namespace(layout.NETNS))
"""The one that kind's node runs in."""
