"""The remediator in the chart: rights, flags, secret, policy."""

import base64

import metrics_catalogue
import pytest
import render
from chart.conftest import Object, Render
from remediator.__main__ import parser
from remediator.api.policy import ActionType, PolicySpec
from remediator.api.remediation import TargetReference
from remediator.core.template import render as fill

NAME = "streaming-monitoring-remediator"
ROLES = ("receiver", "controller")
Rights = set[tuple[str, str, str, str]]


def rights(rendered: Render, role: str, scenario: str | None = None) -> Rights:
    """What a role may do: (namespace, group, resource, verb)."""
    result = rendered(scenario)
    roles = {
        (o["metadata"].get("namespace", "streaming"), o["metadata"]["name"]): o
        for o in result.objects
        if o["kind"] == "Role"
    }
    found = set()
    for binding in (o for o in result.objects if o["kind"] == "RoleBinding"):
        if binding["subjects"] != [{"kind": "ServiceAccount", "name": f"{NAME}-{role}", "namespace": "streaming"}]:
            continue
        namespace = binding["metadata"]["namespace"]
        for rule in roles[namespace, binding["roleRef"]["name"]]["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    found |= {(namespace, group, resource, verb) for verb in rule["verbs"]}
    return found


def verbs(found: Rights, resource: str, namespace: str = "streaming") -> set[str]:
    return {verb for where, _, what, verb in found if what == resource and where == namespace}


def by_resource(found: Rights) -> dict[str, set[str]]:
    return {f"{group}/{what}": verbs(found, what) for _, group, what, _ in found}


GROUP = "remediation.streaming-monitoring.dev"


def test_rights_are_these_and_no_more(rendered: Render) -> None:
    """That they suffice, and what is refused without them, is in tests/apiserver/test_rbac.py."""
    assert by_resource(rights(rendered, "receiver")) == {
        f"{GROUP}/flinkremediations": {"create", "get", "list", "watch", "patch"},
        f"{GROUP}/flinkremediationpolicies": {"list", "watch"},
        "flink.apache.org/flinkdeployments": {"get", "list", "watch"},
    }
    assert by_resource(rights(rendered, "controller")) == {
        f"{GROUP}/flinkremediations": {"get", "list", "watch", "patch", "delete"},
        f"{GROUP}/flinkremediations/status": {"update"},
        f"{GROUP}/flinkremediationpolicies": {"get", "list", "watch"},
        f"{GROUP}/flinkremediationpolicies/status": {"update"},
        "flink.apache.org/flinkdeployments": {"get", "list", "watch", "patch"},
        "coordination.k8s.io/leases": {"create", "get", "update"},
        "events.k8s.io/events": {"create"},
    }


def test_rights_follow_the_target_namespaces(rendered: Render) -> None:
    found = rights(rendered, "controller", "existing-values.yaml")
    assert verbs(found, "flinkdeployments") == set()
    for namespace in ("jobs-a", "jobs-b"):
        assert "patch" in verbs(found, "flinkdeployments", namespace)
        assert "create" in verbs(found, "events", namespace)
        assert verbs(found, "flinkremediations", namespace) == set()


def test_nothing_is_cluster_wide_but_the_upgrade_of_definitions(rendered: Render) -> None:
    result = rendered("pipeline-values.yaml")
    for o in [*result.of("ClusterRole").values(), *result.of("ClusterRoleBinding").values()]:
        assert o["metadata"]["annotations"]["helm.sh/hook"] == "pre-upgrade"


@pytest.mark.parametrize("scenario", [None, "existing-values.yaml"])
@pytest.mark.parametrize("role", ROLES)
def test_flags_are_those_of_the_program(
    rendered: Render, role: str, scenario: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = rendered(scenario).one("Deployment", f"{NAME}-{role}")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    for variable in container.get("env", []):
        monkeypatch.setenv(variable["name"], variable["value"])
    arguments = parser().parse_args(container["args"])
    assert arguments.command == role
    assert arguments.namespace == "streaming"
    assert arguments.target_namespace == (["streaming"] if scenario is None else ["jobs-a", "jobs-b"])
    assert pod["serviceAccountName"] == f"{NAME}-{role}"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["metrics"] == arguments.metrics_port
    if role == "receiver":
        assert ports["http"] == arguments.port
        assert str(arguments.token_file) == "/etc/remediator/webhook/token"


@pytest.mark.parametrize("role", ROLES)
def test_several_replicas_are_never_all_drained(rendered: Render, role: str) -> None:
    for replicas in (1, 2):
        result = rendered(values={"remediator": {role: {"replicas": replicas}}})
        deployment = result.one("Deployment", f"{NAME}-{role}")
        assert deployment["spec"]["replicas"] == replicas
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        pod = deployment["spec"]["template"]
        (spread,) = pod["spec"]["topologySpreadConstraints"]
        selector = spread["labelSelector"]["matchLabels"]
        assert selector.items() <= pod["metadata"]["labels"].items()
        budgets = result.of("PodDisruptionBudget")
        if replicas == 1:
            assert f"{NAME}-{role}" not in budgets  # it would block every drain
        else:
            assert budgets[f"{NAME}-{role}"]["spec"] == {"minAvailable": 1, "selector": {"matchLabels": selector}}


def test_two_receivers_and_one_controller_by_default(rendered: Render) -> None:
    replicas = {role: rendered().one("Deployment", f"{NAME}-{role}")["spec"]["replicas"] for role in ROLES}
    assert replicas == {"receiver": 2, "controller": 1}


def test_token_is_random_and_can_be_ones_own(rendered: Render) -> None:
    renderings = [rendered(scenario) for scenario in (None, "pipeline-values.yaml")]
    first, second = (result.one("Secret", f"{NAME}-webhook")["data"]["token"] for result in renderings)
    assert first != second
    assert len(base64.b64decode(first)) == 40
    own = rendered(values={"remediator": {"webhook": {"existingSecret": "mine"}}})
    assert not own.of("Secret")
    volumes = own.one("Deployment", f"{NAME}-receiver")["spec"]["template"]["spec"]["volumes"]
    assert "mine" in [v["secret"]["secretName"] for v in volumes if "secret" in v]


def test_webhook_by_tls(rendered: Render) -> None:
    result = rendered(values={"remediator": {"webhook": {"tls": {"existingSecret": "webhook-tls"}}}})
    host = f"{NAME}-receiver.streaming.svc"
    for config in ("remediator", "watchdog"):
        (receiver,) = result.one("AlertmanagerConfig", f"streaming-monitoring-{config}")["spec"]["receivers"]
        (webhook,) = receiver["webhookConfigs"]
        assert webhook["url"] == f"https://{host}:8080/alerts"
        assert webhook["httpConfig"]["tlsConfig"] == {
            "ca": {"secret": {"name": "webhook-tls", "key": "ca.crt"}},
            "serverName": host,
        }
    pod = result.one("Deployment", f"{NAME}-receiver")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (
        container["livenessProbe"]["httpGet"]["scheme"] == container["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"
    )
    arguments = parser().parse_args([*container["args"], "--alertmanager-url="])
    (mount,) = [m for m in container["volumeMounts"] if m["name"] == "tls"]
    assert {str(arguments.tls_cert_file), str(arguments.tls_key_file)} == {
        f"{mount['mountPath']}/tls.crt",
        f"{mount['mountPath']}/tls.key",
    }


def policy(rendered: Render, values: Object | None = None) -> Object:
    return rendered(values=values).one("FlinkRemediationPolicy", "high-kafka-lag")["spec"]


# What each alert about one job is answered with, and whether only a person's word or a failed job lets it.
ANSWERS = {
    "high-kafka-lag": ("HighKafkaLag", ActionType.SCALE, False, False),
    "flink-checkpoint-failures": ("FlinkCheckpointFailures", ActionType.RESTORE, False, False),
    "flink-job-restart-loop": ("FlinkJobRestartLoop", ActionType.RESTORE, False, True),
    "flink-task-manager-down": ("FlinkTaskManagerDown", ActionType.RESTORE, False, True),
    "kafka-consumer-stalled": ("KafkaConsumerStalled", ActionType.RESTORE, True, False),
}


def test_the_default_policies_answer_every_critical_alert_about_a_job(rendered: Render) -> None:
    assert set(rendered().of("FlinkRemediationPolicy")) == set(ANSWERS)
    rules = [r for o in rendered().of("PrometheusRule").values() for g in o["spec"]["groups"] for r in g["rules"]]
    critical = {r["alert"]: r for r in rules if r.get("labels", {}).get("severity") == "critical"}
    about_a_job = {name for name, rule in critical.items() if rule["labels"]["category"] in ("kafka", "flink")}
    # Where to read on after a topic was emptied is a choice that only a person can make.
    assert {alert for alert, *_ in ANSWERS.values()} == about_a_job - {"KafkaOffsetsBeyondEnd"}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_default_policy_is_valid_and_its_query_finds_the_alerts_job(rendered: Render, name: str) -> None:
    spec = PolicySpec.model_validate(rendered().one("FlinkRemediationPolicy", name)["spec"], extra="forbid")
    alert, action, asks, only_failed = ANSWERS[name]
    assert [m.value for m in spec.match] == [alert, "critical"]
    assert [a.type for a in spec.actions] == [action]
    assert spec.guards.approval.required is asks
    restore = spec.actions[0].restore
    assert (restore is not None and restore.only_if_failed) is only_failed
    assert spec.actions[0].scale is None or spec.actions[0].scale.max == 4
    assert spec.verify.query is not None
    found_by = {"namespace": "streaming", spec.target.name_label or spec.target.consumer_group_label: "ml-recommender"}
    query = fill(spec.verify.query, found_by, TargetReference(namespace="streaming", name="ml-recommender"))
    assert metrics_catalogue.mistakes(query) == []
    assert query.count('"ml-recommender"') == query.count('namespace="streaming"') >= 1


def test_success_follows_the_alerts_threshold(rendered: Render) -> None:
    query = (
        'streaming:kafka_consumergroup_lag:sum{namespace="{{ labels.namespace }}",'
        'strimzi_io_cluster="{{ labels.strimzi_io_cluster? }}",'
        'consumergroup="{{ labels.consumergroup }}"} < '
    )
    assert policy(rendered)["verify"]["query"] == query + "1000"
    higher = {"rules": {"overrides": {"HighKafkaLag": {"threshold": 1_000_000}}}}
    assert policy(rendered, higher)["verify"]["query"] == query + "1000000"
    own = {"remediator": {"policies": {"high-kafka-lag": {"spec": {"verify": {"query": "up"}}}}}}
    assert policy(rendered, own)["verify"]["query"] == "up"


def test_lag_is_about_jobs_in_the_one_other_namespace(rendered: Render) -> None:
    """The alert carries the namespace of Kafka."""
    stalled = rendered(values={"targetNamespaces": ["jobs"]}).one("FlinkRemediationPolicy", "kafka-consumer-stalled")
    assert stalled["spec"]["target"]["namespace"] == "jobs"
    assert "namespace" not in policy(rendered)["target"]
    assert policy(rendered, {"targetNamespaces": ["jobs"]})["target"]["namespace"] == "jobs"
    PolicySpec.model_validate(policy(rendered, {"targetNamespaces": ["jobs"]}), extra="forbid")
    assert "namespace" not in policy(rendered, {"targetNamespaces": ["jobs", "more"]})["target"]


def test_policies_can_be_added_and_switched_off(rendered: Render) -> None:
    values = {
        "remediator": {
            "policies": {
                **{name: {"enabled": False} for name in ANSWERS},
                "mine": {"enabled": True, "spec": {"mode": "Observe"}},
            }
        }
    }
    assert set(rendered(values=values).of("FlinkRemediationPolicy")) == {"mine"}


def test_off_leaves_nothing_behind(rendered: Render) -> None:
    result = rendered(values={"remediator": {"enabled": False}})
    assert not [o for o in result.objects if "remediator" in o["metadata"]["name"] and o["kind"] != "PodMonitor"]


def exporter(**values: Object) -> Object:
    return {"kafka": {"enabled": False, "existing": {"bootstrapServers": "kafka:9092", "exporter": values}}}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kafak": {}}, "kafak"),
        ({"kafka": {"enable": True}}, "enable"),
        ({"pipeline": {"job": {"upgradeMode": "stateless"}}}, "upgradeMode"),
        ({"pipeline": {"job": {"parallelism": "two"}}}, "parallelism"),
        ({"pipeline": {"flinkConfiguration": {"metrics.reporter.prom.port": 9250}}}, "metrics.reporter.prom.port"),
        ({"rules": {"overrides": {"HighKafkaLag": {"treshold": 1}}}}, "treshold"),
        ({"remediator": {"receiver": {"replicas": 0}}}, "replicas"),
        ({"kube-prometheus-stack": {"enabled": False}}, "url is needed"),
        ({"kafka": {"enabled": False}, "pipeline": {"enabled": True}}, "kafka.existing.bootstrapServers"),
        ({"pipeline": {"enabled": True, "serviceAccount": {"create": True}}}, "serviceAccount.create"),
        ({"rules": {"additional": {"mine": {"rules": []}}}}, "additional/mine"),
        (exporter(sasl={"mechanism": "scram-sha512"}), "exporter.sasl.existingSecret"),
        (exporter(tls={"enabled": True, "clientCertificate": True}), "exporter.tls.existingSecret"),
        (exporter(tls={"existingSecret": "kafka-tls"}), "exporter.tls.enabled is false"),
    ],
)
def test_mistakes_have_readable_errors(rendered: Render, values: Object, words: str) -> None:
    with pytest.raises(render.RenderError) as error:
        rendered(values=values)
    assert words in str(error.value)
    assert len(str(error.value)) < 600
