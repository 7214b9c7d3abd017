"""Shapes only: the custom resources, the Alertmanager payload, names and reasons."""
