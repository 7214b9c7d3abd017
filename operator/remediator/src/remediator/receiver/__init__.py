"""The role that faces the network: takes Alertmanager's webhooks, and cannot touch Flink."""
