"""Command lines and configuration files of the cluster's components."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from . import layout

# In the order in which they start.
NAMES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
    "coredns",
    "forwarder",
)


def _pki(name: str) -> str:
    return str(layout.PKI / name)


def commands(tools: Mapping[str, Path]) -> dict[str, list[str]]:
    """Return each component's command line, without the namespace it runs in."""
    return {
        "etcd": [
            str(tools["etcd"]),
            f"--data-dir={layout.STATE / 'etcd'}",
            "--unsafe-no-fsync",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
        ],
        "kube-apiserver": [
            str(tools["kube-apiserver"]),
            "--etcd-servers=http://127.0.0.1:2379",
            f"--service-cluster-ip-range={layout.SERVICE_CIDR}",
            f"--advertise-address={layout.NODE_IP}",
            "--secure-port=6443",
            f"--tls-cert-file={_pki('apiserver.crt')}",
            f"--tls-private-key-file={_pki('apiserver.key')}",
            f"--client-ca-file={_pki('ca.crt')}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={_pki('sa.pub')}",
            f"--service-account-signing-key-file={_pki('sa.key')}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged",
            # By default it would resolve the node's name for logs and exec.
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-client-certificate={_pki('admin.crt')}",
            f"--kubelet-client-key={_pki('admin.key')}",
        ],
        "kube-controller-manager": [
            str(tools["kube-controller-manager"]),
            *(f"--{use}kubeconfig={_pki('controller-manager.conf')}" for use in _DELEGATING),
            f"--service-account-private-key-file={_pki('sa.key')}",
            f"--root-ca-file={_pki('ca.crt')}",
            "--use-service-account-credentials",
            "--leader-elect=false",
        ],
        "kube-scheduler": [
            str(tools["kube-scheduler"]),
            *(f"--{use}kubeconfig={_pki('scheduler.conf')}" for use in _DELEGATING),
            "--leader-elect=false",
        ],
        "containerd": [str(tools["containerd"]), "--config", str(layout.CONFIG / "containerd.toml")],
        "kubelet": [
            str(tools["kubelet"]),
            f"--config={layout.CONFIG / 'kubelet.yaml'}",
            f"--kubeconfig={_pki('kubelet.conf')}",
            f"--root-dir={layout.KUBELET_ROOT}",
            f"--hostname-override={layout.NODE}",
            f"--node-ip={layout.NODE_IP}",
        ],
        "kube-proxy": [str(tools["kube-proxy"]), f"--config={layout.CONFIG / 'kube-proxy.yaml'}"],
        "coredns": [str(tools["coredns"]), "-conf", str(layout.CONFIG / "Corefile")],
    }


_DELEGATING = ("", "authentication-", "authorization-")


def write_configuration(pause_image: str) -> None:
    """Write the files that the command lines name."""
    layout.CONFIG.mkdir(parents=True, exist_ok=True)
    layout.CNI_CONFIG.mkdir(parents=True, exist_ok=True)
    (layout.CONFIG / "containerd.toml").write_text(containerd_toml(pause_image))
    (layout.CONFIG / "kubelet.yaml").write_text(yaml.safe_dump(kubelet_configuration()))
    (layout.CONFIG / "kube-proxy.yaml").write_text(yaml.safe_dump(kube_proxy_configuration()))
    (layout.CONFIG / "Corefile").write_text(corefile())
    (layout.CNI_CONFIG / "10-bridge.conflist").write_text(json.dumps(cni(), indent=2))


def containerd_toml(pause_image: str) -> str:
    """Return containerd's configuration (version 2, for containerd 1.6)."""
    return f"""version = 2
root = "{layout.CONTAINERD_ROOT}"
state = "{layout.RUN / "containerd"}"
[grpc]
  address = "{layout.CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  # Not in /run/netns, where those of pods that were killed with the cluster would stay.
  netns_mounts_under_state_dir = true
  # Without CAP_SYS_RESOURCE a sandbox cannot lower its score and dies.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{layout.CNI_CONFIG}"
"""


def kubelet_configuration() -> dict[str, Any]:
    """Return the kubelet's configuration, for cgroup v1 and a machine with swap."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        # Below a cgroup of our own, so that everything in it is known to be ours.
        "cgroupRoot": f"/{layout.CGROUP}",
        "failSwapOn": False,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": _pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDNS": [layout.DNS_SERVICE_IP],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{layout.CONTAINERD_SOCKET}",
        "tlsCertFile": _pki("kubelet.crt"),
        "tlsPrivateKeyFile": _pki("kubelet.key"),
        "resolvConf": "",
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # Seconds count in a test cluster.
        "syncFrequency": "10s",
        "configMapAndSecretChangeDetectionStrategy": "Watch",
    }


def kube_proxy_configuration() -> dict[str, Any]:
    """Return kube-proxy's configuration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": _pki("proxy.conf")},
        "mode": "nftables",
        "clusterCIDR": layout.POD_CIDR,
        "hostnameOverride": layout.NODE,
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def corefile() -> str:
    """Return CoreDNS' configuration: the cluster's names and nothing else."""
    return f""".:53 {{
  bind {layout.NODE_IP}
  errors
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {_pki("admin.conf")}
  }}
}}
"""


def cni() -> dict[str, Any]:
    """Return the pod network: one bridge, addresses from the node's range, no masquerading."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": layout.NODE_POD_CIDR}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        # Leases of addresses are part of the state that goes with the cluster.
        "dataDir": str(layout.STATE / "addresses"),
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True, "ipam": ipam}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "streaming-monitoring", "plugins": [bridge, portmap]}


def dns_service() -> list[dict[str, Any]]:
    """Return the Service of CoreDNS, which runs on the node: without a selector, its endpoint is given."""
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {"clusterIP": layout.DNS_SERVICE_IP, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kube-dns",
                "namespace": "kube-system",
                "labels": {"kubernetes.io/service-name": "kube-dns"},
            },
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": [{"addresses": [layout.NODE_IP], "conditions": {"ready": True}}],
        },
    ]
