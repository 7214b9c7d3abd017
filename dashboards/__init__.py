"""Grafana's dashboards as code: what the modules here describe, ``python -m dashboards`` writes as JSON beside them."""
