"""Kubernetes in Docker: the steps are commands, printed by a dry run and run otherwise."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

from cluster.steps import Steps

NAME = "streaming-monitoring"
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


def missing() -> list[str]:
    """Say what this machine lacks; an empty list if nothing."""
    lacks = [program for program in ("docker", "kind") if shutil.which(program) is None]
    if not lacks and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        lacks.append("a Docker engine that answers")
    return lacks


def commands(kubeconfig: Path) -> list[list[str]]:
    """Return the commands that bring the cluster up, in order."""
    steps = [["kind", "create", "cluster", f"--name={NAME}", f"--kubeconfig={kubeconfig}", "--wait=120s"]]
    steps += [["docker", "build", f"--tag={tag}", *arguments] for tag, arguments in IMAGES.items()]
    steps += [["kind", "load", "docker-image", f"--name={NAME}", *IMAGES]]
    return steps


def up(kubeconfig: Path, steps: Steps, dry_run: bool = False) -> None:
    """Create the cluster if there is none, build our images and load them."""
    for command in commands(kubeconfig):
        text = shlex.join(command)
        if dry_run:
            print(text)
        elif command[1] == "create" and NAME in _clusters():
            steps.say(f"there is a cluster {NAME} already")
            subprocess.run(["kind", "export", "kubeconfig", f"--name={NAME}", f"--kubeconfig={kubeconfig}"], check=True)
        else:
            with steps.step(text):
                subprocess.run(command, check=True)


def down(dry_run: bool = False) -> None:
    """Delete the cluster."""
    command = ["kind", "delete", "cluster", f"--name={NAME}"]
    if dry_run:
        print(shlex.join(command))
    else:
        subprocess.run(command, check=True)


def _clusters() -> list[str]:
    return subprocess.run(["kind", "get", "clusters"], capture_output=True, text=True, check=True).stdout.split()
