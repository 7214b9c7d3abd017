"""`docker build` makes our images from their Dockerfiles. Where an engine answers, `make cluster-up` shows it; else
an engine of our own does, on bases from packages, in the machine's own network."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import images, tools
from cluster.cgroups import Cgroup
from cluster.images import builder, context
from cluster.kind import docker, engine, packages

NAME = "streaming-monitoring-docker-build"
# What shows that an image starts.
STARTED = {
    "remediator": ("--version",),
    "data-monitor": ("--version",),
    "data-monitor-report": ("--version",),
    "pipeline": ("flink", "--version"),
}


@pytest.fixture(scope="module")
def own() -> Iterator[engine.Engine]:
    """An engine that builds, and gives containers no network."""
    if engine.answers():
        pytest.skip("a Docker engine answers: make cluster-up builds with it")
    if lacks := packages.missing():
        pytest.skip(f"an engine of our own needs {', '.join(lacks)}")
    own = engine.Engine(Path("/var/lib") / NAME, Cgroup(NAME), None)
    own.start(tools.ensure(["dockerd", "docker", "runc"])["dockerd"])
    yield own
    own.stop()


def base(own: engine.Engine, name: str, folder: Path) -> str:
    """Load a base of ours, with the authorities and pip settings of the machine; returns its tag."""
    own.docker("load", f"--input={images.build(tools.cache(), [name])[name]}")
    places = [path for path in (builder.AUTHORITIES, builder.PIP_CONFIGURATION) if path.is_file()]
    for path in places:
        shutil.copy(path, folder)
    copies = [f"COPY {path.name} {path}" for path in places]
    (folder / "Dockerfile").write_text("\n".join([f"FROM {images.IMAGES[name].reference}", *copies]))
    own.docker("build", f"--tag=localhost/base-{name}", str(folder))
    return f"localhost/base-{name}"


@pytest.mark.long
@pytest.mark.parametrize(("tag", "arguments"), docker.IMAGES.items(), ids=list(STARTED))
def test_docker_builds_what_starts(own: engine.Engine, tmp_path: Path, tag: str, arguments: list[str]) -> None:
    image = images.IMAGES[tag.split("/")[1].split(":")[0]]
    source, below = tmp_path / "source", tmp_path / "base"
    below.mkdir()
    context.stage({".": tools.ROOT / arguments[-1]}, source)
    if image.fill:
        image.fill(source, tools.cache())  # the jars: Maven in a build would not trust the machine's authorities
    from_base = f"--build-arg=BASE_IMAGE={base(own, image.base, below)}"
    own.docker("build", "--network=host", from_base, f"--tag={tag}", *arguments[:-1], str(source))
    assert own.docker("run", "--rm", "--network=none", tag, *STARTED[image.name]).strip()
