"""Brings the local cluster up and down. ``up`` may be called at any time, also over the remains of a killed one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from cluster import forwarder, remains, tools
from cluster.cgroups import Cgroup
from cluster.daemons import Daemons
from cluster.errors import ProviderError
from cluster.loading import Loader
from cluster.steps import Steps

from . import components, layout, network, pki

PAUSE_IMAGE = "localhost/pause:1"
TOOLS = (
    *(
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
        "helm",
    ),
    *("coredns", "containerd", "ctr", "runc", "cni", "nft", "conntrack", "ip", "debootstrap", "buildah"),
)
DAEMONS = Daemons(layout.RUN, layout.LOG)
CGROUP = Cgroup(layout.CGROUP)


def missing() -> list[str]:
    """Say what this machine lacks; an empty list if nothing."""
    lacks = []
    if sys.platform != "linux":
        lacks.append("Linux")
    elif os.geteuid() != 0:
        lacks.append("root (network namespaces, mounts and cgroups)")
    lacks += [program for program in ("nsenter", "openssl", "go", "gcc") if shutil.which(program) is None]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    if memory < 6:
        lacks.append(f"6 GiB of memory (it has {memory:.1f})")
    return lacks


def up(kubeconfig: Path, steps: Steps) -> None:
    """Bring the cluster up, load the images, and write a kubeconfig that works outside of the namespace."""
    lacks = missing()
    if lacks:
        raise ProviderError(f"the local provider needs: {', '.join(lacks)}")
    from cluster import images

    # At once, because programs are compiled and images mostly downloaded.
    with steps.step("programs and images built"), ThreadPoolExecutor() as pool:
        programs = pool.submit(tools.ensure, (*TOOLS, *images.PROGRAMS), steps.say)
        archives = images.build(tools.cache(), images.DEFAULT, steps.say)
        found = programs.result()
    if not running():
        with steps.step("remains of an earlier cluster removed"):
            clean()
        _start(found, archives, steps)
    with steps.step("images loaded"):
        _loader(found).load(archives, steps.say)
    kubeconfig.parent.mkdir(parents=True, exist_ok=True)
    kubeconfig.write_text(pki.kubeconfig("admin", f"https://127.0.0.1:{layout.OUTSIDE_PORT}"))
    kubeconfig.chmod(0o600)


def add_images(names: Iterable[str], steps: Steps) -> None:
    """Build images that are made on demand, and load them into the cluster that runs."""
    from cluster import images

    archives = images.build(tools.cache(), names, steps.say)
    _loader(tools.ensure(TOOLS, steps.say)).load(archives, steps.say)


def running() -> bool:
    """Tell whether every component of a cluster runs."""
    return all(DAEMONS.alive(name) for name in components.NAMES)


def status() -> dict[str, bool]:
    """Tell for each component whether it runs."""
    return {name: DAEMONS.alive(name) for name in components.NAMES}


def clean() -> None:
    """End everything of a cluster, whatever state it was left in, and remove its data."""
    # The kubelet first: it would start again what is ended below.
    DAEMONS.stop([name for name in ("kubelet", forwarder.NAME) if name in DAEMONS.noted()])
    remains.end_runtimes(layout.STATE)
    CGROUP.end()
    DAEMONS.stop([name for name in reversed(components.NAMES) if name in DAEMONS.noted()])
    remains.unmount(layout.STATE)
    network.NAMESPACE.remove()
    CGROUP.remove()
    shutil.rmtree(layout.STATE, ignore_errors=True)


def _start(found: dict[str, Path], archives: dict[str, Path], steps: Steps) -> None:
    with steps.step("network namespace and certificates"):
        network.create()
        pki.create()
        components.write_configuration(PAUSE_IMAGE)
        CGROUP.create()
    commands = components.commands(found)

    def start(name: str) -> None:
        DAEMONS.start(name, network.NAMESPACE.enter(*commands[name]))

    with steps.step("control plane"):
        for name in ("etcd", "kube-apiserver"):
            start(name)
        DAEMONS.wait("kube-apiserver", lambda: _kubectl(found, "get", "--raw", "/readyz").strip() == "ok", 60)
        for name in ("kube-controller-manager", "kube-scheduler"):
            start(name)
    with steps.step("container runtime"):
        start("containerd")
        DAEMONS.wait("containerd", lambda: bool(_output([*_ctr(found), "version"])), 30)
        _loader(found).load({"pause": archives["pause"]}, steps.say)
    with steps.step("node"):
        for name in ("kubelet", "kube-proxy", "coredns"):
            start(name)
        _kubectl(found, "apply", "-f", "-", stdin=yaml.safe_dump_all(components.dns_service()))
        ready = "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
        DAEMONS.wait("kubelet", lambda: _kubectl(found, "get", "nodes", "-o", ready) == "True", 90)
    with steps.step("way in from outside"):
        forwarder.start(DAEMONS, layout.OUTSIDE_PORT, network.NAMESPACE, layout.NODE_IP, 6443)


def _loader(found: dict[str, Path]) -> Loader:
    return Loader(_ctr(found), layout.STATE / "images")


def _ctr(found: dict[str, Path]) -> list[str]:
    return [str(found["ctr"]), "--address", str(layout.CONTAINERD_SOCKET), "-n", "k8s.io"]


def _kubectl(found: dict[str, Path], *arguments: str, stdin: str | None = None) -> str:
    kubeconfig = f"--kubeconfig={layout.PKI / 'admin.conf'}"
    return _output(network.NAMESPACE.enter(str(found["kubectl"]), kubeconfig, *arguments), stdin)


def _output(command: list[str], stdin: str | None = None) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProviderError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
