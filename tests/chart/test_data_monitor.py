"""The data monitor in the chart: a configuration that the program takes, its volumes, its reference, its links."""

import json
from pathlib import Path

import numpy as np
import pipeline_reference
import pytest
import render
import yaml
from chart.conftest import Object, Render
from data_monitor import config
from data_monitor.__main__ import parser
from data_monitor.adapters import references
from data_monitor.core.judge import Judge, Rules
from data_monitor.core.learn import column_for

NAME = "streaming-monitoring-data-monitor"
PIPELINE = "pipeline-values.yaml"


def pod(rendered: Render, scenario: str | None = PIPELINE, values: Object | None = None) -> Object:
    return rendered(scenario, values).one("StatefulSet", NAME)["spec"]["template"]["spec"]


def containers(spec: Object) -> dict[str, Object]:
    return {container["name"]: container for container in spec["containers"]}


def volume(spec: Object, name: str) -> Object:
    (found,) = [one for one in spec["volumes"] if one["name"] == name]
    return {key: value for key, value in found.items() if key != "name"}


def loaded(rendered: Render, folder: Path, scenario: str = PIPELINE, values: Object | None = None) -> config.Config:
    """The rendered configuration, as the program reads it."""
    path = folder / "config.yaml"
    path.write_text(rendered(scenario, values).one("ConfigMap", NAME)["data"]["config.yaml"])
    return config.load(path)


def test_it_comes_with_the_pipeline_or_when_asked_for(rendered: Render) -> None:
    def objects(scenario: str | None = None, values: Object | None = None) -> set[str]:
        found = rendered(scenario, values).objects
        return {o["kind"] for o in found if NAME in o["metadata"]["name"] and o["kind"] != "PodMonitor"}

    everything = {"StatefulSet", "Service", "ConfigMap", "PersistentVolumeClaim", "NetworkPolicy"}
    assert objects() == set()
    assert objects(PIPELINE) == everything
    assert objects(PIPELINE, {"dataMonitor": {"enabled": False}}) == set()
    assert objects(None, {"dataMonitor": {"enabled": True, "reference": {"content": "{}"}}}) == everything


def test_the_configuration_is_the_programs(rendered: Render, tmp_path: Path) -> None:
    settings = loaded(rendered, tmp_path)
    assert settings.model == "ml-recommender"
    assert settings.kafka.bootstrap_servers == "streaming-kafka-bootstrap.streaming.svc:9092"
    assert (settings.kafka.topic, settings.kafka.dead_letter_topic) == ("predictions", "events-dlq")
    assert settings.window.length == 600
    assert settings.report
    spec = pod(rendered)
    monitor, reports = containers(spec)["monitor"], containers(spec)["reports"]
    mounts = {mount["mountPath"] for mount in monitor["volumeMounts"]}
    # What is read or written is where a volume is: the root file system is read-only.
    for path in (settings.reference, settings.state.path, settings.report.directory):
        assert any(path.is_relative_to(mount) for mount in mounts), path
    ports = {port["name"]: port["containerPort"] for one in (monitor, reports) for port in one["ports"]}
    assert ports == {"metrics": settings.metrics.port, "reports": settings.report.port}
    assert [parser().parse_args(one["args"]).command for one in (monitor, reports)] == ["run", "serve-reports"]
    service = rendered(PIPELINE).one("Service", NAME)["spec"]
    assert {port["name"]: port["port"] for port in service["ports"]} == ports
    podmonitor = rendered(PIPELINE).one("PodMonitor", NAME)["spec"]
    assert podmonitor["podMetricsEndpoints"][0]["port"] in ports


def test_values_of_the_user_go_over_the_charts(rendered: Render, tmp_path: Path) -> None:
    own = {"dataMonitor": {"config": {"window": {"length": "2m"}, "score": {"threshold": 0.3}}, "model": "other"}}
    settings = loaded(rendered, tmp_path, values=own)
    assert (settings.window.length, settings.score.threshold, settings.model) == (120, 0.3, "other")
    assert settings.kafka.topic == "predictions"


def test_a_new_configuration_or_reference_restarts_it(rendered: Render) -> None:
    def annotations(values: Object) -> Object:
        return rendered(PIPELINE, values).one("StatefulSet", NAME)["spec"]["template"]["metadata"]["annotations"]

    before = annotations({})
    shorter = annotations({"dataMonitor": {"config": {"window": {"length": "2m"}}}})
    other = annotations({"dataMonitor": {"reference": {"content": "{}"}}})
    assert [key for key in before if before[key] != shorter[key]] == ["streaming-monitoring.dev/config"]
    assert [key for key in before if before[key] != other[key]] == ["streaming-monitoring.dev/reference"]


