"""Brings the kind cluster up and down, in this machine's engine or in our own. ``up`` may be called at any time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cluster.errors import ProviderError
from cluster.steps import Steps

from . import docker, engine, layout, packages


def from_packages() -> bool:
    """Tell whether the cluster is made here: no engine of this machine answers, or one of our own holds it already."""
    return layout.STATE.exists() or not engine.answers()


def missing() -> list[str]:
    """Say what this machine lacks; an empty list if nothing."""
    return packages.missing() if from_packages() else []


def up(kubeconfig: Path, steps: Steps) -> None:
    """Bring the cluster up with our images in it. Raises ProviderError."""
    if lacks := missing():
        raise ProviderError(f"kind needs a Docker engine that answers, or: {', '.join(lacks)}")
    if from_packages():
        packages.up(kubeconfig, steps)
    else:
        docker.up(kubeconfig, steps)


def down() -> None:
    """Take the cluster down, whatever state it is in, and our own engine with it."""
    if from_packages():
        engine.KIND.stop()
    else:
        docker.down()


def add_images(names: Iterable[str], steps: Steps) -> None:
    """Load images that are made on demand; with the machine's Docker they are there from the beginning."""
    if from_packages():
        packages.add_images(names, steps)


def status() -> dict[str, bool]:
    """Tell for each part whether it runs, where the engine is our own."""
    return packages.status() if from_packages() else {}
