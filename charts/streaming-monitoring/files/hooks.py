"""What Helm itself does not do, as hooks of the chart. Standard library only: any image with Python can run it.

uninstall NAMESPACE NAME SECONDS: delete a FlinkDeployment and wait until it is gone, before its operator goes. Helm
removes operators and what they manage at the same time, and an object that waits for the finalizer of an operator
that is gone stays for ever.

apply-crds FILE...: bring our definitions up to date. Helm installs what is in crds/ once and never touches it again.

check-receiver ADDRESS [CA]: is the receiver ready, and does it refuse a delivery without the token? For "helm test".
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"  # JSON is YAML
ATTEMPTS = 10  # after its definition has changed, a kind cannot be listed for a moment
MANAGER = "helm"  # Helm 4 applies definitions at install: under another name a later install would be a conflict


class Api:
    """The API server, by the pod's service account."""

    def __init__(self, address: str, token: str, authority: Path | None, pause: float = 2) -> None:
        self._address = address
        self._pause = pause
        self._token = token
        self._tls = ssl.create_default_context(cafile=str(authority)) if authority else None

    def call(self, method: str, path: str, body: object = None, content_type: str = MERGE) -> dict[str, Any] | None:
        """Make a request; None means that the object does not exist. A server that is busy is asked again."""
        request = urllib.request.Request(self._address + path, method=method)  # noqa: S310 (the address is ours)
        request.add_header("Authorization", f"Bearer {self._token}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", content_type)
        trouble = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                print(f"{method} {path}: {trouble}; trying again", file=sys.stderr)
                time.sleep(self._pause)
            try:
                with urllib.request.urlopen(request, timeout=10, context=self._tls) as answer:  # noqa: S310
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return None
                trouble = f"{error.code} {error.read().decode(errors='replace').strip()}"
                if error.code != 429 and error.code < 500:
                    break
            except OSError as error:
                trouble = str(error)
        raise SystemExit(f"{method} {path}: {trouble}")


def connect() -> Api:
    """Connect from inside a pod."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    address = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Api(address, (ACCOUNT / "token").read_text(), ACCOUNT / "ca.crt")


def uninstall(api: Api, namespace: str, name: str, patience: float, pause: float = 2) -> str:
    """Delete the FlinkDeployment and wait; returns what happened, in words."""
    path = f"/apis/flink.apache.org/v1beta1/namespaces/{namespace}/flinkdeployments/{name}"
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


def apply_crds(api: Api, paths: Sequence[Path]) -> Iterator[str]:
    """Apply definitions from JSON files by server-side apply; yields what happened to each, in words."""
    for path in paths:
        definition = json.loads(path.read_text())
        name = definition["metadata"]["name"]
        where = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        applied = api.call("PATCH", f"{where}?fieldManager={MANAGER}&force=true", definition, APPLY)
        if applied is None:
            raise SystemExit(f"{name}: the API server knows no such path")
        yield f"{name}: at resource version {applied['metadata']['resourceVersion']}"


def check_receiver(address: str, authority: Path | None = None) -> str:
    """Ask the receiver as a stranger would; returns what it said, in words. Raises SystemExit where it is wrong."""
    tls = ssl.create_default_context(cafile=str(authority)) if authority else None
    said = []
    for path, body, right in (("/readyz", None, 200), ("/alerts", b"{}", 401)):
        request = urllib.request.Request(address + path, data=body)  # noqa: S310 (the address is ours)
        try:
            with urllib.request.urlopen(request, timeout=10, context=tls) as answer:  # noqa: S310
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
        except OSError as error:
            raise SystemExit(f"{address}{path}: {error}") from error
        if status != right:
            raise SystemExit(f"{address}{path}: {status} instead of {right}")
        said.append(f"{path} {status}")
    return ", ".join(said)


def main(command: str, *arguments: str) -> None:
    """Run a command of this file."""
    if command == "uninstall":
        namespace, name, patience = arguments
        print(f"FlinkDeployment {namespace}/{name}: {uninstall(connect(), namespace, name, float(patience))}")
    elif command == "apply-crds":
        for line in apply_crds(connect(), [Path(argument) for argument in arguments]):
            print(line, flush=True)
    elif command == "check-receiver":
        address, *authority = arguments
        print(f"{address}: {check_receiver(address, *map(Path, authority))}")
    else:
        raise SystemExit(f"no such command: {command}")


if __name__ == "__main__":
    main(*sys.argv[1:])
