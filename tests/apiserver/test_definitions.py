"""``remediator crds --apply`` brings the definitions of a cluster up to those of the program."""

import asyncio
import subprocess
import sys

import pytest
from remediator.api import crds

from apiserver.control_plane import ControlPlane

URL = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "remediator", "crds", "--apply", *arguments], capture_output=True, text=True, timeout=60
    )


async def test_what_another_manager_left_behind_is_brought_up_to_date(plane: ControlPlane) -> None:
    name = crds.definitions()[1]["metadata"]["name"]
    old = [{"op": "replace", "path": "/spec/names/shortNames", "value": ["old"]}]
    headers = {"Content-Type": "application/json-patch+json"}
    with plane.client() as client:
        client.patch(f"{URL}/{name}", json=old, headers=headers, params={"fieldManager": "helm"}).raise_for_status()
        for _ in range(2):  # again is no error
            applied = await asyncio.to_thread(command, f"--kubeconfig={plane.kubeconfig}")
            assert (applied.returncode, applied.stderr) == (0, "")
            assert applied.stdout.splitlines() == [
                f"customresourcedefinition.apiextensions.k8s.io/{d['metadata']['name']} applied"
                for d in crds.definitions()
            ]
        assert client.get(f"{URL}/{name}").json()["spec"]["names"]["shortNames"] == ["frem"]


@pytest.mark.parametrize(("file", "told"), [("nowhere", "nowhere: no such file"), ("dead", "no answer from the API")])
def test_a_cluster_that_is_not_there_is_told_in_a_line(plane: ControlPlane, file: str, told: str) -> None:
    dead = plane.write_kubeconfig("dead", "https://127.0.0.1:1")
    failed = command(f"--kubeconfig={dead if file == 'dead' else file}")
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith(told)
    assert "Traceback" not in failed.stderr
