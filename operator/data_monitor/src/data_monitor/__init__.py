"""Watches a topic of predictions: drift, late events, inference latency, dead letters, as Prometheus metrics."""

__version__ = "0.1.0"
