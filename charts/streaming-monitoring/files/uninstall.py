"""Delete a FlinkDeployment and wait until it is gone, before its operator goes: runs as a hook of helm uninstall.

Helm removes operators and what they manage at the same time, and an object that waits for the finalizer of an
operator that is gone stays for ever. Standard library only, so that any image with Python can run it.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Api:
    """The API server, by the pod's service account."""

    def __init__(self, address: str, token: str, authority: Path | None) -> None:
        self._address = address
        self._token = token
        self._tls = ssl.create_default_context(cafile=str(authority)) if authority else None

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any] | None:
        """Make a request; None means that the object does not exist."""
        request = urllib.request.Request(self._address + path, method=method)  # noqa: S310 (the address is ours)
        request.add_header("Authorization", f"Bearer {self._token}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/merge-patch+json")
        try:
            with urllib.request.urlopen(request, timeout=10, context=self._tls) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise


def remove(api: Api, path: str, patience: float, pause: float = 2) -> str:
    """Delete the object and wait; returns what happened, in words."""
    if api.call("DELETE", path) is None:
        return "there was none"
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if api.call("GET", path) is None:
            return "deleted"
        time.sleep(pause)
    # Its pods belong to it and go with it; only Flink's own high-availability ConfigMaps may be left.
    api.call("PATCH", path, {"metadata": {"finalizers": None}})
    return f"Flink's operator did not answer for {patience:.0f} s; deleted without it"


def main(namespace: str, name: str, patience: str) -> None:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    address = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    api = Api(address, (ACCOUNT / "token").read_text(), ACCOUNT / "ca.crt")
    path = f"/apis/flink.apache.org/v1beta1/namespaces/{namespace}/flinkdeployments/{name}"
    print(f"FlinkDeployment {namespace}/{name}: {remove(api, path, float(patience))}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
