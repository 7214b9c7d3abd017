"""Names, and where things lie where the engine is our own. One such cluster fits on a machine."""

from __future__ import annotations

from pathlib import Path

NAME = "streaming-monitoring"
"""The cluster's."""
NODE = f"{NAME}-control-plane"
"""The container that is its only node."""

# Short, because the path of a socket in it may have no more than 107 bytes.
STATE = Path("/var/lib/streaming-monitoring-kind")

NETNS = "streaming-monitoring-kind"
CGROUP = "streaming-monitoring-kind"
API_PORT = 36453
"""Where the API server is reachable on 127.0.0.1, in the engine's network namespace and outside of it."""
