"""A real etcd and kube-apiserver on loopback: no nodes, no controllers."""

import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from ports import free_port


class ControlPlane:
    """etcd and kube-apiserver; the API server can be stopped and started again on the same data and port."""

    def __init__(self, etcd: Path, kube_apiserver: Path, folder: Path) -> None:
        self._etcd_binary, self._apiserver_binary, self._folder = etcd, kube_apiserver, folder
        self._etcd_port, self.port = free_port(), free_port()
        self._token = secrets.token_hex(16)
        self._etcd: subprocess.Popen[bytes] | None = None
        self._apiserver: subprocess.Popen[bytes] | None = None
        (folder / "tokens.csv").write_text(f"{self._token},admin,admin,system:masters\n")
        subprocess.run(["openssl", "genrsa", "-out", str(folder / "sa.key"), "2048"], check=True, capture_output=True)
        self.kubeconfig = self.write_kubeconfig("kubeconfig")
        self.authority = folder / "certificates/apiserver.crt"
        """Certificate that the API server made for itself; there once it has started."""

    def write_kubeconfig(self, name: str, server: str = "", token: str = "") -> Path:
        """Write a kubeconfig for a server's address and a token; without them the API server's and the
        administrator's."""
        server = server or f"https://127.0.0.1:{self.port}"
        cluster: dict[str, Any] = {"server": server}
        if server.startswith("https"):
            cluster["insecure-skip-tls-verify"] = True  # a certificate that the API server made for itself
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "user", "user": {"token": token or self._token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
            "current-context": "test",
        }
        path = self._folder / name
        path.write_text(yaml.safe_dump(document))
        return path

    def client(self, token: str = "") -> httpx.Client:
        """Return a client with a token's rights; without one, the administrator's."""
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.port}",
            verify=False,
            headers={"Authorization": f"Bearer {token or self._token}"},
            timeout=60,
            # Where many threads share it, one that closes what is above a limit may close what another has just taken.
            limits=httpx.Limits(max_keepalive_connections=None),
        )

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl as the administrator. Raises CalledProcessError; its ``stderr`` says why."""
        # One program for all components, which goes by its name.
        kubectl = self._apiserver_binary.parent / "kubectl"
        command = [str(kubectl), f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def start_etcd(self) -> None:
        """Start etcd; the API server waits for it."""
        url, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{free_port()}"
        self._etcd = self._spawn(
            self._etcd_binary,
            f"--data-dir={self._folder / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        )

    def start_api_server(self, seconds: float = 180) -> None:
        """Start kube-apiserver and wait until it is ready."""
        key = str(self._folder / "sa.key")
        self._apiserver = self._spawn(
            self._apiserver_binary,
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--cert-dir={self._folder / 'certificates'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            # There is no controller-manager that would make the account's token.
            "--disable-admission-plugins=ServiceAccount",
        )
        deadline = time.monotonic() + seconds
        with self.client() as client:
            while time.monotonic() < deadline:
                try:
                    if client.get("/readyz").is_success:
                        return
                except httpx.HTTPError:
                    pass
                if self._apiserver.poll() is not None:
                    break
                time.sleep(0.2)
        log = (self._folder / "kube-apiserver.log").read_text()[-2000:]
        raise RuntimeError(f"kube-apiserver is not ready:\n{log}")

    def stop_api_server(self) -> None:
        """Kill kube-apiserver; what it stored stays in etcd."""
        _end(self._apiserver)
        self._apiserver = None

    def stop(self) -> None:
        """End both processes."""
        self.stop_api_server()
        _end(self._etcd)

    def _spawn(self, binary: Path, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{binary.name}.log").open("ab") as log:
            return subprocess.Popen([str(binary), *arguments], stdout=log, stderr=log, env={**os.environ})


@contextmanager
def control_plane(etcd: Path, kube_apiserver: Path, folder: Path) -> Iterator[ControlPlane]:
    """Run a control plane as long as the block lasts."""
    plane = ControlPlane(etcd, kube_apiserver, folder)
    plane.start_etcd()
    try:
        plane.start_api_server()
        yield plane
    finally:
        plane.stop()


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None:
        process.kill()
        process.wait()
