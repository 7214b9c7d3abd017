"""Turns critical Alertmanager webhooks into guarded, verified, recorded remediations of FlinkDeployments."""

__version__ = "0.1.0"