@pytest.mark.parametrize(
    ("persistence", "data", "claims"),
    [
        ({}, {"persistentVolumeClaim": {"claimName": NAME}}, [NAME]),
        ({"emptyDir": True}, {"emptyDir": {"sizeLimit": "1Gi"}}, []),
        ({"persistentVolumeClaim": {"existingClaim": "own"}}, {"persistentVolumeClaim": {"claimName": "own"}}, []),
    ],
)
def test_where_the_state_is(rendered: Render, persistence: Object, data: Object, claims: list[str]) -> None:
    values = {"dataMonitor": {"persistence": persistence}}
    assert volume(pod(rendered, values=values), "data") == data
    made = rendered(PIPELINE, values).of("PersistentVolumeClaim")
    assert [name for name in made if "data-monitor" in name] == claims


def test_the_reference_is_the_users(rendered: Render) -> None:
    def of(reference: Object) -> tuple[Object, list[str]]:
        values = {"dataMonitor": {"enabled": True, "reference": reference}}
        maps = [name for name in rendered(None, values).of("ConfigMap") if name.endswith("-reference")]
        return volume(pod(rendered, None, values), "reference"), maps

    assert of({"content": '{"a": 1}'}) == ({"configMap": {"name": f"{NAME}-reference"}}, [f"{NAME}-reference"])
    assert of({"existingConfigMap": "own"}) == ({"configMap": {"name": "own"}}, [])
    assert of({"existingClaim": "own"}) == ({"persistentVolumeClaim": {"claimName": "own", "readOnly": True}}, [])


def test_the_pipelines_reference_is_fresh(rendered: Render) -> None:
    assert pipeline_reference.build() == pipeline_reference.REFERENCE.read_text(), "run: make generate"
    data = rendered(PIPELINE).one("ConfigMap", f"{NAME}-reference")["data"]
    assert json.loads(data["reference.json"]) == json.loads(pipeline_reference.REFERENCE.read_text())


@pytest.mark.parametrize(("shift", "low", "high"), [(0.0, 0.0, 0.05), (1.0, 0.35, 0.45), (-1.0, 0.35, 0.6)])
def test_the_reference_fits_the_load_generator(shift: float, low: float, high: float) -> None:
    """Nothing drifts until the load generator's shift is turned; one deviation is far above the alert's 0.2."""
    reference = references.load(pipeline_reference.REFERENCE)
    records = [json.loads(text) for text in pipeline_reference.predictions(3000, shift, seed=7)]
    rows = {name: [record["features"].get(name) for record in records] for name in records[0]["features"]}
    rows["score"] = [record["score"] for record in records]
    judge = Judge(reference, Rules())
    counts = judge.layout.count([column_for(feature, rows[feature.name]) for feature in reference.features])
    window = np.zeros(judge.shape.size, dtype=int)
    window[: judge.layout.size] = counts
    judgement = judge.drift(window)
    assert judgement
    assert low <= judgement.score <= high
    assert bool(judgement.drifted) == (shift != 0)


def test_a_kafka_of_ones_own(rendered: Render, tmp_path: Path) -> None:
    scenario = "existing-kafka-values.yaml"
    settings = loaded(rendered, tmp_path, scenario)
    assert settings.kafka.properties == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "SCRAM-SHA-512",
        "ssl.ca.location": "/etc/kafka-tls/ca.crt",
    }
    assert settings.kafka.dead_letter_topic is None
    assert settings.fields.prediction is None
    spec = pod(rendered, scenario)
    monitor = containers(spec)["monitor"]
    secrets = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in monitor["env"]}
    assert secrets == {
        "KAFKA_SASL_USERNAME": {"name": "kafka-user", "key": "username"},
        "KAFKA_SASL_PASSWORD": {"name": "kafka-user", "key": "password"},
    }
    assert volume(spec, "tls") == {"secret": {"secretName": "kafka-tls", "defaultMode": 0o440}}
    assert "env" not in containers(spec)["reports"]  # it reads no topic
    client = {"dataMonitor": {"kafka": {"tls": {"clientCertificate": True}, "properties": {"client.rack": "a"}}}}
    properties = loaded(rendered, tmp_path, scenario, client).kafka.properties
    assert properties["ssl.key.location"] == "/etc/kafka-tls/tls.key"
    assert properties["client.rack"] == "a"


MODELS = "several-models-values.yaml"
RANKING, ETA = "streaming-monitoring-ranking-data-monitor", "streaming-monitoring-eta-data-monitor"


