"""The cluster that the demo and the end-to-end tests run on: ``python -m cluster up|down|status|tools``."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from cluster import tools
from cluster.errors import ProviderError
from cluster.kind import docker
from cluster.kind import provider as kind
from cluster.steps import Steps

KUBECONFIG = tools.ROOT / "build/cluster/kubeconfig"
PROVIDERS = ("existing", "kind")
DEFAULT = "kind"


def from_packages(provider: str) -> bool:
    """Tell whether a provider's cluster can pull nothing: it has our images, and stand-ins for the dependencies."""
    return provider == "kind" and kind.from_packages()


def up(provider: str, steps: Steps, dry_run: bool = False) -> None:
    """Bring a cluster up and write its kubeconfig to build/cluster/kubeconfig. Raises ProviderError, ToolError."""
    if dry_run:
        if provider != "kind":
            raise ProviderError("only kind has a dry run: its steps are commands")
        docker.up(KUBECONFIG, steps, dry_run)
        return
    KUBECONFIG.parent.mkdir(parents=True, exist_ok=True)
    if provider == "kind":
        kind.up(KUBECONFIG, steps)
    else:
        source = Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube/config")
        if not source.is_file():
            raise ProviderError(f"the existing provider needs a kubeconfig; there is none at {source}")
        shutil.copyfile(source, KUBECONFIG)
        KUBECONFIG.chmod(0o600)
    with steps.step("tools in .tools/bin"):
        tools.link(("helm", "kubectl"), steps.say)


def down(provider: str, dry_run: bool = False) -> None:
    """Take the cluster down; an existing one is left as it is."""
    if provider == "kind":
        docker.down(dry_run) if dry_run else kind.down()
    if not dry_run:
        KUBECONFIG.unlink(missing_ok=True)


def add_images(provider: str, names: Iterable[str], steps: Steps) -> None:
    """Load images that are too large to be in every cluster; an existing cluster pulls them."""
    if provider == "kind":
        kind.add_images(names, steps)


def status(provider: str) -> int:
    """Print what runs; returns 0 if the cluster answers."""
    for name, alive in (kind.status() if provider == "kind" else {}).items():
        print(f"{name:<36} {'runs' if alive else 'does not run'}")
    if not KUBECONFIG.exists():
        print("no kubeconfig: make cluster-up")
        return 1
    kubectl = str(tools.ensure(["kubectl"])["kubectl"])
    return subprocess.run([kubectl, f"--kubeconfig={KUBECONFIG}", "get", "nodes", "-o", "wide"], check=False).returncode


def main() -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status", "tools"])
    parser.add_argument("--provider", choices=PROVIDERS, default=DEFAULT, help="default: %(default)s")
    parser.add_argument("--dry-run", action="store_true", help="kind: print the commands of a machine with Docker")
    arguments = parser.parse_args()
    provider, steps = arguments.provider, Steps()
    try:
        match arguments.command:
            case "up":
                up(provider, steps, arguments.dry_run)
                if not arguments.dry_run:
                    steps.say(f"up ({provider}): export KUBECONFIG={KUBECONFIG}")
            case "down":
                down(provider, arguments.dry_run)
            case "status":
                return status(provider)
            case _:
                tools.link(progress=steps.say)
    except (ProviderError, tools.ToolError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
