"""The cluster's network namespace: a bridge with the node's address, and no way out."""

from __future__ import annotations

import subprocess

from cluster.namespaces import Namespace, run

from . import layout

NAMESPACE = Namespace(layout.NETNS)


def create() -> None:
    """Make the namespace, unless it is there."""
    if not NAMESPACE.create():
        return
    enter = NAMESPACE.enter
    run(*enter("ip", "link", "add", layout.NODE, "type", "bridge"))  # there is no dummy link type everywhere
    run(*enter("ip", "address", "add", f"{layout.NODE_IP}/24", "dev", layout.NODE))
    run(*enter("ip", "link", "set", layout.NODE, "up"))
    run(*enter("ip", "route", "add", "default", "dev", layout.NODE))
    run(*enter("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.route_localnet=1"))
    # Only there where the module is loaded; without it bridged packets take the same way anyhow.
    subprocess.run(enter("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1"), capture_output=True, check=False)
