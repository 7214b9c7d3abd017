"""Whatever name Helm takes and whatever is left empty: valid Kubernetes, or a refusal that names the key."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import render
import yaml
from chart import strict_yaml
from chart.conftest import Object
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("RENDERINGS", "500"))
DNS_1035 = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
LONGEST = {"Service": 63, "StatefulSet": 52, "Job": 63}
# Some of what YAML takes for something else.
AMBIGUOUS = [
    "true",
    "false",
    "null",
    "yes",
    "no",
    "on",
    "off",
    "y",
    "n",
    "123",
    "12345",
    "1e3",
    "0x1f",
    "0b1",
    "007",
    "1-1",
]

NAMES = ("name", "namespace", "image", "serviceAccountName", "serviceAccount", "secretName", "claimName")

Template = Callable[[str, str, Object], str]


# What Helm takes: DNS-1123 subdomains of at most 53 characters, in namespaces that are DNS-1123 labels.
release_names = st.one_of(
    st.sampled_from([*AMBIGUOUS, "my.release", "1.5", "a" * 53, "recommendations-prod", "0" * 53, "a.b-c.d"]),
    st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,51}[a-z0-9])?", fullmatch=True).filter(
        lambda name: DNS_1123.fullmatch(name) is not None
    ),
)
namespaces = st.one_of(
    st.sampled_from([*AMBIGUOUS, "a" * 63]), st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
)


@pytest.fixture(scope="module")
def template(helm: Callable[..., str], chart: Path, tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Render the chart with values; gives the text. Raises RenderError."""
    path = tmp_path_factory.mktemp("values") / "values.yaml"

    def run(release: str, namespace: str, values: Object) -> str:
        path.write_text(json.dumps(values))
        # Helm lives too short for its garbage to matter: half of its time.
        return helm([*render.template_arguments(chart, release, namespace), f"--values={path}"], {"GOGC": "off"})

    return run


