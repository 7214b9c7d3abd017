"""kind without a registry: an engine of our own, a node image from packages, and images that our builder makes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from cluster import forwarder, tools
from cluster.errors import ProviderError
from cluster.loading import Loader
from cluster.steps import Steps

from . import layout
from .engine import KIND, NAME

TOOLS = ("kind", "docker", "dockerd", "runc", "ip", "debootstrap", "buildah", "kubectl")
_NODE_IMAGE = "kind-node"


def missing() -> list[str]:
    """Say what this machine lacks; an empty list if nothing."""
    lacks = []
    if sys.platform != "linux":
        lacks.append("Linux")
    elif os.geteuid() != 0:
        lacks.append("root (network namespaces, mounts and cgroups)")
    lacks += [program for program in ("nsenter", "go", "gcc") if shutil.which(program) is None]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    if memory < 6:
        lacks.append(f"6 GiB of memory (it has {memory:.1f})")
    return lacks


def up(kubeconfig: Path, steps: Steps) -> None:
    """Bring engine and cluster up, load the images, and write a kubeconfig that works outside of the namespace."""
    from cluster import images

    # At once, because programs are compiled and images mostly downloaded.
    with steps.step("programs and images built"), ThreadPoolExecutor() as pool:
        programs = pool.submit(tools.ensure, (*TOOLS, *images.PROGRAMS), steps.say)
        archives = images.build(tools.cache(), (*images.DEFAULT, _NODE_IMAGE), steps.say)
        found = programs.result()
    if not all(status().values()):
        with steps.step("remains of an earlier cluster removed"):
            KIND.stop()
        with steps.step("Docker engine"):
            KIND.start(found["dockerd"])
        with steps.step("node image loaded"):
            KIND.docker("load", f"--input={archives[_NODE_IMAGE]}")
        with steps.step("kind cluster"):
            _create(found["kind"], images.IMAGES[_NODE_IMAGE].reference, kubeconfig)
            forwarder.start(KIND.daemons, layout.API_PORT, KIND.namespace, "127.0.0.1", layout.API_PORT)
    with steps.step("images loaded"):
        _loader().load({name: archives[name] for name in images.DEFAULT}, steps.say)
    KIND.run(str(found["kind"]), "export", "kubeconfig", *_names(kubeconfig))


def add_images(names: Iterable[str], steps: Steps) -> None:
    """Build images that are made on demand, and load them into the cluster that runs."""
    from cluster import images

    _loader().load(images.build(tools.cache(), names, steps.say), steps.say)


def status() -> dict[str, bool]:
    """Tell for each part of the cluster whether it runs."""
    alive = {name: KIND.daemons.alive(name) for name in (NAME, forwarder.NAME)}
    return {**alive, layout.NODE: alive[NAME] and _node_runs()}


def configuration(version_of: dict[str, str]) -> dict[str, Any]:
    """Return kind's configuration of the cluster, with kubeadm's; versions of etcd and coredns are given."""
    components = {
        "kind": "ClusterConfiguration",
        "imageRepository": "localhost/kind",
        "dns": {"imageTag": version_of["coredns"]},
        # kind writes version v1beta3, in which arguments are a map.
        "etcd": {"local": {"imageTag": version_of["etcd"], "extraArgs": {"unsafe-no-fsync": "true"}}},
    }
    # kubeadm's pods ask for 0.85 CPUs, nearly half of a small machine.
    patched = {"kind": "InitConfiguration", "patches": {"directory": "/kind/patches"}}
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": layout.NAME,
        # A port that is known, so that the kubeconfig holds in the engine's namespace and, by a forwarder, outside.
        "networking": {"kubeProxyMode": "nftables", "apiServerPort": layout.API_PORT},
        "nodes": [{"role": "control-plane"}],
        "kubeadmConfigPatches": [yaml.safe_dump(document) for document in (components, patched)],
    }


def _create(kind: Path, image: str, kubeconfig: Path) -> None:
    file = layout.STATE / "kind.yaml"
    file.write_text(yaml.safe_dump(configuration({name: tools.version(name) for name in ("etcd", "coredns")})))
    arguments = (f"--image={image}", f"--config={file}", "--wait=120s", "--retain", *_names(kubeconfig))
    KIND.run(str(kind), "create", "cluster", *arguments)


def _names(kubeconfig: Path) -> tuple[str, str]:
    return f"--name={layout.NAME}", f"--kubeconfig={kubeconfig}"


def _node_runs() -> bool:
    try:
        return KIND.docker("inspect", "--format={{.State.Running}}", layout.NODE).strip() == "true"
    except ProviderError:
        return False


def _loader() -> Loader:
    ctr = ("docker", f"--host={KIND.host}", "exec", "--interactive", layout.NODE, "ctr", "-n", "k8s.io")
    return Loader(ctr, layout.STATE / "images")
