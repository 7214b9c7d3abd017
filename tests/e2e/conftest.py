"""A cluster with the chart on it. The demo's scenarios are played first; what they leave running serves the rest."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.__main__ import DEFAULT, KUBECONFIG
from cluster.kind import provider as kind
from e2e.incidents import EASY_RATE
from e2e.release import Release

from demo.install import NAMESPACE
from demo.kube import Cluster
from demo.pipeline import Pipeline
from demo.scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]
Played = Callable[[str], Path]


@pytest.fixture(scope="session")
def provider() -> str:
    """The provider that CLUSTER names, or kind where this machine can carry it."""
    chosen = os.environ.get("CLUSTER") or DEFAULT
    if chosen == "kind" and (lacks := kind.missing()):
        pytest.skip(f"no cluster here: no Docker engine answers, and ours needs {', '.join(lacks)}")
    return chosen


@pytest.fixture(scope="session")
def played(provider: str, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Play a scenario, each once; returns the folder of its report. Fails where the demo fails."""
    folders: dict[str, Path] = {}

    def play(scenario: str) -> Path:
        if scenario not in folders:
            folders[scenario] = out = tmp_path_factory.mktemp(scenario)
            command = [sys.executable, "-m", "demo", f"--cluster={provider}", f"--scenario={scenario}", f"--out={out}"]
            environment = {**os.environ, "PYTHONPATH": "tests:."}
            with (out / "demo.log").open("w") as log:
                subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
        said = (folders[scenario] / "demo.log").read_text().splitlines()
        assert (folders[scenario] / "result.json").exists(), "\n".join(
            [f"the demo of {scenario} stopped before its end:", *said[-30:]]
        )
        return folders[scenario]

    return play


@pytest.fixture(scope="session")
def result(played: Played) -> Callable[[str], dict[str, Any]]:
    """What a scenario came to."""
    return lambda scenario: json.loads((played(scenario) / "result.json").read_text())


@pytest.fixture(scope="session")
def cluster(played: Played) -> Cluster:
    """The cluster with the release that the last scenario left, under a load that the job carries easily.

    With E2E_REUSE set, the release that runs already serves, for who works on one of the tests.
    """
    if not os.environ.get("E2E_REUSE"):
        for scenario in SCENARIOS:
            played(scenario)
    cluster = Cluster(KUBECONFIG, NAMESPACE)
    Pipeline(cluster, "HighKafkaLag").set_rate(EASY_RATE)
    return cluster


@pytest.fixture(scope="module")
def release(cluster: Cluster, provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The release, to be upgraded; after the module's tests it is as before."""
    release = Release(cluster, provider, tmp_path_factory.mktemp("release"))
    yield release
    release.upgrade()
