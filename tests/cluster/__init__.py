"""Cluster providers: where the chart, the demo and the end-to-end tests run."""