def texts(o: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """What must be a text in an object, with where it is: names, namespaces, labels, annotations, images, arguments."""
    if isinstance(o, dict):
        for key, value in o.items():
            path = f"{where}.{key}"
            if key in ("labels", "annotations", "matchLabels", "nodeSelector", "flinkConfiguration", "data"):
                yield from ((f"{path}.{name}", text) for name, text in (value or {}).items())
            elif key in ("args", "command", "resourceNames", "matchNames"):
                yield from ((path, text) for text in value)
            elif key in NAMES and not isinstance(value, dict):
                yield path, value
            if key not in ("data", "flinkConfiguration"):
                yield from texts(value, path)
    elif isinstance(o, list):
        for number, part in enumerate(o):
            yield from texts(part, f"{where}[{number}]")


def faults(text: str) -> list[str]:
    """What an API server or a controller would not take of a rendering, in words."""
    found = []
    objects = strict_yaml.load_all(text)
    seen = set()
    for o in objects:
        kind, metadata = o["kind"], o["metadata"]
        name = metadata["name"]
        key = f"{kind} {metadata.get('namespace', '')}/{name}"
        if key in seen:
            found.append(f"{key}: twice")
        seen.add(key)
        found += [f"{key}{path}: {value!r} is no text" for path, value in texts(o) if not isinstance(value, str)]
        if not isinstance(name, str) or any("is no text" in fault for fault in found):
            continue
        pattern = DNS_1035 if kind == "Service" else DNS_1123
        if not pattern.fullmatch(name) or len(name) > LONGEST.get(kind, 253):
            found.append(f"{key}: no name for a {kind}")
        labels = {**metadata["labels"], **_pod_labels(o)}
        found += [f"{key}: label {k}={v}" for k, v in labels.items() if not LABEL_VALUE.fullmatch(v)]
        selector = o.get("spec", {}).get("selector", {})
        if kind in ("Deployment", "StatefulSet") and not selector["matchLabels"].items() <= _pod_labels(o).items():
            found.append(f"{key}: selects not its own pods")
        if kind == "NetworkPolicy":
            rules = [*(o["spec"].get("ingress") or []), *(o["spec"].get("egress") or [])]
            found += [
                f"{key}: no peers is everybody" for r in rules if any(r.get(side) == [] for side in ("from", "to"))
            ]
    pods = [_pod_labels(o) for o in objects if _pod_labels(o)]
    for o in objects:
        if o["kind"] == "Service" and not any(o["spec"]["selector"].items() <= pod.items() for pod in pods):
            found.append(f"Service {o['metadata']['name']}: selects nothing")
    return found


def _pod_labels(o: Object) -> dict[str, str]:
    if o["kind"] not in ("Deployment", "StatefulSet", "Job"):
        return {}
    return dict(o["spec"]["template"]["metadata"]["labels"])


# Rendering is most of the time, and the dashboards' text most of what is read then.
QUICK: Object = {"dashboards": {"enabled": False}, "rules": {"enabled": False}, "pipeline": {"enabled": True}}


def nested(path: tuple[str, ...], value: Any) -> Object:
    """A values file with one key."""
    for key in reversed(path):
        value = {key: value}
    return value


def merged(parts: list[Object]) -> Object:
    """Values files over each other, as Helm merges them."""
    result: Object = {}
    for part in parts:
        for key, value in part.items():
            old = result.get(key)
            result[key] = merged([old, value]) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def keys() -> list[tuple[str, ...]]:
    """Every key of values.yaml, at any depth."""

    def walk(values: Object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for key, value in values.items():
            yield (*path, key)
            # What is inside of a policy is the CRD's to judge.
            if isinstance(value, dict) and path != ("remediator", "policies"):
                yield from walk(value, (*path, key))

    return list(walk(yaml.safe_load((render.CHART / "values.yaml").read_text()), ()))


empty_keys = st.lists(st.sampled_from(keys()), min_size=1, max_size=4).map(
    lambda paths: merged([nested(path, None) for path in paths])
)
tolerations = st.just([{"operator": "Exists"}])
OURS = ("name", "instance", "component", "part-of", "managed-by", "version")
label_keys = st.sampled_from(
    ["team", "app", "release", "helm.sh/chart", "grafana_dashboard", *(f"app.kubernetes.io/{name}" for name in OURS)]
)
labels = st.dictionaries(label_keys, st.sampled_from(["", "platform", *AMBIGUOUS]), max_size=4)
peers = st.sampled_from([[], [{"podSelector": {}}], [{"ipBlock": {"cidr": "10.0.0.0/8"}}]])
names = st.sampled_from(["", "a", "streaming-monitoring", "x" * 39, "null", "e1", "a" * 60])
monitor_names = st.one_of(
    st.sampled_from(["ranking", "a" * 40, "e1", "null", "true", "reference", "reports"]),
    st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True),
)
monitor = st.fixed_dictionaries(
    {"kafka": st.just({"topic": "t"}), "reference": st.sampled_from([{"content": "{}"}, {"existingClaim": "c"}])},
    optional={
        "enabled": st.booleans(),
        "replicas": st.sampled_from([1, 3, None]),
        "config": st.sampled_from([{}, None, {"fields": {"prediction": None}}, {"state": {"store": "topic"}}]),
        "podLabels": labels,
        "groundTruth": st.sampled_from(
            [None, {"topic": "labels"}, {"topic": "labels", "wait": None}, {"fields": None}]
        ),
        "reports": st.sampled_from([None, {"enabled": False}, {"url": "https://r.example.com"}, {"gateway": None}]),
        "schemaRegistry": st.sampled_from(
            [None, {"url": "https://r:1"}, {"url": "http://r", "peers": []}, {"existingSecret": "s"}]
        ),
    },
)
SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "commonLabels": labels,
    "prometheus.selectorLabels": labels,
    "dashboards.labels": labels,
    "dashboards.enabled": st.booleans(),
    "rules.enabled": st.booleans(),
    "remediator.podLabels": labels,
    "dataMonitor.podLabels": labels,
    "remediator.tolerations": tolerations,
    "hooks.tolerations": tolerations,
    "pipeline.tolerations": tolerations,
    "dataMonitor.nodeSelector": st.just({"pool": "1"}),
    "remediator.affinity": st.just({"podAntiAffinity": {}}),
    "networkPolicy.alertmanagerPeers": peers,
    "networkPolicy.prometheusPeers": peers,
    "networkPolicy.kafkaPeers": st.one_of(peers, st.just("auto")),
    "networkPolicy.apiServerPeers": st.one_of(peers, st.just("any")),
    "dataMonitor.reports.readers": peers,
    "dataMonitor.enabled": st.booleans(),
    "dataMonitor.replicas": st.sampled_from([1, 2]),
    "dataMonitors": st.dictionaries(monitor_names, st.none() | monitor, max_size=3),
    "nameOverride": st.sampled_from(["", "monitoring", "123"]),
    "fullnameOverride": names,
    "kube-prometheus-stack.fullnameOverride": names,
    "kube-prometheus-stack.nameOverride": names,
    "kube-prometheus-stack.namespaceOverride": st.sampled_from(["", "monitoring", "123"]),
    "global.imageRegistry": st.sampled_from(["", "mirror.example.com", "mirror.example.com/", "localhost:5000/a"]),
    "global.imagePullSecrets": st.sampled_from([[], ["pull"], [{"name": "pull"}], ["123"]]),
    "image.pullSecrets": st.sampled_from([[], ["pull"], ["123"]]),
    "image.registry": st.sampled_from(["r.example.com", "r.example.com/", "r.example.com:5000/team/"]),
    "image.local": st.booleans(),
    "remediator.image.tag": st.sampled_from(["", "1.20", "007", "latest"]),
    "remediator.image.digest": st.sampled_from(["", "sha256:" + "0" * 64]),
    "securityContext": st.sampled_from(["restricted", "openshift", "none"]),
    "hooks.enabled": st.booleans(),
    "pipeline.enabled": st.booleans(),
    "pipeline.panes.enabled": st.booleans(),
    "pipeline.topics": st.sampled_from([[], [{"name": "123", "partitions": 1}]]),
    "pipeline.consumerGroup": st.sampled_from(AMBIGUOUS),
    "pipeline.serviceAccount.name": st.sampled_from(["123", "true", "flink"]),
    "kafka.clusterName": st.sampled_from(["null", "streaming", "e1"]),
    "kafka.enabled": st.booleans(),
    "kafka.existing.bootstrapServers": st.sampled_from(["k:9092", "a:9092, b:9092"]),
    "flink-kubernetes-operator.enabled": st.booleans(),
    "flink-kubernetes-operator.jobServiceAccount.create": st.booleans(),
    "strimzi-kafka-operator.enabled": st.booleans(),
    "kube-prometheus-stack.enabled": st.booleans(),
    "prometheus.url": st.sampled_from(["", "http://p:9090"]),
    "alertmanager.url": st.sampled_from(["", "http://a:9093"]),
    "targetNamespaces": st.sampled_from([[], ["123"], ["true", "null"]]),
    "rules.overrides": st.sampled_from([{}, {"HighKafkaLag": None}, {"HighKafkaLag": {"threshold": None}}]),
    "remediator.policies.high-kafka-lag": st.sampled_from(
        [None, {"spec": None}, {"enabled": None}, {"enabled": False}]
    ),
    "remediator.extraEnv": st.just([{"name": "A", "value": "1"}]),
    "extraObjects": st.just([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "labels": {}}}]),
}
chosen = st.lists(st.sampled_from(sorted(SETTINGS)), max_size=6, unique=True).flatmap(
    lambda paths: st.tuples(*[SETTINGS[path].map(lambda v, p=path: nested(tuple(p.split(".")), v)) for path in paths])
)


