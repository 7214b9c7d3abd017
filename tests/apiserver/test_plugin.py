"""``kubectl frem`` as a person calls it: the real kubectl finds it on the PATH, and an API server answers."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from remediator.api.names import CONTROLLER_LEASE

from apiserver.control_plane import ControlPlane
from apiserver.installation import Installation
from apiserver.world import eventually

ROOT = Path(__file__).parents[2]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def house(installation: Installation) -> Installation:
    """A namespace with a controller."""
    installation.controller(sweep_period="1s")
    return installation


@pytest.fixture
def kubectl(plane: ControlPlane, house: Installation) -> Run:
    """Run kubectl with the plugin, in the namespace; returns exit code, output and errors."""
    path = os.pathsep.join([str(ROOT / ".venv/bin"), str(ROOT / ".tools/bin"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "KUBECONFIG": str(plane.kubeconfig)}

    def run(*words: str) -> tuple[int, str, str]:
        command = ["kubectl", *words, *([] if "__complete" in words else ["-n", house.world.namespace])]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


def done(kubectl: Run, *words: str) -> str:
    code, out, err = kubectl("frem", *words)
    assert code == 0, err
    return out


def test_a_person_looks_and_answers_and_pauses(house: Installation, kubectl: Run) -> None:
    assert kubectl("frem", "list")[1:] == ("", f"no FlinkRemediation in the namespace {house.world.namespace}\n")
    job, receiver = (
        house.world.add("asked", guards={"approval": {"required": True, "timeout": "15m"}}),
        house.receiver(),
    )
    receiver.send(job.alert())
    job.reached("AwaitingApproval")
    name = job.remediation()["metadata"]["name"]
    assert f"approve {name}" in done(kubectl, "show", name)
    assert json.loads(done(kubectl, "list", "-o", "json"))["items"][0]["metadata"]["name"] == name
    done(kubectl, "cancel", name, "first this")
    job.reached("Cancelled", "CancelRequested")
    done(kubectl, "retry", name, "then that")
    job.reached("AwaitingApproval")
    done(kubectl, "deny", name)
    job.reached("Cancelled", "ApprovalDenied")
    done(kubectl, "retry", name)
    job.reached("AwaitingApproval")
    assert "approved. Scale" in done(kubectl, "approve", name)
    job.reached("Succeeded", "Verified")
    assert "Succeeded" in done(kubectl, "list", "-o", "wide")
    managers = {intervention["manager"] for intervention in job.status()["interventions"]}
    assert managers == {"kubectl-frem"}
    assert kubectl("frem", "deny", name) == (
        2,
        "",
        f"error: {name} is Succeeded: there is nothing to deny; to stop one in flight, cancel it\n",
    )
    assert "until" in done(kubectl, "pause", "asked", "--reason", "migration, ada", "--for", "2h")
    assert house.world.get(job.policy_path)["spec"]["guards"]["pauseRequests"]
    assert done(kubectl, "resume").count("not paused") >= 1
    assert not house.world.get(job.policy_path)["spec"]["guards"]["pauseRequests"]


def test_a_person_stops_everything_and_lets_it_go_on(house: Installation, kubectl: Run) -> None:
    job, receiver, waiting = house.world.add("stopped"), house.receiver(), house.controller(sweep_period="1s")
    eventually(lambda: CONTROLLER_LEASE in house.world.leases())
    holder = house.world.leases()[CONTROLLER_LEASE]["spec"]["holderIdentity"]
    assert done(kubectl, "stop", "--reason", "upgrade, ada") == "stopped: upgrade, ada\n"
    eventually(lambda: waiting.metric("remediator_stopped") == 1)
    receiver.send(job.alert())
    assert "Everything is stopped: upgrade, ada." in job.reached("Pending", "Paused")["message"]
    assert kubectl("frem", "list")[2].startswith("Everything is stopped: upgrade, ada.")
    assert done(kubectl, "start") == "not stopped\n"
    job.reached("Succeeded", "Verified")
    eventually(lambda: waiting.metric("remediator_stopped") == 0)
    assert house.world.leases()[CONTROLLER_LEASE]["spec"]["holderIdentity"] == holder


def test_explain_decides_about_what_the_cluster_has(house: Installation, kubectl: Run) -> None:
    job = house.world.add("explained", guards={"pauseRequests": ["ada"]})
    labels = [f"{label}={value}" for label, value in job.alert()["labels"].items()]
    assert "Wait (Paused)" in done(kubectl, "explain", *labels)
    house.receiver().send(job.alert())
    job.reached("Pending", "Paused")
    name = job.remediation()["metadata"]["name"]
    assert f"Record     {name}\nDecision   Wait (Paused)" in done(kubectl, "explain", name)
    job.change_policy({"guards": {"pauseRequests": []}, "mode": "Observe"})
    job.reached("Observed")
    assert "it has ended (Observed)" in done(kubectl, "explain", name)
    # No Service leads to a JobManager here.
    assert "Wait (JobManagerUnreachable)" in done(kubectl, "explain", *labels)
    code, _, err = kubectl("frem", "explain", "alertname=Unknown")
    assert (code, err.startswith("error: no policy answers this alert; there are ")) == (2, True)


def test_kubectl_completes_its_words(house: Installation, kubectl: Run) -> None:
    code, out, _ = kubectl("__complete", "frem", "ap")
    assert code == 0
    assert out.splitlines()[:1] == ["approve"]


def test_doctor_looks_at_the_cluster(house: Installation, kubectl: Run) -> None:
    code, out, _ = kubectl("frem", "doctor", "ml-recommender")
    assert (code, "podmonitor" in out) == (1, True)


def test_what_the_account_may_not_do_is_told(house: Installation, plane: ControlPlane) -> None:
    environment = {**os.environ, "KUBECONFIG": str(house.account("receiver").kubeconfig)}
    command = [ROOT / ".venv/bin/kubectl-frem", "pause", "--reason", "x", "-n", house.world.namespace]
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: 403 Forbidden")
    assert "Traceback" not in refused.stderr
