"""One outside system each: the Kubernetes API, a JobManager's REST API, Prometheus."""