def config_of(rendered: Render, folder: Path, name: str, values: Object | None = None) -> config.Config:
    path = folder / "config.yaml"
    path.write_text(rendered(MODELS, values).one("ConfigMap", name)["data"]["config.yaml"])
    return config.load(path)


def test_each_model_has_a_monitor_of_its_own(rendered: Render, tmp_path: Path) -> None:
    kinds = ("StatefulSet", "Service", "ConfigMap", "NetworkPolicy")
    for kind in kinds:
        assert {NAME, RANKING, ETA} <= set(rendered(MODELS).of(kind)), kind
    ranking, eta = (config_of(rendered, tmp_path, name) for name in (RANKING, ETA))
    assert (ranking.model, ranking.kafka.topic, ranking.kafka.group_id) == (
        "ranking",
        "ranking-predictions",
        "data-monitor-ranking",
    )
    assert (eta.model, eta.kafka.topic, eta.kafka.dead_letter_topic) == ("eta-v2", "eta-predictions", "eta-dlq")
    assert ranking.kafka.dead_letter_topic is None
    assert ranking.fields.prediction is None
    selectors = [rendered(MODELS).one("Service", name)["spec"]["selector"] for name in (NAME, RANKING, ETA)]
    assert len({json.dumps(one) for one in selectors}) == 3
    components = {one["app.kubernetes.io/component"] for one in selectors}
    (watched,) = [
        one["values"]
        for one in rendered(MODELS).one("PodMonitor", NAME)["spec"]["selector"]["matchExpressions"]
        if one["key"] == "app.kubernetes.io/component"
    ]
    assert set(watched) == components


def test_several_replicas_share_a_topic(rendered: Render, tmp_path: Path) -> None:
    settings = config_of(rendered, tmp_path, RANKING)
    assert (settings.state.store, settings.state.topic) == ("topic", "data-monitor-ranking-state")
    assert settings.report is None
    ranking = rendered(MODELS).one("StatefulSet", RANKING)["spec"]
    assert ranking["replicas"] == 3
    assert "emptyDir" in volume(ranking["template"]["spec"], "data")
    topic = rendered(MODELS).one("KafkaTopic", f"{RANKING}-state")["spec"]
    assert topic["topicName"] == "data-monitor-ranking-state"
    assert (topic["partitions"], topic["config"]) == (1, {"cleanup.policy": "compact"})
    budget = rendered(MODELS).one("PodDisruptionBudget", RANKING)["spec"]
    assert budget["selector"]["matchLabels"] == ranking["selector"]["matchLabels"]
    assert ETA in rendered(MODELS).of("PersistentVolumeClaim")
    assert RANKING not in rendered(MODELS).of("PersistentVolumeClaim")


def test_labels_are_of_one_model_and_their_settings_of_all(rendered: Render, tmp_path: Path) -> None:
    assert config_of(rendered, tmp_path, NAME).ground_truth is None
    eta = config_of(rendered, tmp_path, ETA)
    truth = eta.ground_truth
    assert truth
    assert (truth.topic, truth.fields.id, truth.fields.value) == ("eta-arrivals", "trip_id", "minutes")
    assert (truth.wait, truth.window, truth.capacity) == (7200, 3600, 100_000)
    assert eta.fields.id == "trip_id"
    own = {"dataMonitor": {"groundTruth": {"topic": "labels", "capacity": 1_000_000, "window": "30m"}}}
    found = {name: config_of(rendered, tmp_path, name, own).ground_truth for name in (NAME, ETA, RANKING)}
    assert found[NAME] == config.GroundTruth(topic="labels", capacity=1_000_000, window="30m")
    assert found[ETA] == truth.model_copy(update={"capacity": 1_000_000, "window": 1800.0})
    assert found[RANKING] is None