def named(message: str) -> bool:
    """Whether a refusal says which key it is about, and is not the engine's own words about a template."""
    if "nil pointer" in message or ("error calling" in message and "execution error" not in message):
        return False
    top = yaml.safe_load((render.CHART / "values.yaml").read_text())
    return any(re.search(rf"\b{re.escape(key)}\b", message) for key in top)


@settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=True)
@example("1e400", "true", (), {})
@given(release_names, namespaces, chosen, empty_keys | st.just({}))
def test_any_name_and_any_value_renders_or_is_refused_by_name(
    template: Template, release: str, namespace: str, parts: tuple[Object, ...], empty: Object
) -> None:
    values = merged([QUICK, empty, *parts])
    try:
        text = template(release, namespace, values)
    except render.RenderError as error:
        text = ""
        refusal = str(error)
    if not text:
        assert named(refusal), f"{values}\n{refusal}"
        return
    assert faults(text) == [], values


def comparable(text: str) -> list[Object]:
    """Objects of a rendering, without the token that is random."""
    objects = strict_yaml.load_all(text)
    for o in objects:
        if o["kind"] == "Secret":
            o["data"]["token"] = ""
    return objects


FOREIGN = ("global", *(d["name"] for d in yaml.safe_load((render.CHART / "Chart.yaml").read_text())["dependencies"]))


