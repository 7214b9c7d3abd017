"""Certificates for servers that tests start."""

import subprocess
from pathlib import Path


def make_certificate(key: Path, certificate: Path, *, name: str = "test", host: str = "IP:127.0.0.1") -> None:
    """Write a certificate of its own issuer for a host, and its key (PEM). It is good for two days."""
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName={host}"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
