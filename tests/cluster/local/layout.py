"""Where things lie and which addresses they have. One such cluster fits on a machine."""

from __future__ import annotations

from pathlib import Path

# Short, because the path of a socket in it may have no more than 107 bytes; on disk, because overlayfs needs that.
STATE = Path("/var/lib/streaming-monitoring-cluster")
PKI = STATE / "pki"
RUN = STATE / "run"
LOG = STATE / "log"
CONFIG = STATE / "config"
CONTAINERD_ROOT = STATE / "containerd"
CONTAINERD_SOCKET = RUN / "containerd.sock"
KUBELET_ROOT = STATE / "kubelet"
CNI_CONFIG = STATE / "cni"

NETNS = "streaming-monitoring"
NODE = "node0"
NODE_IP = "172.31.250.1"
POD_CIDR = "10.244.0.0/16"
NODE_POD_CIDR = "10.244.0.0/24"
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_SERVICE_IP = "10.96.0.10"
CGROUP = "streaming-monitoring"
OUTSIDE_PORT = 36443
"""Where the API server is reachable from outside of the namespace, on 127.0.0.1."""
