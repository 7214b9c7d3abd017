"""``remediator backtest`` on the Prometheus that has seen a scenario of the demo finds the incident, and decides as the
controller did. It goes first: later tests play incidents of their own."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
from ports import free_port

from demo.install import NAMESPACE
from demo.kube import BIN, Cluster, wait_for
from demo.pipeline import PIPELINE
from demo.scenarios import SCENARIOS

LAST = list(SCENARIOS)[-1]
"""The scenario of the release that is there; each has a Prometheus of its own."""
MARGIN = timedelta(minutes=10)
"""Around the incident; long enough for what is assumed of an action to come to its end."""


@contextmanager
def prometheus(cluster: Cluster) -> Iterator[str]:
    """Forward a port to the chart's Prometheus; yields its URL."""
    port = free_port()
    command = [str(BIN / "kubectl"), f"--kubeconfig={cluster.kubeconfig}", "-n", NAMESPACE]
    process = subprocess.Popen([*command, "port-forward", "svc/kps-prometheus", f"{port}:9090"], stdout=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for("Prometheus answers", lambda: httpx.get(f"{url}/-/ready").is_success, 60)
        yield url
    finally:
        process.terminate()
        process.wait()


def backtest(cluster: Cluster, *arguments: str) -> dict[str, Any]:
    """Run the command with the policies and FlinkDeployments of the cluster."""
    command = [sys.executable, "-m", "remediator", "backtest", f"--kubeconfig={cluster.kubeconfig}", "-n", NAMESPACE]
    done = subprocess.run([*command, "-o", "json", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_finds_the_incident_and_decides_as_the_controller_did(
    cluster: Cluster, result: Callable[[str], dict[str, Any]]
) -> None:
    record = result(LAST)["remediation"]
    began = datetime.fromisoformat(record["metadata"]["creationTimestamp"])
    ended = datetime.fromisoformat(record["status"]["times"]["finished"])
    over = (f"--from={(began - MARGIN).isoformat()}", f"--to={(ended + MARGIN).isoformat()}")
    with prometheus(cluster) as url:
        found = backtest(cluster, f"--prometheus={url}", "--step=5s", *over, "--outcome=no-effect")
    alert = SCENARIOS[LAST].alert
    (incident,) = [one for one in found["incidents"] if one["labels"]["alertname"] == alert]
    assert incident["target"] == f"{NAMESPACE}/{PIPELINE}"
    assert incident["policy"] == record["spec"]["policyRef"]["name"]
    # The alert's own times: a record is there within seconds of them.
    assert abs(datetime.fromisoformat(incident["began"]) - began) < timedelta(seconds=30)
    acts = [step["what"] for step in incident["steps"] if step["kind"] == "act"]
    assert acts == [attempt["action"].split()[0] for attempt in record["status"]["attempts"]]
    assert incident["phase"] == record["status"]["phase"]
