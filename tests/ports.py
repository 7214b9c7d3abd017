"""Ports for the servers that tests start."""

import os
import socket
from itertools import cycle

_FIRST, _SHARE, _WORKERS = 20_000, 1_000, 12
"""Below the ports that systems give to outgoing connections (32,768 and up on Linux), so that none of those takes a
port between its choice and its use. Each of the processes of one run of tests has a share of its own."""

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
_first = _FIRST + _SHARE * _worker
# Where in its share a process begins differs from run to run: several may go on side by side.
_ports = cycle(_first + (os.getpid() * 37 + n) % _SHARE for n in range(_SHARE))


def free_port() -> int:
    """Return a port of loopback that nobody listens on, and that this process has not returned lately. Raises OSError
    if there is none."""
    for _ in range(_SHARE):
        port = next(_ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise OSError(f"no free port from {_first} on")
