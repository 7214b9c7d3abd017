"""Real Alertmanagers on loopback, alone or as a cluster. Alerts are put into them as Prometheus would."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import yaml
from ports import free_port

from apiserver.installation import TOKEN, Receiver
from apiserver.world import Resource, eventually

FIRES_FOR = timedelta(minutes=4)
"""How long an alert is good for without news of it, as Prometheus tells (four evaluation intervals)."""


class Alertmanager:
    """An Alertmanager that tells the receiver at a port, or nobody."""

    def __init__(self, binary: Path, folder: Path, receiver_port: int = 0, clustered: bool = False) -> None:
        self._binary, self._folder = binary, folder
        self._port, self._gossip = free_port(), free_port() if clustered else 0
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"
        self.peers: Sequence[Alertmanager] = ()
        """The others of its cluster."""
        webhook = {
            "url": f"http://127.0.0.1:{receiver_port}/alerts",
            "http_config": {"authorization": {"type": "Bearer", "credentials": TOKEN}},
        }
        route = {"receiver": "remediator", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"}
        receivers = [{"name": "remediator", "webhook_configs": [webhook] if receiver_port else []}]
        folder.mkdir(exist_ok=True)
        (folder / "alertmanager.yml").write_text(yaml.safe_dump({"route": route, "receivers": receivers}))

    def start(self) -> None:
        """Start it, knowing nothing, and wait until it is ready."""
        arguments = [
            f"--config.file={self._folder / 'alertmanager.yml'}",
            f"--storage.path={self._folder / str(datetime.now(UTC).timestamp())}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            f"--cluster.listen-address={f'127.0.0.1:{self._gossip}' if self._gossip else ''}",
            *(f"--cluster.peer=127.0.0.1:{peer._gossip}" for peer in self.peers),
        ]
        if self._gossip:
            # How long the second one leaves it to the first to notify, and how soon they find each other again.
            arguments += ["--cluster.peer-timeout=1s", "--cluster.reconnect-interval=1s", "--cluster.settle-timeout=1s"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([str(self._binary), *arguments], stdout=log, stderr=log)
        eventually(self._ready)

    def stop(self) -> None:
        """End it; what it knew is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def in_cluster(self) -> bool:
        """Whether it knows what all of its peers know."""
        try:
            cluster = httpx.get(f"{self.url}/api/v2/status", timeout=30).raise_for_status().json()["cluster"]
        except httpx.HTTPError:
            return False
        return cluster["status"] == "ready" and len(cluster.get("peers") or ()) == len(self.peers) + 1

    def put(self, *alerts: Resource) -> None:
        """Send alerts, as Prometheus does again and again while they fire, and for a while when they have ended."""
        until = (datetime.now(UTC) + FIRES_FOR).isoformat()
        body = [{k: a[k] for k in ("labels", "startsAt")} | {"endsAt": a.get("endsAt", until)} for a in alerts]
        httpx.post(f"{self.url}/api/v2/alerts", json=body, timeout=30).raise_for_status()

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready").is_success
        except httpx.HTTPError:
            return False


def binary() -> Path:
    """Return the program."""
    from cluster import tools

    return tools.ensure(["alertmanager"])["alertmanager"]


@contextmanager
def running(folder: Path, receiver: Receiver | None = None) -> Iterator[Alertmanager]:
    """Run one as long as the block lasts."""
    alertmanager = Alertmanager(binary(), folder, receiver.port if receiver else 0)
    alertmanager.start()
    try:
        yield alertmanager
    finally:
        alertmanager.stop()
