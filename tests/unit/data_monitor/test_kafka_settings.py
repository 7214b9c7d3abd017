"""Where the client's settings come from."""

from pathlib import Path

import pytest
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
