"""What the command line and the environment configure."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path


@dataclass(frozen=True)
class Config:
    """What both roles need."""

    namespace: str
    """Where policies and FlinkRemediations live."""
    target_namespaces: tuple[str, ...]
    """Where FlinkDeployments are watched."""
    metrics_port: int
    kubeconfig: Path | None
    """Without one, the pod's service account."""


@dataclass(frozen=True)
class ReceiverConfig(Config):
    """What the receiver needs besides."""

    port: int
    token_file: Path
    tls_cert_file: Path | None
    """Without one, plain HTTP."""
    tls_key_file: Path | None
    max_body_bytes: int
    alertmanager_urls: tuple[str, ...]
    """None: what notifications did not bring is not looked for."""
    alertmanager_receiver: str
    """Regular expression of the names that our receivers have there."""
    resync_period: timedelta
    """How often it is looked for."""


@dataclass(frozen=True)
class ControllerConfig(Config):
    """What the controller needs besides."""

    prometheus_url: str
    flink_rest_url_template: str
    sweep_period: timedelta
    """How often what has ended is swept, and the watch is checked."""
    history_limit: int
    """How many FlinkRemediations are kept, of all policies."""
