"""Which images there are, what each is built on, and what goes into its build context."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster import tools

from . import contents

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]

# What the pipeline's image is built for: unless told otherwise, and on demand.
FLINK = "1.19"
OTHER_FLINKS = ("1.20", "2.2")

# Fills a staged build context with what the repository does not hold (jars, binaries, a root file system).
Fill = Callable[[Path, Path], None]


@dataclass(frozen=True)
class Image:
    name: str
    reference: str
    context: Path
    base: str | None = None
    fill: Fill | None = None
    # What `fill` adds, in words that change when it does: part of the image's key.
    inputs: tuple[str, ...] = ()
    # Folders copied into the context under a name of their own.
    extra: dict[str, Path] = field(default_factory=dict)
    # Other images of which the archives go into the context's folder images/.
    archives: tuple[str, ...] = ()
    # Build arguments beside the base image.
    arguments: dict[str, str] = field(default_factory=dict)
    # Too large to be in every cluster: built and loaded for who asks for it.
    on_demand: bool = False


def _ours(name: str, folder: str, base: str, fill: Fill | None = None, **other: Any) -> Image:
    """An image of the product: the references the chart uses, in the long form that containerd looks up."""
    return Image(name, f"docker.io/streaming-monitoring/{name}:0.1.0", REPOSITORY / folder, base, fill, **other)


_MONITORING = (
    ("alertmanager", "0.25.0", contents.alertmanager),
    ("node-exporter", "1.5.0", None),
    ("prometheus", "3.16.0", None),
    ("prometheus-operator", "0.85.0", None),
    ("prometheus-config-reloader", "0.85.0", None),
)
# What the node of kind runs in pods; contents.ON_THE_NODE is what it runs beside them.
_IN_PODS = ("kube-apiserver", "etcd", "coredns", "local-path-provisioner")
_ALL = (
    Image("pause", "localhost/pause:1", HERE / "pause", fill=contents.pause, on_demand=True),
    Image("debian", "localhost/debian:bookworm", HERE / "debian", fill=contents.debian, inputs=contents.DEBIAN_INPUTS),
    Image("python", "localhost/python:bookworm", HERE / "python", base="debian"),
    Image("java", "localhost/java:17", HERE / "java", base="python"),
    Image("kafka", "localhost/kafka:4.4.0", HERE / "kafka", base="java", fill=contents.jars()),
    Image(
        "flink-kubernetes-operator",
        "localhost/flink-kubernetes-operator:1.7.0",
        HERE / "flink_operator",
        base="java",
        fill=contents.jars(),
    ),
    Image(
        "strimzi-standin",
        "localhost/strimzi-standin:0.1.0",
        HERE / "strimzi",
        base="python",
        extra={"strimzi_standin": HERE.parent / "strimzi_standin"},
    ),
    _ours("remediator", "operator/remediator", "python"),
    _ours("data-monitor", "operator/data_monitor", "python"),
    _ours(
        "data-monitor-report",
        "operator/data_monitor",
        "python",
        arguments={"REQUIREMENTS": "requirements-report.txt"},
        on_demand=True,
    ),
    _ours("pipeline", "examples/pipeline", "java", contents.jars(f"flink/{FLINK}")),
    *(
        _ours(
            f"pipeline-{flink}",
            "examples/pipeline",
            "java",
            contents.jars(f"flink/{flink}"),
            arguments={"FLINK": flink},
            on_demand=True,
        )
        for flink in OTHER_FLINKS
    ),
    # Last, because their programs take long to compile.
    *(
        Image(
            name,
            f"localhost/{name}:{version}",
            HERE / "monitoring" / name,
            base="debian",
            fill=fill or contents.programs(name),
            inputs=(version,),
        )
        for name, version, fill in _MONITORING
    ),
    # For kind, where no image of a node can be pulled.
    Image(
        "kubernetes",
        "localhost/kubernetes:kind",
        HERE / "kubernetes",
        base="debian",
        fill=contents.programs(*_IN_PODS),
        inputs=tuple(tools.version(name) for name in _IN_PODS),
        on_demand=True,
    ),
    Image(
        "kind-node",
        f"localhost/kind-node:{tools.KUBERNETES}",
        HERE / "kind_node",
        base="debian",
        fill=contents.kind_node,
        inputs=(tools.version("crictl"),),
        archives=("kubernetes", "pause"),
        on_demand=True,
    ),
)

IMAGES = {image.name: image for image in _ALL}

# What a cluster needs with the umbrella chart: everything but the bases.
DEFAULT = tuple(image.name for image in _ALL if image.name not in {"debian", "python", "java"} and not image.on_demand)

# Programs of the machine's tools that images are made of.
PROGRAMS = (*(name for name, _, _ in _MONITORING), *_IN_PODS, *contents.ON_THE_NODE)
