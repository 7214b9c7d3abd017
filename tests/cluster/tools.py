"""The programs that the cluster providers and the tests run: where each comes from, and a cache of what was built.

Go programs are built from their modules into the cache, one folder per name and version, so that a second machine
start takes seconds. The rest are Debian packages, installed without starting their services.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LINKS = ROOT / ".tools/bin"

Progress = Callable[[str], None]


class ToolError(Exception):
    """A program is missing and cannot be had here; the message says what to do."""


def cache() -> Path:
    """Return the cache folder outside the repository; it is made if missing."""
    folder = Path(os.environ.get("STREAMING_MONITORING_CACHE") or Path.home() / ".cache/streaming-monitoring")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True)
class GoBuild:
    """Programs built together. With a module, in its folder under go/; without one, by ``go install``."""

    name: str
    version: str
    package: str
    """What is built; for ``go install`` without the version."""
    binaries: tuple[str, ...]
    """The first is built; the others are links to it."""
    module: str = ""
    ldflags: str = ""
    tags: str = ""

    @property
    def folder(self) -> Path:
        """Where the built programs lie."""
        return cache() / "tools" / f"{self.name}-{self.version}"


@dataclass(frozen=True)
class Package:
    """A program of a Debian package."""

    package: str
    path: str


KUBERNETES = "1.34.3"
_KUBERNETES_COMPONENTS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
_VERSION = "k8s.io/component-base/version"
# Helm, kubectl and kubeadm ask for the version, which a plain build leaves at v0.0.0.
_STAMP = f"-X {_VERSION}.gitVersion=v{KUBERNETES} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=34"

GO_BUILDS = (
    GoBuild("helm", "3.22.0", "helm.sh/helm/v3/cmd/helm", ("helm",)),
    GoBuild("helm4", "4.3.1", "helm.sh/helm/v4/cmd/helm", ("helm4",)),
    GoBuild("actionlint", "1.7.7", "github.com/rhysd/actionlint/cmd/actionlint", ("actionlint",)),
    GoBuild("kubeconform", "0.8.0", "github.com/yannh/kubeconform/cmd/kubeconform", ("kubeconform",)),
    GoBuild(
        "kubernetes",
        KUBERNETES,
        ".",
        _KUBERNETES_COMPONENTS,
        module="kubernetes",
        ldflags=_STAMP,
    ),
    GoBuild("etcd", "3.6.4", "go.etcd.io/etcd/server/v3", ("etcd",), module="kubernetes"),
    GoBuild("coredns", "1.14.7", "github.com/coredns/coredns", ("coredns",)),
    # What kind and the image of its nodes are made of where there is no registry to pull them from.
    GoBuild("kind", "0.33.0", "sigs.k8s.io/kind", ("kind",)),
    GoBuild("kubeadm", KUBERNETES, "k8s.io/kubernetes/cmd/kubeadm", ("kubeadm",), module="kubernetes", ldflags=_STAMP),
    GoBuild("crictl", "1.34.0", "sigs.k8s.io/cri-tools/cmd/crictl", ("crictl",)),
    GoBuild(
        "local-path-provisioner",
        "0.0.30",
        "github.com/rancher/local-path-provisioner",
        ("local-path-provisioner",),
    ),
    GoBuild("controller-gen", "0.19.0", "sigs.k8s.io/controller-tools/cmd/controller-gen", ("controller-gen",)),
    # Debian's Prometheus is built without the discovery of Kubernetes; all others would take ten minutes to compile.
    *(
        GoBuild(
            name,
            "3.16.0",
            f"github.com/prometheus/prometheus/cmd/{name}",
            (name,),
            module="prometheus",
            tags="remove_all_sd,enable_kubernetes_sd",
        )
        for name in ("prometheus", "promtool")
    ),
    GoBuild(
        "prometheus-operator",
        "0.85.0",
        "github.com/prometheus-operator/prometheus-operator/cmd/operator",
        ("prometheus-operator",),
        module="prometheus-operator",
    ),
    GoBuild(
        "prometheus-config-reloader",
        "0.85.0",
        "github.com/prometheus-operator/prometheus-operator/cmd/prometheus-config-reloader",
        ("prometheus-config-reloader",),
        module="prometheus-operator",
    ),
)
PACKAGES = {
    "runc": Package("runc", "/usr/sbin/runc"),
    "ip": Package("iproute2", "/bin/ip"),
    "alertmanager": Package("prometheus-alertmanager", "/usr/bin/prometheus-alertmanager"),
    "amtool": Package("prometheus-alertmanager", "/usr/bin/amtool"),
    "node-exporter": Package("prometheus-node-exporter", "/usr/bin/prometheus-node-exporter"),
    "dockerd": Package("docker.io", "/usr/sbin/dockerd"),
    "docker": Package("docker.io", "/usr/bin/docker"),
    "debootstrap": Package("debootstrap", "/usr/sbin/debootstrap"),
    "buildah": Package("buildah", "/usr/bin/buildah"),
    "maven": Package("maven", "/usr/bin/mvn"),
}
LINKED = ("helm", "kubectl", "promtool", "amtool", "kubeconform")
"""What people and tests find in .tools/bin."""

_BUILD_OF = {binary: build for build in GO_BUILDS for binary in build.binaries}


def version(binary: str) -> str:
    """Return the version that a Go program is built from."""
    return _BUILD_OF[binary].version


def ensure(names: Iterable[str], progress: Progress = lambda _: None) -> dict[str, Path]:
    """Return the programs' paths; what is missing is built or installed first. Raises ToolError."""
    wanted = list(names)
    unknown = [name for name in wanted if name not in PACKAGES and name not in _BUILD_OF]
    if unknown:
        raise ToolError(f"no recipe for {', '.join(unknown)}")
    _install([PACKAGES[name] for name in wanted if name in PACKAGES], progress)
    paths = {name: Path(PACKAGES[name].path) for name in wanted if name in PACKAGES}
    for name in wanted:
        if name in _BUILD_OF:
            build = _BUILD_OF[name]
            _build(build, progress)
            paths[name] = build.folder / name
    return paths