def test_a_schema_registry_with_a_password_and_a_ca(rendered: Render, tmp_path: Path) -> None:
    settings = config_of(rendered, tmp_path, RANKING)
    assert settings.schema_registry
    assert settings.schema_registry.ca_file
    spec = rendered(MODELS).one("StatefulSet", RANKING)["spec"]["template"]["spec"]
    monitor = containers(spec)["monitor"]
    secrets = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in monitor["env"]}
    assert secrets == {
        f"SCHEMA_REGISTRY_{key.upper()}": {"name": "registry-user", "key": key} for key in ("username", "password")
    }
    mounts = {one["name"]: Path(one["mountPath"]) for one in monitor["volumeMounts"]}
    assert settings.schema_registry.ca_file == mounts["registry-ca"] / "ca.crt"
    assert volume(spec, "registry-ca") == {"configMap": {"name": "registry-ca"}}
    own = {"dataMonitors": {"ranking": {"schemaRegistry": {"ca": {"existingConfigMap": "", "existingSecret": "s"}}}}}
    spec = rendered(MODELS, own).one("StatefulSet", RANKING)["spec"]["template"]["spec"]
    assert volume(spec, "registry-ca") == {"secret": {"secretName": "s", "defaultMode": 0o440}}
    egress = rendered(MODELS).one("NetworkPolicy", RANKING)["spec"]["egress"]
    assert egress[-1]["to"] == [{"podSelector": {"matchLabels": {"app": "schema-registry"}}}]


def test_the_alert_links_to_the_report_of_its_model(rendered: Render) -> None:
    rules = rendered(MODELS).one("PrometheusRule", "streaming-monitoring-ml")["spec"]["groups"]
    (alert,) = [rule for group in rules for rule in group["rules"] if rule.get("alert") == "MLModelPredictionDrift"]
    assert alert["annotations"]["report_url"] == (
        '{{ if eq $labels.model "eta-v2" }}https://drift.example.com/latest{{ end }}'
        '{{ if eq $labels.model "ml-recommender" }}http://localhost:8001/latest{{ end }}'
    )


@pytest.mark.parametrize(
    ("monitors", "words"),
    [
        ({"a": {"kafka": {"topic": "t"}}}, "dataMonitors.a.reference"),
        ({"a": {"reference": {"content": "{}"}}}, "dataMonitors.a.kafka.topic"),
        ({"A": {}}, "dataMonitors"),
        ({"a": {"tpoic": "t"}}, "tpoic"),
        ({"eta": {"model": "ranking"}}, "dataMonitors.eta and dataMonitors.ranking have the same model, ranking"),
        ({"eta": {"config": {"model": "ranking"}}}, "the same model, ranking"),
        (
            {"eta": {"kafka": {"groupId": "data-monitor"}}},
            "dataMonitor and dataMonitors.eta have the same kafka.groupId",
        ),
        ({"ranking": {"config": {"state": {"store": "file"}}}}, "dataMonitors.ranking.config.state.store: topic"),
        (
            {
                "eta": {
                    "groundTruth": {"topic": ""},
                    "config": {"state": {"store": "topic", "topic": "data-monitor-ranking-state"}},
                }
            },
            "the same state.topic",
        ),
        ({"eta": {"schemaRegistry": {"existingSecret": "s"}}}, "dataMonitors.eta.schemaRegistry.url"),
        ({"ranking": {"groundTruth": {"topic": "t"}}}, "dataMonitors.ranking.groundTruth needs a single replica"),
        ({"eta": {"config": {"kafka": {"format": "panes"}}}}, "dataMonitors.eta.groundTruth needs predictions"),
        ({"eta": {"groundTruth": {"wait": "soon"}}}, "wait"),
        ({"eta": {"groundTruth": {"topik": "t"}}}, "topik"),
        ({"eta": {"kafka": {"sasl": {"mechanism": "plain"}}}}, "dataMonitors.eta.kafka.sasl.existingSecret"),
    ],
)
def test_mistakes_in_one_of_several_are_told_by_its_name(rendered: Render, monitors: Object, words: str) -> None:
    with pytest.raises(render.RenderError) as error:
        rendered(MODELS, {"dataMonitors": monitors})
    assert words in str(error.value)


def annotations(rendered: Render, values: Object | None = None) -> Object:
    """Of MLModelPredictionDrift."""
    rules = rendered(PIPELINE, values).one("PrometheusRule", "streaming-monitoring-ml")["spec"]["groups"]
    (alert,) = [rule for group in rules for rule in group["rules"] if rule.get("alert") == "MLModelPredictionDrift"]
    return alert["annotations"]


def test_the_alert_links_to_the_report(rendered: Render) -> None:
    assert annotations(rendered)["report_url"] == "http://localhost:8001/latest"  # by the port-forward of NOTES
    outside = {"dataMonitor": {"reports": {"url": "https://drift.example.com/"}}}
    assert annotations(rendered, outside)["report_url"] == "https://drift.example.com/latest"
    own = {"rules": {"overrides": {"MLModelPredictionDrift": {"annotations": {"report_url": "https://x"}}}}}
    assert annotations(rendered, own)["report_url"] == "https://x"


