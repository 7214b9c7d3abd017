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
        ("{reference: r, report: {directory: d, zzz: 1}}", "report.zzz: unknown key; known are kind, directory"),
        ("{reference: r, window: {length: 10 minutes}}", "window.length: a duration is a number and a unit"),
        ("{reference: r, window: {length: 10m, pane: 7s}}", "window: length must be a multiple of pane"),
        ("{reference: r, kafka: {startAt: now}}", "kafka.startAt: input should be 'latest' or 'earliest'"),
        ("{reference: r, window: {length: .inf}}", "window.length: a duration is a number and a unit"),
        ("{reference: r, window: {length: 600}}", "window.length: a duration is a number and a unit"),
        ("{reference: r, window: {length: 1s, pane: 0.5ms}}", "window.pane: a duration is a whole number of millisec"),
        ("{reference: r, window: {length: 1h, pane: 1ms}}", "window: length is 3,600,000 panes, at most 10,000"),
        ("{reference: r, lateness: {allowed: -5s}}", "lateness.allowed: a duration is a number and a unit"),
        ("{reference: r, model: a, model: b}", "model: twice, in lines 1 and 1"),
        ("{reference: r, fields: {time: ''}}", "fields.time: the name of a field must not be empty"),
        ("{reference: r, fields: {prediction: a..b}}", "fields.prediction: the name of a field must not be empty"),
        (
            "{reference: r, fields: {timeUnit: m}}",
            "fields.timeUnit: input should be 'ns', 'us', 'ms', 's' or 'iso8601'",
        ),
        ("{reference: r, score: {quantile: .nan}}", "score.quantile: wanted a finite number"),
        ("{reference: r, score: {weights: {a: -1}}}", "score.weights.a: input should be greater than or equal to 0"),
        ("{reference: r, metrics: {port: true}}", "metrics.port: wanted a whole number"),
        ("{reference: r, metrics: {port: '8000'}}", "metrics.port: wanted a whole number"),
        ("{reference: r, window: {skipAhead: 1}}", "window.skipAhead: wanted true or false"),
        ("{reference: r, kafka: {topic: 5}}", "kafka.topic: wanted a text"),
        ("{reference: r, kafka: {topic: a, deadLetterTopic: a}}", "kafka: topic and deadLetterTopic are the same"),
        ("{reference: r, kafka: {properties: {a: [1]}}}", "kafka.properties.a: wanted a text, a number, true or false"),
        ("{reference: r, kafka: {properties: {group.id: g}}}", "kafka.properties: the monitor decides itself about gr"),
        ("{reference: r, kafka: 5}", "kafka: wanted a mapping with keys such as bootstrapServers"),
        ("{reference: '', 1: 2}", "reference: wanted the path of a file or folder"),
        ("{reference: r, groundTruth: {}}", "groundTruth.topic: missing"),
        (
            "{reference: r, groundTruth: {topic: l, fields: {id: a, value: a}}}",
            "fields: id and value are the same field",
        ),
        ("{reference: r, groundTruth: {topic: l, capacity: 0}}", "groundTruth.capacity: input should be greater than"),
        ("{reference: r, groundTruth: {topic: l, window: 10s}}", "groundTruth: window must be at least 1m"),
        ("{reference: r, groundTruth: {topic: l, wait: 101h}}", "groundTruth: wait must be at most 100 times window"),
        ("{reference: r, groundTruth: {topic: l, weit: 1h}}", "groundTruth.weit: unknown key; did you mean wait?"),
        (
            "{reference: r, groundTruth: {topic: predictions}}",
            "groundTruth.topic is a topic that is read for something",
        ),
        (
            "{reference: r, groundTruth: {topic: l, format: avro}}",
            "schemaRegistry: missing, and groundTruth.format is avro",
        ),
        ("{reference: r, groundTruth: {topic: l}, kafka: {format: panes}}", "groundTruth needs predictions with an id"),
        (
            "{reference: r, groundTruth: {topic: l}, state: {store: topic}}",
            "groundTruth needs a monitor that reads all",
        ),
        ("{reference: r, x: " + "[" * 5000, "not YAML: nested too deeply"),
    ],
)
def test_an_error_names_file_key_and_what_is_allowed(tmp_path, text, said):
    with pytest.raises(InputError) as error:
        load(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path}/c.yaml: ")
    assert said in str(error.value)


def test_what_is_left_empty_is_as_by_default_and_numbers_may_be_as_helm_writes_them(tmp_path):
    found = load(tmp_path, "{reference: r, kafka: , score: {weights: }, window: {minSamples: 1e+06}}")
    assert found == Config(reference="r", window={"minSamples": 1_000_000})


def test_a_mistake_is_told_once(tmp_path):
    with pytest.raises(InputError) as error:
        load(tmp_path, "{model: , kafka: {properties: {a: {}}}, window: {length: .nan}, reference: r, reference: s}")
    keys = [line.split(": ")[1] for line in str(error.value).splitlines()]
    assert sorted(keys) == ["kafka.properties.a", "model", "reference", "window.length"]


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


def test_check_knows_the_settings_of_the_client(tmp_path, capsys):
    path = tmp_path / "c.yaml"
    path.write_text("{reference: r, kafka: {properties: {sesion.timeout.ms: 1}}}")
    assert main(["check", "--config", str(path)]) == 2
    assert "kafka.properties: " in (said := capsys.readouterr().err)
    assert "sesion.timeout.ms" in said
    path.write_text("reference: r")
    assert main(["check", "--config", str(path)]) == 0