@pytest.mark.parametrize("depth", range(1, 1 + max(len(key) for key in keys())))
def test_a_key_that_is_left_empty_has_its_default(template: Template, depth: int) -> None:
    """All keys of a depth at once, but for entries of maps whose keys are the user's: those go away with null."""
    leaves = [tuple(leaf["path"]) for leaf in json.loads((render.CHART / "files/defaults.json").read_text())["leaves"]]
    paths = sorted(
        {path[:depth] for path in leaves if len(path) >= depth}
        - {("remediator", "policies", n[2]) for n in leaves if len(n) > 3}
    )
    # What a first rendering cannot do without.
    paths = [path for path in paths if path[0] not in ("image", *FOREIGN) and path != ("pipeline", "enabled")]
    base = nested(("pipeline", "enabled"), True)
    empty = merged([nested(path, None) for path in paths if path != ("pipeline",)])
    text = template("sm", "streaming", merged([empty, base]))
    assert comparable(text) == comparable(template("sm", "streaming", base))


@pytest.mark.parametrize("key", FOREIGN)
def test_a_dependencys_block_may_be_empty(template: Template, key: str) -> None:
    assert faults(template("sm", "streaming", {key: None, "pipeline": {"enabled": True}})) == []


@pytest.mark.parametrize(
    ("release", "override", "name"),
    [
        ("recommendations-prod", "", "recommendations-prod-streaming-monitori"),
        ("12345", "", "sm-12345-streaming-monitoring"),
        ("my.release", "", "my-release-streaming-monitoring"),
        ("sm", "a" * 38 + "-b", "a" * 38),
    ],
)
def test_names_are_made_to_fit(template: Template, release: str, override: str, name: str) -> None:
    text = template(release, "streaming", {**QUICK, "fullnameOverride": override})
    services = {o["metadata"]["name"] for o in strict_yaml.load_all(text) if o["kind"] == "Service"}
    assert services == {f"{name}-remediator-receiver", f"{name}-data-monitor"}
    assert faults(text) == []


def objects(text: str, kind: str) -> dict[str, Object]:
    return {o["metadata"]["name"]: o for o in strict_yaml.load_all(text) if o["kind"] == kind}


def test_labels_of_the_user_stand_once_and_leave_selectors_alone(template: Template) -> None:
    own = {"app.kubernetes.io/part-of": "platform", "app.kubernetes.io/component": "mine", "grafana_dashboard": "2"}
    text = template("sm", "streaming", {"commonLabels": own, "dashboards": {"labels": {"grafana_dashboard": "1"}}})
    assert faults(text) == []
    for name, o in objects(text, "ConfigMap").items():
        assert o["metadata"]["labels"]["app.kubernetes.io/part-of"] == "platform"
        assert o["metadata"]["labels"]["grafana_dashboard"] == ("1" if "dashboard" in name else "2")
        assert o["metadata"]["labels"]["app.kubernetes.io/component"] != "mine"


def pods(text: str) -> dict[str, Object]:
    """Pod specs of ours by the name of their object; of a FlinkDeployment, the template of all its pods."""
    found = {}
    for o in strict_yaml.load_all(text):
        template = o.get("spec", {}).get("template") or o.get("spec", {}).get("podTemplate")
        if template:
            found[o["metadata"]["name"]] = template["spec"]
    return found


