"""Where the client's settings come from."""

from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from data_monitor.adapters import kafka as adapter
from data_monitor.adapters.kafka import client_settings
from data_monitor.config import Kafka


def test_secrets_come_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "me")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "secret")
    kafka = Kafka(properties={"security.protocol": "SASL_SSL", "sasl.mechanisms": "PLAIN"})
    settings = client_settings(kafka, print)
    assert {key: settings[key] for key in ("security.protocol", "sasl.mechanisms", "sasl.username")} == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "me",
    }
    assert settings["sasl.password"] == "secret"
    (tmp_path / "client.properties").write_text("# from a Secret\nsasl.password=other\n")
    over = kafka.model_copy(update={"properties_file": tmp_path / "client.properties"})
    assert client_settings(over, print)["sasl.password"] == "other"


def test_without_any_of_it_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_SASL_USERNAME", raising=False)
    monkeypatch.delenv("KAFKA_SASL_PASSWORD", raising=False)
    assert not [key for key in client_settings(Kafka(), print) if key.startswith("sasl.")]


def test_what_a_client_repeats_is_said_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = 0.0, list[str]()
    monkeypatch.setattr(adapter.time, "monotonic", lambda: now)
    tell = client_settings(Kafka(), said.append)["error_cb"]

    def refused(milliseconds: int) -> KafkaError:
        text = f"kafka:9092/bootstrap: Connect failed: Connection refused (after {milliseconds}ms in state CONNECT)"
        return KafkaError(KafkaError._TRANSPORT, text)

    down = KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")
    for error in (refused(0), down, refused(3), down):
        tell(error)
    assert said == [refused(0).str(), down.str()]
    now = 61.0
    tell(refused(7))
    assert said[2:] == [refused(7).str()]
