from pathlib import Path

import pytest
import yaml
from data_monitor import config
from data_monitor.__main__ import main
from data_monitor.config import Config
from data_monitor.errors import InputError


def load(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return config.load(path)


def test_defaults_fit_the_example_pipeline(tmp_path):
    found = load(tmp_path, "reference: ref.json")
    assert (found.kafka.topic, found.kafka.dead_letter_topic) == ("predictions", "events-dlq")
    assert (found.window.length, found.window.pane, found.window.min_samples) == (600, 10, 500)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "wanted a mapping with keys such as model, reference"),
        ("a: [", "not YAML"),
        ("model: m", "reference: missing"),
        ("{reference: r, widow: {}}", "widow: unknown key; did you mean window?"),
        ("{reference: r, kafka: {topik: x}}", "kafka.topik: unknown key; did you mean topic?"),
        ("{reference: r, report: {directory: d, zzz: 1}}", "report.zzz: unknown key; known are directory"),
        ("{reference: r, window: {length: 10 minutes}}", "window.length: a duration is a number and a unit"),
        ("{reference: r, window: {length: 10m, pane: 7s}}", "window: length must be a multiple of pane"),
        ("{reference: r, kafka: {startAt: now}}", "kafka.startAt: input should be 'latest' or 'earliest'"),
    ],
)
def test_an_error_names_file_key_and_what_is_allowed(tmp_path, text, said):
    with pytest.raises(InputError) as error:
        load(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path}/c.yaml: ")
    assert said in str(error.value)


def test_every_wrong_key_is_told_at_once_and_the_exit_code_is_2(tmp_path, capsys):
    path = tmp_path / "c.yaml"
    path.write_text("{metrics: {port: 70000}, state: {store: redis}}")
    assert main(["check", "--config", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3
    assert main(["check", "--config", str(tmp_path / "none.yaml")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_the_documented_file_names_every_key_with_its_default(tmp_path):
    page = (Path(__file__).parents[3] / "docs/data-monitor.md").read_text()
    text = page.split("```yaml\n")[1].split("```")[0]
    assert load(tmp_path, text) == Config(reference="ref.json")
    assert keys(yaml.safe_load(text)) == keys(Config(reference="ref.json").model_dump(by_alias=True))


def keys(value):
    return {key: keys(inner) for key, inner in value.items()} if isinstance(value, dict) else None