PLACED = {
    "nodeSelector": {"pool": "streaming"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
}


def test_placement_reaches_every_pod(template: Template) -> None:
    """Those of the hooks follow the remediator's."""
    parts = ("remediator", "pipeline", "dataMonitor")
    values = merged([nested((part,), PLACED) for part in parts])
    exporter = {**nested(("kafka", "existing"), {"bootstrapServers": "k:9092", "exporter": PLACED})}
    found = {
        **pods(template("sm", "streaming", merged([QUICK, values]))),
        **pods(template("sm", "streaming", merged([values, exporter, {"kafka": {"enabled": False}}]))),
    }
    assert len([name for name in found if name.endswith(("-crds", "uninstall", "test"))]) == 3
    assert len(found) == 9
    for name, pod in found.items():
        assert {key: pod.get(key) for key in PLACED} == PLACED, name


def test_hooks_may_run_elsewhere(template: Template) -> None:
    own = {"hooks": {"tolerations": [{"operator": "Exists"}]}, "remediator": PLACED}
    found = pods(template("sm", "streaming", merged([QUICK, own])))
    hook = found["sm-streaming-monitoring-uninstall"]
    assert (hook["tolerations"], hook["nodeSelector"]) == ([{"operator": "Exists"}], PLACED["nodeSelector"])


def test_nobody_is_not_everybody(template: Template) -> None:
    lists = ("alertmanagerPeers", "prometheusPeers", "kafkaPeers", "apiServerPeers", "jobManagerPeers")
    text = template("sm", "streaming", {**QUICK, "networkPolicy": {key: [] for key in lists}})
    assert faults(text) == []
    policies = objects(text, "NetworkPolicy")
    receiver = policies["sm-streaming-monitoring-remediator-receiver"]["spec"]
    assert receiver["ingress"] is None
    assert [rule["ports"][0]["port"] for rule in receiver["egress"]] == [53]
    assert policies["sm-streaming-monitoring-hooks"]["spec"]["egress"] is None


@pytest.mark.parametrize(
    ("stack", "url"),
    [
        ({"fullnameOverride": ""}, "http://sm-kube-prometheus-stack-prometheus.streaming.svc:9090"),
        ({"fullnameOverride": None}, "http://sm-kube-prometheus-stack-prometheus.streaming.svc:9090"),
        ({"fullnameOverride": "", "nameOverride": "m"}, "http://sm-prometheus.streaming.svc:9090"),
        ({"fullnameOverride": "a" * 30}, f"http://{'a' * 26}-prometheus.streaming.svc:9090"),
        ({"namespaceOverride": "monitoring"}, "http://kps-prometheus.monitoring.svc:9090"),
        ({"prometheus": {"service": {"port": 80}}}, "http://kps-prometheus.streaming.svc:80"),
        ({"prometheus": {"prometheusSpec": {"routePrefix": "/p"}}}, "http://kps-prometheus.streaming.svc:9090/p"),
    ],
)
def test_the_address_of_prometheus_follows_the_stack(template: Template, stack: Object, url: str) -> None:
    text = template("sm", "streaming", {**QUICK, "kube-prometheus-stack": stack})
    pod = objects(text, "Deployment")["sm-streaming-monitoring-remediator-controller"]["spec"]["template"]["spec"]
    assert f"--prometheus-url={url}" in pod["containers"][0]["args"]


def ids(pod: Object) -> set[str]:
    """Keys with which a pod or a container of it asks for a user."""
    contexts = [pod, *pod["containers"], *pod.get("initContainers", [])]
    return {key for one in contexts for key in one.get("securityContext", {})} & {"runAsUser", "runAsGroup", "fsGroup"}


def test_openshift_assigns_the_users(template: Template) -> None:
    for mode, wanted in (("openshift", False), ("restricted", True)):
        found = pods(template("sm", "streaming", {**QUICK, "securityContext": mode}))
        assert {name: bool(ids(pod)) for name, pod in found.items()} == dict.fromkeys(found, wanted)
        assert all(pod["securityContext"]["runAsNonRoot"] for pod in found.values())
    found = pods(template("sm", "streaming", {**QUICK, "securityContext": "none"}))
    assert not [name for name, pod in found.items() if "securityContext" in json.dumps(pod)]


EXPORTER = {"kafka": {"enabled": False, "existing": {"bootstrapServers": "k:9092"}}}
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("values", "image", "exporter", "policy"),
    [
        ({"image": {"registry": "r.io/"}}, "r.io/streaming-monitoring/remediator:0.1.0", "docker.io/", "IfNotPresent"),
        (
            {"image": {"registry": ""}, "global": {"imageRegistry": "mirror.io/"}},
            "mirror.io/streaming-monitoring/remediator:0.1.0",
            "mirror.io/",
            "IfNotPresent",
        ),
        (
            {"remediator": {"image": {"digest": DIGEST, "tag": "1.20"}}},
            f"registry.example.com/streaming-monitoring/remediator@{DIGEST}",
            "docker.io/",
            "IfNotPresent",
        ),
        (
            {"image": {"registry": "", "local": True}},
            "streaming-monitoring/remediator:0.1.0",
            "docker.io/",
            "Never",
        ),
    ],
)
def test_where_images_come_from(template: Template, values: Object, image: str, exporter: str, policy: str) -> None:
    found = pods(template("sm", "streaming", merged([EXPORTER, values])))
    (receiver,) = found["sm-streaming-monitoring-remediator-receiver"]["containers"]
    assert (receiver["image"], receiver["imagePullPolicy"]) == (image, policy)
    (theirs,) = found["sm-streaming-monitoring-kafka-exporter"]["containers"]
    assert theirs["image"] == f"{exporter}danielqsj/kafka-exporter:v1.9.0"


