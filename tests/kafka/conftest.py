"""A real broker, and a topic and data monitors for each test."""

import re
import shutil

import pytest
from data_monitor.__main__ import main
from kafka_broker import KafkaBroker
from monitor_process import MonitorProcess, predictions


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    if not shutil.which("java"):
        pytest.skip("a real broker needs Java 17")
    with KafkaBroker(tmp_path_factory.mktemp("kafka"), secured=True) as started:
        yield started


@pytest.fixture
def topic(broker, request):
    """The name of one for each test, with two partitions."""
    name = re.sub("[^a-z0-9]", "-", request.node.name)
    broker.create(name, 2)
    return name


@pytest.fixture
def monitor(tmp_path, broker, topic):
    """Start one more that reads the test's topic, by the listener for everybody."""
    rows = tmp_path / "a.jsonl"
    rows.write_text("\n".join(predictions(10_000, seed=7)))
    assert main(["reference", "build", "--input", str(rows), "--output", str(tmp_path / "ref.json")]) == 0
    started = []

    def start(address=broker.address, environment=None, **sections):
        kafka = {"topic": topic, "deadLetterTopic": None, "groupId": topic, **sections.pop("kafka", {})}
        process = MonitorProcess(tmp_path, address, kafka=kafka, **sections)
        process.topic = kafka["topic"]
        process.start(**(environment or {}))
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
