"""Brings the local cluster up and down. ``up`` may be called at any time, also over the remains of a killed one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from cluster import tools
from cluster.errors import ProviderError
from cluster.steps import Steps

from . import components, layout, network, pki, processes
from .loading import Loader

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
PACKAGE = Path(__file__).resolve().parents[2]
CGROUPS = Path("/sys/fs/cgroup")
# Ten times what other processes have by default: how fast a job drains is part of what an incident shows, and should
# not be up to what the machine does beside it. By version 1 and by version 2.
CPU_WEIGHTS = {"cpu.shares": 10240, "cpu.weight": 1000}


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
    return all(processes.alive(name) for name in components.NAMES)


def status() -> dict[str, bool]:
    """Tell for each component whether it runs."""
    return {name: processes.alive(name) for name in components.NAMES}


def clean() -> None:
    """End everything of a cluster, whatever state it was left in, and remove its data."""
    # The kubelet first: it would start again what is ended below.
    processes.stop([name for name in ("kubelet", "forwarder") if name in processes.noted()])
    _end_containers()
    processes.stop([name for name in reversed(components.NAMES) if name in processes.noted()])
    _unmount(layout.STATE)
    network.remove()
    _remove_cgroups()
    shutil.rmtree(layout.STATE, ignore_errors=True)


def _start(found: dict[str, Path], archives: dict[str, Path], steps: Steps) -> None:
    with steps.step("network namespace and certificates"):
        network.create()
        pki.create()
        components.write_configuration(PAUSE_IMAGE)
        _make_cgroups()
    commands = components.commands(found)

    def start(name: str) -> None:
        processes.start(name, network.enter(*commands[name]))

    with steps.step("control plane"):
        for name in ("etcd", "kube-apiserver"):
            start(name)
        _wait("kube-apiserver", lambda: _kubectl(found, "get", "--raw", "/readyz").strip() == "ok", 60)
        for name in ("kube-controller-manager", "kube-scheduler"):
            start(name)
    with steps.step("container runtime"):
        start("containerd")
        _wait("containerd", lambda: bool(_output([*_ctr(found), "version"])), 30)
        _loader(found).load({"pause": archives["pause"]}, steps.say)
    with steps.step("node"):
        for name in ("kubelet", "kube-proxy", "coredns"):
            start(name)
        _kubectl(found, "apply", "-f", "-", stdin=yaml.safe_dump_all(components.dns_service()))
        ready = "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
        _wait("kubelet", lambda: _kubectl(found, "get", "nodes", "-o", ready) == "True", 90)
    with steps.step("way in from outside"):
        arguments = [str(layout.OUTSIDE_PORT), str(network.NAMESPACE_FILE), layout.NODE_IP, "6443"]
        command = [sys.executable, "-m", "cluster.local.forwarder", *arguments]
        processes.start("forwarder", command, {"PYTHONPATH": str(PACKAGE)})


def _loader(found: dict[str, Path]) -> Loader:
    return Loader(_ctr(found), layout.STATE / "images")


def _ctr(found: dict[str, Path]) -> list[str]:
    return [str(found["ctr"]), "--address", str(layout.CONTAINERD_SOCKET), "-n", "k8s.io"]


def _kubectl(found: dict[str, Path], *arguments: str, stdin: str | None = None) -> str:
    kubeconfig = f"--kubeconfig={layout.PKI / 'admin.conf'}"
    return _output(network.enter(str(found["kubectl"]), kubeconfig, *arguments), stdin)


def _output(command: list[str], stdin: str | None = None) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProviderError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _wait(component: str, condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    trouble = ""
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except ProviderError as error:
            trouble = str(error)
        if not processes.alive(component):
            break
        time.sleep(0.3)
    log = processes.log_tail(component)
    raise ProviderError(f"{component} is not ready after {seconds:.0f} s: {trouble}\nEnd of its log:\n{log}")


def _end_containers() -> None:
    """Kill the shims of our containerd and everything in our cgroup; nothing else on the machine is touched."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "containerd-shim" in command[0] and str(layout.CONTAINERD_SOCKET) in command:
            _kill(int(process.name))
    deadline = time.monotonic() + 15
    while (inside := _in_cgroup()) and time.monotonic() < deadline:
        for pid in inside:
            _kill(pid)
        time.sleep(0.1)


def _in_cgroup() -> set[int]:
    pids: set[int] = set()
    for root in _our_cgroups():
        for folder, _, _ in os.walk(root):  # passes over what vanishes meanwhile
            try:
                pids |= {int(line) for line in Path(folder, "cgroup.procs").read_text().split()}
            except OSError:
                continue
    return pids


def _our_cgroups() -> list[Path]:
    """Return our cgroup in each hierarchy: of version 1 there are several, of version 2 there is one."""
    return [path for path in (*CGROUPS.glob(f"*/{layout.CGROUP}"), CGROUPS / layout.CGROUP) if path.is_dir()]


def _make_cgroups() -> None:
    version_2 = (CGROUPS / "cgroup.controllers").exists()
    roots = [CGROUPS] if version_2 else [p for p in CGROUPS.iterdir() if p.is_dir() and not p.is_symlink()]
    for root in roots:
        folder = root / layout.CGROUP
        folder.mkdir(exist_ok=True)
        if root.name == "cpuset":  # a new cpuset is empty, and nothing may enter it
            for key in ("cpuset.cpus", "cpuset.mems"):
                (folder / key).write_text((root / key).read_text())
        for key, weight in CPU_WEIGHTS.items():
            if (folder / key).exists():
                (folder / key).write_text(str(weight))


def _remove_cgroups() -> None:
    for root in _our_cgroups():
        for folder, _, _ in os.walk(root, topdown=False):
            _rmdir(Path(folder))


def _rmdir(folder: Path) -> None:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        print(f"left behind: {folder}: {error}", file=sys.stderr)


def _unmount(folder: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], capture_output=True, check=False)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
