"""Installs the umbrella chart with the example pipeline, the way a user would: one ``helm install``."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from cluster.__main__ import from_packages

from demo.kube import ROOT, Cluster

CHART = ROOT / "charts/streaming-monitoring"
RELEASE = "streaming-monitoring"
NAMESPACE = "streaming"
# Profiles of the chart below the demo's own values. kind shows nothing of its control plane to Prometheus: with the
# defaults, critical alerts about that would fire.
PROFILES = {"kind": ["small-values.yaml", "local-values.yaml"]}


def profiles(provider: str) -> list[Path]:
    """Values files of the chart that suit a provider's cluster."""
    return [CHART / "profiles" / name for name in PROFILES.get(provider, [])]


def last_values(provider: str) -> list[Path]:
    """Values files above the demo's own: what a provider's cluster has not."""
    return [Path(__file__).parent / "values-packages.yaml"] if from_packages(provider) else []


def prepare_chart(provider: str, out: Path) -> Path:
    """Copy the chart and put its dependencies into the copy: the real ones, or stand-ins where nothing is pulled."""
    shutil.rmtree(out, ignore_errors=True)
    if from_packages(provider):
        from cluster.dependency_charts import prepare

        return prepare(CHART, out)
    copy = out / CHART.name
    shutil.copytree(CHART, copy)
    return copy


def install(cluster: Cluster, chart: Path, values: list[Path], progress: Callable[[str], None]) -> None:
    """Install or upgrade the release. Raises CommandError with Helm's words."""
    if not (chart / "charts").is_dir():
        # Not "build", which asks for "helm repo add" first. The versions are exact, so Chart.lock stays as it is.
        cluster.helm("dependency", "update", chart)
        progress("dependencies downloaded")
    arguments = [f"--values={file}" for file in values]
    if registry := os.environ.get("IMAGE_REGISTRY"):
        arguments.append(f"--set=image.registry={registry}")
    cluster.helm("upgrade", "--install", RELEASE, chart, "--create-namespace", "--timeout=10m", *arguments)


def uninstall(cluster: Cluster, progress: Callable[[str], None]) -> None:
    """Remove what an earlier demo left, so that each one starts from nothing."""
    namespaces = {item["metadata"]["name"] for item in cluster.get("/api/v1/namespaces")["items"]}
    if NAMESPACE not in namespaces:
        return
    progress("removing the release of an earlier demo")
    if any(release["name"] == RELEASE for release in json.loads(cluster.helm("list", "--all", "--output=json"))):
        cluster.helm("uninstall", RELEASE, "--wait", "--timeout=5m")
    cluster.kubectl("delete", "namespace", NAMESPACE, "--timeout=180s")