def test_the_job_can_count_the_panes(rendered: Render, tmp_path: Path) -> None:
    values = {"pipeline": {"panes": {"enabled": True, "seconds": 5}, "job": {"allowNonRestoredState": True}}}
    settings = loaded(rendered, tmp_path, values=values)
    assert (settings.kafka.topic, settings.kafka.format, settings.window.pane) == ("panes", "panes", 5)
    job = rendered(PIPELINE, values).one("FlinkDeployment", "ml-recommender")["spec"]
    arguments = job["job"]["args"]
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    reference = Path(given["--reference"])
    assert (given["--panes-topic"], given["--pane-seconds"]) == ("panes", "5")
    template = job["podTemplate"]["spec"]
    mounts = {one["name"]: Path(one["mountPath"]) for one in template["containers"][0]["volumeMounts"]}
    assert reference.parent == mounts["reference"]
    # Both count by the same bins.
    assert volume(template, "reference") == volume(pod(rendered, values=values), "reference")
    assert settings.reference.name == reference.name
    assert rendered(PIPELINE, values).one("KafkaTopic", "panes")["spec"]["partitions"] == 1
    # There are no rows to report of.
    assert settings.report is None
    assert list(containers(pod(rendered, values=values))) == ["monitor"]
    assert "report_url" not in annotations(rendered, values)


@pytest.mark.parametrize(
    ("monitor", "words"),
    [({"enabled": False}, "nobody reads"), ({"reference": {"existingClaim": "x"}}, "existingClaim")],
)
def test_panes_that_could_not_work_are_refused(rendered: Render, monitor: Object, words: str) -> None:
    with pytest.raises(render.RenderError, match=words):
        rendered(PIPELINE, {"pipeline": {"panes": {"enabled": True}}, "dataMonitor": monitor})


def test_evidently_is_an_option_with_an_image_of_its_own(rendered: Render, tmp_path: Path) -> None:
    own = containers(pod(rendered))
    assert own["reports"]["image"] == own["monitor"]["image"]
    assert loaded(rendered, tmp_path).report.kind == "summary"  # type: ignore[union-attr]
    values = {"dataMonitor": {"reports": {"kind": "evidently"}}}
    assert containers(pod(rendered, values=values))["reports"]["image"].endswith("/data-monitor-report:0.1.0")
    assert loaded(rendered, tmp_path, values=values).report.kind == "evidently"  # type: ignore[union-attr]


def test_without_reports_there_is_no_container_of_them(rendered: Render) -> None:
    off = {"dataMonitor": {"reports": {"enabled": False}}}
    assert list(containers(pod(rendered, values=off))) == ["monitor"]
    assert "report_url" not in annotations(rendered, off)
    assert "report" not in yaml.safe_load(rendered(PIPELINE, off).one("ConfigMap", NAME)["data"]["config.yaml"])
    ports = rendered(PIPELINE, off).one("Service", NAME)["spec"]["ports"]
    assert [port["name"] for port in ports] == ["metrics"]


def test_the_network_lets_prometheus_in_and_kafka_out(rendered: Render) -> None:
    spec = rendered(PIPELINE).one("NetworkPolicy", NAME)["spec"]
    prometheus = [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}]
    assert spec["ingress"] == [{"from": prometheus, "ports": [{"port": 8000, "protocol": "TCP"}]}]
    assert spec["egress"][-1]["to"][0]["podSelector"]["matchLabels"]["strimzi.io/kind"] == "Kafka"
    readers = [{"namespaceSelector": {}}]
    values = {"dataMonitor": {"reports": {"readers": readers}}}
    ingress = rendered(PIPELINE, values).one("NetworkPolicy", NAME)["spec"]["ingress"]
    assert ingress[1:] == [{"from": readers, "ports": [{"port": 8001, "protocol": "TCP"}]}]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"enabled": True}, "data-monitor reference build"),
        ({"enabled": "yes"}, "enabled"),
        ({"reports": {"evry": "1m"}}, "evry"),
        ({"reports": {"every": "soon"}}, "every"),
        ({"enabled": True, "kafka": {"sasl": {"mechanism": "plain"}}}, "sasl.existingSecret"),
        ({"enabled": True, "kafka": {"tls": {"existingSecret": "x"}}}, "tls.enabled"),
        ({"enabled": True, "kafka": {"tls": {"enabled": True, "clientCertificate": True}}}, "tls.existingSecret"),
    ],
)
def test_mistakes_have_readable_errors(rendered: Render, values: Object, words: str) -> None:
    with pytest.raises(render.RenderError) as error:
        rendered(values={"dataMonitor": values})
    assert words in str(error.value)
    assert len(str(error.value)) < 600
