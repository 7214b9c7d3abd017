"""What a build context gets beside the files of its folder: a root file system, jars, binaries.

Each function takes the staged context and the cache folder.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import maven

SUITE = "bookworm"
DEBIAN_INPUTS = (SUITE, "minbase", "ca-certificates", "slim-1")
ON_THE_NODE = ("kubelet", "kubeadm", "crictl")
# Left out of the base: nothing in a container reads them.
UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/cache/apt", "var/lib/apt/lists")


def run(*command: str | Path, **options: object) -> None:
    """Run a command; its output is shown only when it fails."""
    result = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    if result.returncode:
        tail = "\n".join(result.stdout.splitlines()[-30:])
        raise RuntimeError(f"{' '.join(str(part) for part in command)} ended with {result.returncode}:\n{tail}")


def tool(name: str) -> Path:
    """A program of the machine, installed by the cluster's tools when it is missing."""
    from cluster import tools

    return tools.ensure([name])[name]


def debian(context: Path, cache: Path) -> None:
    """A minimal Debian from debootstrap's own mirror, as the tar that the base image's Dockerfile unpacks."""
    archive = cache / "debian" / f"{'-'.join(DEBIAN_INPUTS)}.tar"
    if not archive.is_file():
        archive.parent.mkdir(exist_ok=True)
        _bootstrap(archive)
    shutil.copy2(archive, context / "rootfs.tar")


def _bootstrap(archive: Path) -> None:
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        root = Path(folder) / "root"
        run(tool("debootstrap"), "--variant=minbase", "--include=ca-certificates", SUITE, root)
        for unused in UNUSED:
            shutil.rmtree(root / unused, ignore_errors=True)
            (root / unused).mkdir(parents=True)
        part = Path(folder) / "rootfs.tar"
        run("tar", "-C", root, "--one-file-system", "-cf", part, ".")
        part.rename(archive)


def pause(context: Path, cache: Path) -> None:
    """The program that holds a pod's namespaces: static, so that its image needs nothing else."""
    del cache
    run("gcc", "-Os", "-static", "-o", context / "pause", context / "pause.c")


def jars(folder: str = ".") -> Callable[[Path, Path], None]:
    """The jars that the pom.xml in a folder of the context names, with their dependencies."""

    def fill(context: Path, cache: Path) -> None:
        shutil.copytree(maven.resolve(context / folder / "pom.xml", cache), context / "lib")

    return fill


def programs(*names: str) -> Callable[[Path, Path], None]:
    """Binaries of the machine's tools, under their own names."""

    def fill(context: Path, cache: Path) -> None:
        del cache
        for name in names:
            shutil.copy2(tool(name).resolve(), context / name)

    return fill


def kind_node(context: Path, cache: Path) -> None:
    """What kubeadm, kind and the kubelet run, and the names that kubeadm asks for: all of them one image."""
    from cluster import tools

    programs(*ON_THE_NODE)(context, cache)
    (context / "version").write_text(f"v{tools.KUBERNETES}")
    components = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
    tags = {
        **dict.fromkeys(components, f"v{tools.KUBERNETES}"),
        "etcd": tools.version("etcd"),
        "coredns": tools.version("coredns"),
    }
    (context / "names").write_text("".join(f"localhost/kind/{name}:{tag}\n" for name, tag in tags.items()))


def alertmanager(context: Path, cache: Path) -> None:
    """Debian's Alertmanager reads its notification templates from files, where others have them built in."""
    programs("alertmanager")(context, cache)
    templates = Path("/usr/share/prometheus/alertmanager")
    (context / "templates").mkdir()
    for path in templates.glob("*.tmpl"):
        shutil.copy2(path, context / "templates")