def test_pull_secrets_of_all_charts_reach_every_pod(template: Template) -> None:
    values = {
        "global": {"imagePullSecrets": ["one", {"name": "two"}]},
        "image": {"pullSecrets": [{"name": "two"}, "three"]},
    }
    for name, pod in pods(template("sm", "streaming", merged([QUICK, values]))).items():
        assert pod["imagePullSecrets"] == [{"name": n} for n in ("two", "three", "one")], name


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"image": {"registry": ""}}, "image.registry is needed"),
        ({"remediator": {"image": {"tag": 1.2}}}, "/remediator/image/tag"),
        ({"networkPolicy": {"apiServerPorts": ["6443"]}}, "/networkPolicy/apiServerPorts"),
        ({"pipeline": {"enabled": "true"}}, "/pipeline/enabled"),
        ({"commonLabels": {"version": 1}}, "/commonLabels/version"),
        ({"commonLabels": {"owner": "a b"}}, "/commonLabels/owner"),
        ({"fullnameOverride": 123}, "/fullnameOverride"),
        ({"extraObjects": [{}]}, "/extraObjects/0"),
        ({"pipeline": {"checkpoints": {"persistentVolumeClaim": {"accessModes": []}}}}, "/accessModes"),
        ({"fullnameOverride": "1a"}, "/fullnameOverride"),
        ({"kube-prometheus-stack": {"prometheus": {"enabled": False}}}, "prometheus.url is needed"),
        ({"remediator": {"policies": {"mine": {}}}}, "remediator.policies.mine.spec is needed"),
        (
            {"pipeline": {"enabled": True}, "kafka": {"entityOperator": {"topicOperator": {"enabled": False}}}},
            "kafka.entityOperator.topicOperator.enabled",
        ),
    ],
)
def test_what_cannot_work_is_refused_by_its_key(template: Template, values: Object, words: str) -> None:
    with pytest.raises(render.RenderError) as error:
        template("sm", "streaming", values)
    assert words in str(error.value)
    assert len(str(error.value)) < 600


def test_the_chart_names_no_registry_of_its_own(helm: Callable[..., str], chart: Path) -> None:
    with pytest.raises(render.RenderError, match=r"image\.registry is needed"):
        helm(["template", "sm", str(chart), "--kube-version", render.KUBE_VERSION])
    local = render.CHART / "profiles/local-values.yaml"
    assert "imagePullPolicy: Never" in helm(
        ["template", "sm", str(chart), "--kube-version", render.KUBE_VERSION, f"--values={local}"]
    )


def test_a_new_version_restarts_neither_kafka_nor_flink(
    helm: Callable[..., str], chart: Path, tmp_path: Path, template: Template
) -> None:
    """Strimzi copies labels to its pods, and rolls them when one changes; so may others."""
    values = {**QUICK, "commonLabels": {"release-of": "march"}}
    before = template("sm", "streaming", values)
    newer = tmp_path / "newer"
    shutil.copytree(chart, newer)
    about = (newer / "Chart.yaml").read_text().replace("\nversion: 0.1.0", "\nversion: 0.2.0")
    (newer / "Chart.yaml").write_text(about)
    changed = {**values, "commonLabels": {"release-of": "april"}}
    (tmp_path / "values.yaml").write_text(json.dumps(changed))
    arguments = render.template_arguments(newer, "sm", "streaming")
    after = helm([*arguments, f"--values={tmp_path / 'values.yaml'}"])
    assert "streaming-monitoring-0.2.0" in after
    for kind in ("Kafka", "KafkaNodePool", "FlinkDeployment"):
        assert objects(before, kind)
        assert objects(before, kind) == objects(after, kind)
