"""Kubernetes in Docker: in the engine of this machine where one answers, else in our own, from packages."""
