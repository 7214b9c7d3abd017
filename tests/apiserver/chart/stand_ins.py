"""What a control plane without nodes and controllers lacks when a release comes and goes: a stand-in for the kubelet,
which runs the Pods of hook Jobs, and one for Flink's operator, which holds its FlinkDeployments by a finalizer."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from apiserver.control_plane import ControlPlane

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
FINALIZER = "flinkdeployments.flink.apache.org/finalizer"
MERGE = {"Content-Type": "application/merge-patch+json"}

Object = dict[str, Any]


class Kubelet:
    """Runs the container of each Job as a process: the real script, with a token of the Job's own account."""

    def __init__(self, plane: ControlPlane, namespace: str, folder: Path) -> None:
        self._plane, self._namespace, self._folder = plane, namespace, folder
        self.ran: dict[str, str] = {}
        """What the Jobs printed, by their names."""

    def look(self, client: httpx.Client) -> None:
        """Run what waits to be run."""
        jobs = f"/apis/batch/v1/namespaces/{self._namespace}/jobs"
        for job in client.get(jobs).json().get("items", []):
            if not job["status"].get("conditions"):
                status = self._run(client, job)
                name = job["metadata"]["name"]
                client.patch(f"{jobs}/{name}/status", json={"status": status}, headers=MERGE).raise_for_status()

    def _run(self, client: httpx.Client, job: Object) -> Object:
        started = _now()
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        folder = self._folder / job["metadata"]["uid"]
        replaced = {ACCOUNT: str(folder / "account"), **self._mounts(client, pod, container, folder)}
        self._account(client, pod["serviceAccountName"], folder / "account")
        arguments = []
        for argument in container["args"]:
            for where, place in replaced.items():
                argument = argument.replace(where, place)
            arguments.append(argument)
        assert container["command"] == ["python3", "-c"]
        environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self._plane.port)}
        done = subprocess.run(
            [sys.executable, "-c", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
            timeout=120,
        )
        self.ran[job["metadata"]["name"]] = done.stdout + done.stderr
        return _finished(started, done.returncode == 0)

    def _mounts(self, client: httpx.Client, pod: Object, container: Object, folder: Path) -> dict[str, str]:
        """Write the ConfigMaps that the container mounts; gives the folders by the paths in the container."""
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        found = {}
        for mount in container.get("volumeMounts", []):
            name = volumes[mount["name"]]["configMap"]["name"]
            data = client.get(f"/api/v1/namespaces/{self._namespace}/configmaps/{name}").json()["data"]
            place = folder / mount["name"]
            place.mkdir(parents=True)
            for key, text in data.items():
                (place / key).write_text(text)
            found[mount["mountPath"]] = str(place)
        return found

    def _account(self, client: httpx.Client, account: str, place: Path) -> None:
        url = f"/api/v1/namespaces/{self._namespace}/serviceaccounts/{account}/token"
        answer = client.post(url, json={"spec": {"expirationSeconds": 600}}).raise_for_status()
        place.mkdir(parents=True)
        (place / "token").write_text(answer.json()["status"]["token"])
        (place / "ca.crt").write_bytes(self._plane.authority.read_bytes())


class FlinkOperator:
    """Puts its finalizer on FlinkDeployments, and takes it off those that are being deleted."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def look(self, client: httpx.Client) -> None:
        """Look at all FlinkDeployments once."""
        path = f"/apis/flink.apache.org/v1beta1/namespaces/{self._namespace}/flinkdeployments"
        answer = client.get(path)
        for o in answer.json()["items"] if answer.is_success else []:
            metadata = o["metadata"]
            wanted = [] if "deletionTimestamp" in metadata else [FINALIZER]
            if metadata.get("finalizers", []) != wanted:
                body = {"metadata": {"finalizers": wanted}}
                client.patch(f"{path}/{metadata['name']}?fieldManager=flink-operator", json=body, headers=MERGE)


@contextmanager
def looking(plane: ControlPlane, *looks: Callable[[httpx.Client], None]) -> Iterator[None]:
    """Look again and again as long as the block lasts, each in a thread; their errors come after the block."""
    stop = threading.Event()

    def run(look: Callable[[httpx.Client], None]) -> None:
        with plane.client() as client:
            while not stop.wait(0.1):
                look(client)

    with ThreadPoolExecutor() as threads:
        running = [threads.submit(run, look) for look in looks]
        try:
            yield
        finally:
            stop.set()
        for one in running:
            one.result()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _finished(started: str, succeeded: bool) -> Object:
    """The status that the Job's controller would write."""
    types = ["SuccessCriteriaMet", "Complete"] if succeeded else ["FailureTarget", "Failed"]
    now = _now()
    conditions = [
        {"type": kind, "status": "True", "lastProbeTime": now, "lastTransitionTime": now, "reason": "StandIn"}
        for kind in types
    ]
    if succeeded:
        return {"startTime": started, "completionTime": now, "succeeded": 1, "conditions": conditions}
    return {"startTime": started, "failed": 1, "conditions": conditions}
