"""Both roles as processes of their own, each under its account of the chart."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from ports import free_port

from apiserver.accounts import Account, Chart
from apiserver.control_plane import ControlPlane
from apiserver.outside import Outside
from apiserver.world import Resource, World, eventually

TOKEN = "the-right-token"


class Process:
    """A role of the remediator."""

    def __init__(self, role: str, log: Path, **options: Any) -> None:
        self._log = log
        self.metrics_port = free_port()
        options["metrics_port"] = self.metrics_port
        lists = {name: value if isinstance(value, list) else [value] for name, value in options.items()}
        flags = [f"--{name.replace('_', '-')}={value}" for name, values in lists.items() for value in values]
        with log.open("ab") as file:
            command = [sys.executable, "-m", "remediator", role, *flags]
            self._process = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ})
        self.pid = self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs; negative for a signal."""
        return self._process.poll()

    def probe(self, path: str) -> int | None:
        """Return the status of an HTTP answer, or None if there is none."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=5).status_code
        except httpx.HTTPError:
            return None

    def metric(self, name: str) -> float:
        """Return the sum of the series of a metric (its name may carry labels); 0 if there is none."""
        text = httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5).text
        values = re.findall(rf"^{re.escape(name)}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, values))

    def log(self) -> str:
        """Return what it has written so far."""
        return self._log.read_text(errors="replace")

    def kill(self) -> None:
        """End it at once, as a node that fails would."""
        self._process.kill()
        self._process.wait()

    def terminate(self, seconds: float = 60) -> int:
        """Ask it to end, as Kubernetes does; returns the exit code."""
        self._process.terminate()
        return self._process.wait(seconds)


class Receiver(Process):
    """The receiver, and a client that carries its token."""

    def __init__(self, log: Path, token_file: Path, **options: Any) -> None:
        token_file.write_text(TOKEN + "\n")
        self.token_file = token_file
        self.port = options.setdefault("port", free_port())
        super().__init__("receiver", log, token_file=token_file, **options)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=30)

    def ready(self) -> bool:
        """Whether its readiness probe passes."""
        assert self.exit_code is None, self.log()
        try:
            return self.client.get("/readyz").is_success
        except httpx.HTTPError:
            return False

    def send(self, *alerts: Resource) -> Resource:
        """Post a notification; returns the receipt."""
        answer: Resource = self.client.post("/alerts", json=World.webhook(*alerts)).raise_for_status().json()
        return answer


class Installation:
    """A world with the chart's accounts, in which processes are started."""

    def __init__(self, plane: ControlPlane, chart: Chart, world: World, outside: Outside, folder: Path) -> None:
        self._plane, self._chart, self._folder = plane, chart, folder
        self.world, self.outside = world, outside
        self.processes: list[Process] = []
        chart.grant(world.client, world.namespace)

    def account(self, role: str, server: str = "") -> Account:
        """Return the account of a role, which reaches the API server at an address."""
        return self._chart.account(self._plane, self.world.namespace, role, server)

    def client(self, role: str) -> httpx.Client:
        """Return a client with a role's rights."""
        return self._plane.client(self.account(role).token)

    def controller(self, server: str = "", **options: Any) -> Process:
        """Start a controller."""
        process = Process(
            "controller",
            self._folder / f"controller-{len(self.processes)}.log",
            namespace=self.world.namespace,
            kubeconfig=self.account("controller", server).kubeconfig,
            prometheus_url=self.outside.prometheus_url,
            flink_rest_url_template=self.outside.flink_rest_url_template,
            **options,
        )
        self.processes.append(process)
        return process

    def receiver(self, server: str = "", **options: Any) -> Receiver:
        """Start a receiver and wait until it is ready."""
        process = Receiver(
            self._folder / f"receiver-{len(self.processes)}.log",
            self._folder / f"token-{len(self.processes)}",
            namespace=self.world.namespace,
            kubeconfig=self.account("receiver", server).kubeconfig,
            **options,
        )
        self.processes.append(process)
        eventually(process.ready)
        return process

    def close(self) -> None:
        """End what still runs; pytest shows the logs of a test that failed."""
        for process in self.processes:
            if process.exit_code is None:
                process.kill()
            print(process.log())


@contextmanager
def installed(
    plane: ControlPlane, chart: Chart, outside: Outside, namespace: str, folder: Path
) -> Iterator[Installation]:
    """Make a namespace with everything in it."""
    with plane.client() as client:
        installation = Installation(plane, chart, World(client, namespace), outside, folder)
        try:
            yield installation
        finally:
            installation.close()
