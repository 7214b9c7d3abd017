"""Certificates and kubeconfigs of the control plane."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import yaml

from . import layout

USERS = {
    "admin": "/O=system:masters/CN=admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "kubelet": f"/O=system:nodes/CN=system:node:{layout.NODE}",
    "proxy": "/CN=system:kube-proxy",
}
_NAMES = [
    *(f"DNS:{name}" for name in ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")),
    f"DNS:{layout.NODE}",
    *(f"IP:{address}" for address in ("127.0.0.1", layout.NODE_IP, layout.API_SERVICE_IP)),
]


def create() -> None:
    """Make the authority, a certificate for each component, and the key that signs service account tokens."""
    layout.PKI.mkdir(parents=True, exist_ok=True)
    if not (layout.PKI / "ca.crt").exists():
        _openssl("req", "-x509", *_new_key("ca"), "-out", _file("ca.crt"), "-subj", "/CN=cluster-ca", "-days", "3650")
    for name, subject in {"apiserver": "/CN=kube-apiserver", **USERS}.items():
        _certificate(name, subject)
    _openssl("genrsa", "-out", _file("sa.key"), "2048")
    _openssl("rsa", "-in", _file("sa.key"), "-pubout", "-out", _file("sa.pub"))
    for user in USERS:
        (layout.PKI / f"{user}.conf").write_text(kubeconfig(user, f"https://{layout.NODE_IP}:6443"))


def kubeconfig(user: str, server: str) -> str:
    """Return a kubeconfig that carries its certificates, so that the file can be copied anywhere."""

    def data(name: str) -> str:
        return b64encode((layout.PKI / name).read_bytes()).decode()

    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": {"server": server, "certificate-authority-data": data("ca.crt")}}],
        "users": [
            {
                "name": user,
                "user": {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")},
            }
        ],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": user}}],
        "current-context": "local",
    }
    return yaml.safe_dump(document)


def _certificate(name: str, subject: str) -> None:
    extensions = layout.PKI / f"{name}.ext"
    extensions.write_text(f"subjectAltName={','.join(_NAMES)}\nextendedKeyUsage=serverAuth,clientAuth\n")
    _openssl("req", *_new_key(name), "-out", _file(f"{name}.csr"), "-subj", subject)
    _openssl(
        *("x509", "-req", "-in", _file(f"{name}.csr"), "-CA", _file("ca.crt"), "-CAkey", _file("ca.key")),
        *("-CAcreateserial", "-out", _file(f"{name}.crt"), "-days", "3650", "-extfile", str(extensions)),
    )


def _new_key(name: str) -> list[str]:
    return ["-newkey", "rsa:2048", "-nodes", "-keyout", _file(f"{name}.key")]


def _file(name: str) -> str:
    return str(Path(layout.PKI) / name)


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
