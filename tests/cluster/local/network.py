"""The cluster's network namespace: a bridge with the node's address, and no way out."""

from __future__ import annotations

import subprocess
from pathlib import Path

from . import layout

NAMESPACE_FILE = Path("/var/run/netns") / layout.NETNS


def enter(*command: str) -> list[str]:
    """Return a command that runs in the namespace. Not ``ip netns exec``: it hides the cgroup mounts."""
    return ["nsenter", f"--net={NAMESPACE_FILE}", *command]


def create() -> None:
    """Make the namespace, unless it is there."""
    if NAMESPACE_FILE.exists():
        return
    _run("ip", "netns", "add", layout.NETNS)
    _run(*enter("ip", "link", "set", "lo", "up"))
    _run(*enter("ip", "link", "add", layout.NODE, "type", "bridge"))  # there is no dummy link type everywhere
    _run(*enter("ip", "address", "add", f"{layout.NODE_IP}/24", "dev", layout.NODE))
    _run(*enter("ip", "link", "set", layout.NODE, "up"))
    _run(*enter("ip", "route", "add", "default", "dev", layout.NODE))
    _run(*enter("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.route_localnet=1"))
    # Only there where the module is loaded; without it bridged packets take the same way anyhow.
    subprocess.run(enter("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1"), capture_output=True, check=False)


def remove() -> None:
    """Remove the namespace; its links and rules go with it."""
    if NAMESPACE_FILE.exists():
        _run("ip", "netns", "delete", layout.NETNS)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
