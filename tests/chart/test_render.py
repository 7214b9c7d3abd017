"""What the rendered chart is, with each scenario of profiles/ and as it comes."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import render
import yaml
from chart import fake_api
from chart.conftest import PROFILES, SCENARIOS, Object, Render
from loadgen.__main__ import parse_arguments
from remediator.api.policy import PolicySpec

WORKLOADS = ("Deployment", "StatefulSet", "Job")
ALL = [None, *SCENARIOS]


def pods(objects: list[Object]) -> list[tuple[str, Object]]:
    """Pod specs of ours: of Deployments and Jobs, and the template of the FlinkDeployment."""
    found = []
    for o in objects:
        if o["kind"] in WORKLOADS:
            found.append((o["metadata"]["name"], o["spec"]["template"]["spec"]))
        elif o["kind"] == "FlinkDeployment":
            found.append((o["metadata"]["name"], o["spec"]["podTemplate"]["spec"]))
    return found


@pytest.mark.parametrize("scenario", ALL)
def test_objects_are_named_labelled_and_unique(rendered: Render, scenario: str | None) -> None:
    objects = rendered(scenario).objects
    keys = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
    assert len(keys) == len(set(keys))
    for o in objects:
        labels = o["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "streaming-monitoring"
        assert labels["app.kubernetes.io/instance"] == "streaming-monitoring"
        if o["kind"] in ("Deployment", "StatefulSet"):
            selector = o["spec"]["selector"]["matchLabels"].items()
            assert selector <= o["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("scenario", ALL)
def test_pods_are_restricted(rendered: Render, scenario: str | None) -> None:
    """The "restricted" Pod Security Standard, resources, and no token where none is needed."""
    for name, pod in pods(rendered(scenario).objects):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"]["drop"] == ["ALL"], name
            assert not security["capabilities"].get("add"), name
            if name != "ml-recommender":  # Flink's operator sets resources and writes its configuration
                assert security["readOnlyRootFilesystem"] is True, name
                assert container["resources"]["requests"], name
                assert container["resources"]["limits"]["memory"], name
        allowed = {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}
        assert all(set(volume) - {"name"} <= allowed for volume in pod.get("volumes", [])), name
        if any(part in name for part in ("loadgen", "exporter", "data-monitor")):
            assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("scenario", ALL)
def test_images_have_versions(rendered: Render, scenario: str | None) -> None:
    for _, pod in pods(rendered(scenario).objects):
        for container in pod["containers"]:
            if "image" in container:
                ours = r"registry\.example\.com/(team/)?streaming-monitoring/[a-z-]+:0\.1\.0"
                assert re.fullmatch(rf"{ours}|docker\.io/danielqsj/kafka-exporter:v1\.9\.0", container["image"])


def test_defaults_bring_kafka_but_no_example(rendered: Render) -> None:
    result = rendered()
    assert result.of("Kafka")
    assert not result.of("FlinkDeployment")
    assert not result.of("KafkaTopic")
    assert sorted(result.of("Deployment")) == [
        "streaming-monitoring-remediator-controller",
        "streaming-monitoring-remediator-receiver",
    ]


def test_kafka(rendered: Render) -> None:
    result = rendered("pipeline-values.yaml")
    kafka, pool = result.one("Kafka", "streaming"), result.one("KafkaNodePool", "streaming")
    topics = result.of("KafkaTopic")
    for o in [kafka, pool, *topics.values()]:
        assert o["apiVersion"] == "kafka.strimzi.io/v1"
    assert pool["metadata"]["labels"]["strimzi.io/cluster"] == "streaming"
    assert pool["spec"]["roles"] == ["controller", "broker"]
    assert kafka["spec"]["kafkaExporter"]["groupRegex"] == ".*"
    assert kafka["spec"]["kafka"]["config"]["min.insync.replicas"] == 1
    assert {name: t["spec"]["partitions"] for name, t in topics.items()} == {
        "events": 8,
        "predictions": 8,
        "events-dlq": 1,
    }
    assert {t["spec"]["replicas"] for t in topics.values()} == {1}


def test_kafka_replication_follows_the_nodes(rendered: Render) -> None:
    config = rendered(values={"kafka": {"replicas": 5}}).one("Kafka", "streaming")["spec"]["kafka"]["config"]
    assert config["default.replication.factor"] == 3
    assert config["min.insync.replicas"] == 2


def test_flinkdeployment(rendered: Render) -> None:
    flink = rendered("pipeline-values.yaml").one("FlinkDeployment", "ml-recommender")
    assert flink["metadata"]["labels"]["remediation.streaming-monitoring.dev/enabled"] == "true"
    assert flink["metadata"]["annotations"]["streaming-monitoring.dev/consumer-groups"] == "ml-recommender"
    spec = flink["spec"]
    assert spec["serviceAccount"] == "flink"
    assert spec["flinkVersion"] == "v1_19"
    assert spec["job"]["parallelism"] == 2
    assert spec["job"]["upgradeMode"] == "last-state"
    assert "replicas" not in spec["taskManager"]
    assert all(isinstance(value, str) for value in spec["flinkConfiguration"].values())
    assert spec["flinkConfiguration"]["jobmanager.scheduler"] == "adaptive"
    assert spec["flinkConfiguration"]["metrics.reporter.prom.port"] == "9250"
    assert spec["flinkConfiguration"]["high-availability.storageDir"] == "file:///checkpoints/ha"
    main = spec["podTemplate"]["spec"]["containers"][0]
    assert main["name"] == "flink-main-container"
    assert main["ports"] == [{"name": "flink-metrics", "containerPort": 9250, "protocol": "TCP"}]
    args = spec["job"]["args"]
    assert args[args.index("--bootstrap-servers") + 1] == "streaming-kafka-bootstrap.streaming.svc:9092"


@pytest.mark.parametrize(
    ("checkpoints", "volume", "claims"),
    [
        ({}, {"persistentVolumeClaim": {"claimName": "streaming-monitoring-checkpoints"}}, 1),
        ({"persistentVolumeClaim": {"existingClaim": "own"}}, {"persistentVolumeClaim": {"claimName": "own"}}, 0),
        ({"emptyDir": True}, {"emptyDir": {}}, 0),
        ({"hostPath": "/srv/c"}, {"hostPath": {"path": "/srv/c", "type": "DirectoryOrCreate"}}, 0),
    ],
)
def test_checkpoints(rendered: Render, checkpoints: Object, volume: Object, claims: int) -> None:
    result = rendered("pipeline-values.yaml", {"pipeline": {"checkpoints": checkpoints}})
    pod = result.one("FlinkDeployment", "ml-recommender")["spec"]["podTemplate"]["spec"]
    assert pod["volumes"] == [{"name": "checkpoints", **volume}]
    assert len([name for name in result.of("PersistentVolumeClaim") if "checkpoints" in name]) == claims
    # Only a folder of the node needs somebody to hand it over. Flink's operator merges both lists by position.
    ours = pod.get("initContainers", [])
    assert bool(ours) is ("hostPath" in volume)
    spec = result.one("FlinkDeployment", "ml-recommender")["spec"]
    waiting = spec["jobManager"]["podTemplate"]["spec"]["initContainers"]
    assert waiting[: len(ours)] == ours
    assert [one["name"] for one in waiting[len(ours) :]] == ["wait-for-kafka"]


def test_load_generator(rendered: Render) -> None:
    result = rendered("pipeline-values.yaml")
    assert result.one("ConfigMap", "streaming-monitoring-loadgen")["data"] == {"rate": "400", "shift": "0"}
    pod = result.one("Deployment", "streaming-monitoring-loadgen")["spec"]["template"]["spec"]
    mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts["dials"]["mountPath"] == "/etc/loadgen"
    assert "subPath" not in mounts["dials"]  # it would never be updated


def test_arguments_are_those_of_the_programs(rendered: Render) -> None:
    result = rendered("pipeline-values.yaml")
    pod = result.one("Deployment", "streaming-monitoring-loadgen")["spec"]["template"]["spec"]
    options = parse_arguments(pod["containers"][0]["args"])
    assert options.command == "run"
    assert (str(options.rate_file), str(options.shift_file)) == ("/etc/loadgen/rate", "/etc/loadgen/shift")
    job_manager = result.one("FlinkDeployment", "ml-recommender")["spec"]["jobManager"]["podTemplate"]["spec"]
    (waiting,) = job_manager["initContainers"]
    options = parse_arguments([*waiting["command"][3:], *waiting["args"]])
    assert (options.command, options.topic) == ("wait", ["events", "predictions", "events-dlq"])
    # The job imports PyFlink, which only its image has.
    job = (render.ROOT / "examples/pipeline/ml_recommender.py").read_text()
    args = result.one("FlinkDeployment", "ml-recommender")["spec"]["job"]["args"]
    assert args[:2] == ["-py", "/opt/flink/usrlib/ml_recommender.py"]
    flags = [argument for argument in args if argument.startswith("--")]
    assert flags == ["--bootstrap-servers", "--group-id"]
    assert all(f'add_argument("{flag}"' in job for flag in flags)


def test_service_account_is_made_where_flinks_operator_does_not(rendered: Render) -> None:
    off = {"flink-kubernetes-operator": {"enabled": False}}
    assert "flink" not in rendered("pipeline-values.yaml").of("ServiceAccount")
    result = rendered("pipeline-values.yaml", off)
    assert result.one("RoleBinding", "flink")["subjects"][0]["name"] == "flink"
    assert result.one("ServiceAccount", "flink")
    own = {"pipeline": {"serviceAccount": {"name": "jobs", "create": True}}}
    assert rendered("pipeline-values.yaml", own).one("ServiceAccount", "jobs")
    never = {**off, "pipeline": {"serviceAccount": {"create": False}}}
    assert "flink" not in rendered("pipeline-values.yaml", never).of("ServiceAccount")


def test_podmonitors_carry_the_job_names(rendered: Render) -> None:
    jobs = {}
    for monitor in rendered().of("PodMonitor").values():
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            name = [r["replacement"] for r in endpoint["relabelings"] if r.get("targetLabel") == "job"]
            assert len(name) == 1
            assert endpoint["interval"] == "15s"
            jobs[name[0]] = (monitor["spec"], endpoint)
    assert {"flink", "kafka", "prometheus", "node", "data-monitor"} <= set(jobs)
    flink, endpoint = jobs["flink"]
    assert endpoint["port"] == "flink-metrics"
    assert flink["podTargetLabels"] == ["app", "component"]
    assert jobs["kafka"][1]["port"] == "tcp-prometheus"


def test_fullname(rendered: Render) -> None:
    receiver = "remediator-receiver"
    assert f"streaming-monitoring-{receiver}" in rendered().of("Service")
    assert f"sm-streaming-monitoring-{receiver}" in rendered(release="sm").of("Service")
    assert f"watch-{receiver}" in rendered(values={"fullnameOverride": "watch"}).of("Service")


def test_existing_platform(rendered: Render) -> None:
    result = rendered("existing-values.yaml")
    assert not result.of("Kafka")
    for monitor in result.of("PodMonitor").values():
        assert monitor["metadata"]["labels"]["release"] == "monitoring"
    flink = result.one("PodMonitor", "streaming-monitoring-flink")
    assert flink["spec"]["namespaceSelector"] == {"matchNames": ["jobs-a", "jobs-b"]}
    assert "streaming-monitoring-node" not in result.of("PodMonitor")
    controller = result.one("Deployment", "streaming-monitoring-remediator-controller")
    pod = controller["spec"]["template"]["spec"]
    assert "--prometheus-url=http://prometheus.monitoring.svc:9090" in pod["containers"][0]["args"]
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert not result.of("Secret")
    exporter = result.one("Deployment", "streaming-monitoring-kafka-exporter")["spec"]["template"]
    assert "--kafka.server=kafka.kafka.svc:9092" in exporter["spec"]["containers"][0]["args"]
    kafka = result.one("PodMonitor", "streaming-monitoring-kafka")["spec"]
    for expression in kafka["selector"]["matchExpressions"]:
        assert exporter["metadata"]["labels"][expression["key"]] in expression["values"]
    assert exporter["spec"]["containers"][0]["ports"][0]["name"] == kafka["podMetricsEndpoints"][0]["port"]


def test_network_is_closed(rendered: Render) -> None:
    policies = rendered("pipeline-values.yaml").of("NetworkPolicy")
    deny = policies["streaming-monitoring-default-deny"]["spec"]
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(deny)
    assert set(deny["podSelector"]) == {"matchLabels"}, "new components are closed without being named"
    webhook = [
        rule
        for rule in policies["streaming-monitoring-remediator-receiver"]["spec"]["ingress"]
        if rule["ports"] == [{"port": 8080, "protocol": "TCP"}]
    ]
    assert [rule["from"] for rule in webhook] == [
        [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "alertmanager"}}}]
    ]
    assert "ingress" not in policies["streaming-monitoring-loadgen"]["spec"]
    assert not rendered(values={"networkPolicy": {"enabled": False}}).of("NetworkPolicy")


@pytest.mark.parametrize("scenario", ALL)
def test_every_pod_has_its_openings(rendered: Render, scenario: str | None) -> None:
    """Under a default deny a component without a policy of its own could reach nothing."""
    result = rendered(scenario)
    policies = [p["spec"]["podSelector"] for n, p in result.of("NetworkPolicy").items() if "default-deny" not in n]
    for kind in WORKLOADS:
        for name, o in result.of(kind).items():
            component = o["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
            named = [
                component == selector["matchLabels"].get("app.kubernetes.io/component")
                or component in [v for e in selector.get("matchExpressions", []) for v in e["values"]]
                for selector in policies
            ]
            assert any(named), name


@pytest.mark.parametrize(
    ("scenario", "peers", "to"),
    [
        (
            "pipeline-values.yaml",
            "auto",
            {"podSelector": {"matchLabels": {"strimzi.io/kind": "Kafka", "strimzi.io/cluster": "streaming"}}},
        ),
        ("existing-values.yaml", "auto", None),
        ("existing-values.yaml", [{"ipBlock": {"cidr": "10.0.0.0/8"}}], {"ipBlock": {"cidr": "10.0.0.0/8"}}),
    ],
)
def test_where_kafka_is_reached(rendered: Render, scenario: str, peers: list[Object] | str, to: Object | None) -> None:
    name = "loadgen" if scenario.startswith("pipeline") else "kafka-exporter"
    policies = rendered(scenario, {"networkPolicy": {"kafkaPeers": peers}}).of("NetworkPolicy")
    rule = policies[f"streaming-monitoring-{name}"]["spec"]["egress"][-1]
    assert rule == ({"to": [to]} if to else {})


def test_exporter_of_a_kafka_with_tls_and_passwords(rendered: Render) -> None:
    pod = rendered("existing-kafka-values.yaml").one("Deployment", "streaming-monitoring-kafka-exporter")["spec"][
        "template"
    ]["spec"]
    (container,) = pod["containers"]
    assert [a for a in container["args"] if a.startswith("--kafka.server")] == [
        "--kafka.server=kafka-1.example.com:9094",
        "--kafka.server=kafka-2.example.com:9094",
    ]
    assert {"--sasl.enabled", "--sasl.mechanism=scram-sha512", "--tls.enabled", "--kafka.version=3.9.0"} <= set(
        container["args"]
    )
    assert "--tls.ca-file=/etc/kafka-tls/ca.crt" in container["args"]
    assert not [a for a in container["args"] if "password" in a or "cert-file" in a]
    secrets = {e["name"]: e["valueFrom"]["secretKeyRef"] for e in container["env"]}
    assert secrets["SASL_USER_PASSWORD"] == {"name": "kafka-user", "key": "password"}
    assert pod["volumes"] == [{"name": "tls", "secret": {"secretName": "kafka-tls", "defaultMode": 0o440}}]
    client = {"kafka": {"existing": {"exporter": {"tls": {"clientCertificate": True}}}}}
    pod = rendered("existing-kafka-values.yaml", client).one("Deployment", "streaming-monitoring-kafka-exporter")
    args = pod["spec"]["template"]["spec"]["containers"][0]["args"]
    assert {"--tls.cert-file=/etc/kafka-tls/tls.crt", "--tls.key-file=/etc/kafka-tls/tls.key"} <= set(args)


def test_existing_strimzi_still_gets_our_cluster(rendered: Render) -> None:
    result = rendered("existing-strimzi-values.yaml")
    assert result.one("Kafka", "events")["spec"]["kafka"]["config"]["default.replication.factor"] == 3
    assert result.one("KafkaNodePool", "events")["metadata"]["labels"]["strimzi.io/cluster"] == "events"


def test_each_team_has_its_policy(rendered: Render) -> None:
    result = rendered("namespaces-values.yaml")
    policies = result.of("FlinkRemediationPolicy")
    assert "high-kafka-lag" not in policies
    for team in ("team-a", "team-b"):
        spec = PolicySpec.model_validate(policies[f"high-kafka-lag-{team}"]["spec"])
        assert spec.target.namespace == team
        assert spec.match[-1].value == f"{team}-.*"
    monitor = result.one("PodMonitor", "streaming-monitoring-flink")["spec"]
    assert monitor["namespaceSelector"] == {"matchNames": ["team-a", "team-b"]}


def test_production_survives_the_loss_of_a_node(rendered: Render) -> None:
    result = rendered("production-values.yaml")
    pool, kafka = result.one("KafkaNodePool", "streaming")["spec"], result.one("Kafka", "streaming")["spec"]["kafka"]
    assert pool["replicas"] == 3
    assert pool["storage"]["volumes"][0]["type"] == "persistent-claim"
    assert pool["template"]["pod"]["topologySpreadConstraints"][0]["topologyKey"] == "kubernetes.io/hostname"
    assert kafka["config"]["default.replication.factor"] == 3
    assert kafka["config"]["min.insync.replicas"] == 2
    for role in ("receiver", "controller"):
        assert result.one("Deployment", f"streaming-monitoring-remediator-{role}")["spec"]["replicas"] == 2


def test_renders_next_to_its_dependencies(helm: Callable[..., str], tmp_path: Path) -> None:
    """With those of charts/ if somebody fetched them, else with the stand-ins: no object is there twice."""
    command = render.template_arguments(render.prepare(tmp_path), "streaming-monitoring", "streaming")
    text = helm([*command, f"--values={PROFILES / 'pipeline-values.yaml'}"])
    names = re.findall(r"^kind: (\S+)\nmetadata:\n  name: (\S+)$", text, flags=re.MULTILINE)
    assert len(names) > 30
    assert len(names) == len(set(names))


def test_definitions_are_in_the_chart(helm: Callable[..., str], chart: Path) -> None:
    """Helm installs what is in crds/ before everything else, so that the default policy is known."""
    kinds = {crd["spec"]["names"]["kind"] for crd in yaml.safe_load_all(helm(["show", "crds", str(chart)])) if crd}
    assert {"FlinkRemediation", "FlinkRemediationPolicy"} <= kinds


@pytest.fixture
def notes(helm: Callable[..., str], chart: Path, tmp_path: Path) -> Callable[..., str]:
    """What Helm prints after an installation."""

    def install(scenario: str, *arguments: str) -> str:
        with fake_api.serve([]) as kubeconfig:
            (tmp_path / "kubeconfig").write_text(kubeconfig)
            command = [
                "install",
                "streaming-monitoring",
                str(chart),
                "--namespace=streaming",
                "--dry-run=server",
                f"--values={render.REGISTRY}",
            ]
            command += ["--disable-openapi-validation", f"--kubeconfig={tmp_path / 'kubeconfig'}"]
            return helm([*command, f"--values={PROFILES / scenario}", *arguments]).partition("NOTES:")[2]

    return install


def test_notes_say_what_to_do_next(notes: Callable[..., str]) -> None:
    text = notes("pipeline-values.yaml", "--set=pipeline.checkpoints.emptyDir=true")
    assert "kubectl -n streaming get frem" in text
    assert "WARNING: checkpoints are on an emptyDir" in text
    assert "configmap streaming-monitoring-loadgen" in text
    assert "svc/streaming-monitoring-data-monitor 8001" in text
    assert "get secret grafana" in text
    assert "get kafka streaming -o jsonpath='{.status.clusterId}'" in text
    quiet = notes("pipeline-values.yaml", "--set=kube-prometheus-stack.grafana.enabled=false")
    assert "grafana" not in quiet.lower()
    assert "svc/kps-prometheus 9090" in quiet


def test_notes_say_what_an_existing_platform_must_have(notes: Callable[..., str]) -> None:
    text = notes("existing-values.yaml")
    assert "alertmanagerConfigMatcherStrategy {type: None}" in text
    assert "Watchdog" in text
    assert "grafana" not in text
    assert "WARNING: the policy high-kafka-lag" in text
    assert "WARNING" not in notes("namespaces-values.yaml")
