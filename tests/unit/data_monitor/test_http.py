"""Servers answer on IPv4 and IPv6."""

import threading
import urllib.request

import pytest
from data_monitor.adapters.exporter import Health, serve
from data_monitor.report.folder import Folder
from data_monitor.report.schedule import Schedule
from data_monitor.report.server import Reports, http_server
from prometheus_client import CollectorRegistry

BOTH = ("127.0.0.1", "[::1]")


def answers(server, host, path):
    with urllib.request.urlopen(f"http://{host}:{server.server_port}{path}", timeout=10) as answer:
        return answer.status


@pytest.mark.parametrize(("address", "hosts"), [("", BOTH), ("::", BOTH), ("127.0.0.1", BOTH[:1]), ("::1", BOTH[1:])])
def test_metrics_and_probes(address, hosts):
    server = serve(address, 0, CollectorRegistry(), Health())
    try:
        for host in hosts:
            assert answers(server, host, "/metrics") == answers(server, host, "/healthz") == 200
    finally:
        server.shutdown()
        server.server_close()


def test_reports(tmp_path):
    server = http_server(Reports(Folder(tmp_path), Schedule(600, None), []), "", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert [answers(server, host, "/healthz") for host in BOTH] == [200, 200]
    finally:
        server.shutdown()
        server.server_close()
