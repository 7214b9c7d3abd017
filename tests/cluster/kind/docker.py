"""kind in the Docker of this machine, with its published node image: the steps are commands, which a dry run prints."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

from cluster import tools
from cluster.steps import Steps

from .layout import NAME

# Our images: tag, and what `docker build` is told besides, at the end the folder of the Dockerfile.
IMAGES = {
    "streaming-monitoring/remediator:0.1.0": ["operator/remediator"],
    "streaming-monitoring/data-monitor:0.1.0": ["operator/data_monitor"],
    "streaming-monitoring/data-monitor-report:0.1.0": [
        "--build-arg=REQUIREMENTS=requirements-report.txt",
        "operator/data_monitor",
    ],
    "streaming-monitoring/pipeline:0.1.0": ["examples/pipeline"],
}


def commands(kubeconfig: Path) -> list[list[str]]:
    """Return the commands that bring the cluster up, in order."""
    steps = [["kind", "create", "cluster", f"--name={NAME}", f"--kubeconfig={kubeconfig}", "--wait=120s"]]
    steps += [["docker", "build", f"--tag={tag}", *arguments] for tag, arguments in IMAGES.items()]
    steps += [["kind", "load", "docker-image", f"--name={NAME}", *IMAGES]]
    return steps


def up(kubeconfig: Path, steps: Steps, dry_run: bool = False) -> None:
    """Create the cluster if there is none, build our images and load them. kind is built where it is missing."""
    for command in commands(kubeconfig):
        text = shlex.join(command)
        if dry_run:
            print(text)
        elif command[1] == "create" and NAME in _clusters(steps):
            steps.say(f"there is a cluster {NAME} already")
            _run("kind", "export", "kubeconfig", f"--name={NAME}", f"--kubeconfig={kubeconfig}")
        else:
            with steps.step(text):
                _run(*command)


def down(dry_run: bool = False) -> None:
    """Delete the cluster."""
    command = ["kind", "delete", "cluster", f"--name={NAME}"]
    if dry_run:
        print(shlex.join(command))
    else:
        _run(*command)


def _clusters(steps: Steps) -> list[str]:
    command = [_kind(steps), "get", "clusters"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def _run(*command: str) -> None:
    program, *arguments = command
    subprocess.run([_kind() if program == "kind" else program, *arguments], cwd=tools.ROOT, check=True)


def _kind(steps: Steps | None = None) -> str:
    return shutil.which("kind") or str(tools.ensure(["kind"], steps.say if steps else lambda _: None)["kind"])
