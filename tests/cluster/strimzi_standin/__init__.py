"""A small stand-in for the Strimzi operator, for clusters where its image cannot be had.

It turns Kafka, KafkaNodePool and KafkaTopic resources (kafka.strimzi.io/v1) into a real KRaft cluster, its
bootstrap Service, its topics and a lag exporter with kafka_exporter's metric names, and sets the conditions that
Strimzi sets. What it does not do: TLS listeners, users, volumes that outlive a pod, rolling updates by quorum.
What it leaves out is said in a Warning condition of the Kafka resource.
"""
