"""One outside system each: Kafka, files, Prometheus."""