def link(names: Iterable[str] = LINKED, progress: Progress = lambda _: None) -> None:
    """Make .tools/bin: links to the programs that the Makefile and the tests use, or to some of them."""
    LINKS.mkdir(parents=True, exist_ok=True)
    for name, path in ensure(names, progress).items():
        _relink(LINKS / name, path)


def _build(build: GoBuild, progress: Progress) -> None:
    with _locked(build.name):
        if build.folder.is_dir():
            return
        if shutil.which("go") is None:
            raise ToolError(f"Go is missing, which builds {build.name} {build.version}: see https://go.dev/doc/install")
        began = time.monotonic()
        progress(f"building {build.name} {build.version}")
        with tempfile.TemporaryDirectory(dir=build.folder.parent) as work:
            out = Path(work) / "out"
            out.mkdir()
            _compile(build, out)
            for other in build.binaries[1:]:
                (out / other).symlink_to(build.binaries[0])
            out.rename(build.folder)
        progress(f"built {build.name} {build.version} in {time.monotonic() - began:.0f} s")


def _compile(build: GoBuild, out: Path) -> None:
    # Without debugging information, which takes a tenth of the compiler's time.
    flags = [f"-ldflags=-s -w {build.ldflags}".strip(), "-gcflags=all=-dwarf=false"]
    # Low priority: a build must not starve a cluster on the same machine.
    command = ["nice", "go"]
    if build.module:
        # The original name of the main package does not matter: the output is named here.
        command += [
            "build",
            "-o",
            str(out / build.binaries[0]),
            *flags,
            f"-tags={build.tags}",
            build.package,
        ]
        _run(command, cwd=HERE / "go" / build.module)
    else:
        command += ["install", *flags, f"{build.package}@v{build.version}"]
        _run(command, env={**os.environ, "GOBIN": str(out), "GOFLAGS": "-mod=mod"})
        # "go install" names a program after its package.
        (out / build.package.rsplit("/", 1)[-1]).rename(out / build.binaries[0])


def _install(packages: list[Package], progress: Progress) -> None:
    missing = sorted({p.package for p in packages if not Path(p.path).exists()})
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise ToolError(f"install these Debian packages as root first: {' '.join(missing)}")
    with _locked("apt"), _without_services():
        progress(f"installing {' '.join(missing)}")
        apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        _run([*apt, "update"], env=environment)
        _run([*apt, "install", "--yes", "--no-install-recommends", *missing], env=environment)


@contextmanager
def _without_services() -> Iterator[None]:
    """Keep Debian's packages from starting their daemons, the way invoke-rc.d(8) asks for it."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """Let two processes not build the same thing at once."""
    folder = cache() / "tools"
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"{' '.join(command)}:\n{(done.stderr or done.stdout)[-2000:]}")


def _relink(place: Path, target: Path) -> None:
    temporary = place.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.rename(place)
