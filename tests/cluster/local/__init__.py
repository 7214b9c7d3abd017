"""A real single-node Kubernetes from packages, in a network namespace of its own, without a container engine."""
