"""Whatever name Helm takes and whatever is left empty: valid Kubernetes, or a refusal that names the key."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import render
import values_docs
import yaml
from chart import strict_yaml
from chart.conftest import Object
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("RENDERINGS", "500"))
DNS_1035 = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
LONGEST = {"Service": 63, "StatefulSet": 52, "Job": 63}
# Some of what YAML takes for something else.
AMBIGUOUS = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "123", "12345", "1e3", "0x1f", "0b1", "007", "1-1"]

Template = Callable[[str, str, Object], str]


def helms_name() -> re.Pattern[str]:
    """What Helm takes as the name of a release, of at most 53 characters (pkg/chart/common/util/validate_name.go)."""
    return DNS_1123


release_names = st.one_of(
    st.sampled_from([*AMBIGUOUS, "my.release", "1.5", "a" * 53, "recommendations-prod", "0" * 53, "a-.b".replace("-.", ".")]),
    st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,51}[a-z0-9])?", fullmatch=True).filter(
        lambda name: helms_name().fullmatch(name) is not None
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
        path.write_text(yaml.safe_dump(values))
        return helm([*render.template_arguments(chart, release, namespace), f"--values={path}"])

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
            elif key in ("name", "namespace", "image", "serviceAccountName", "serviceAccount", "secretName", "claimName"):
                if not isinstance(value, dict):
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
            found += [f"{key}: no peers is everybody" for r in rules if any(r.get(side) == [] for side in ("from", "to"))]
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
QUICK: Object = {"dashboards": {"enabled": False}, "pipeline": {"enabled": True}}


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
label_keys = st.sampled_from(
    ["team", "app.kubernetes.io/part-of", "app.kubernetes.io/name", "app.kubernetes.io/instance", "release"]
    + ["app.kubernetes.io/component", "app.kubernetes.io/managed-by", "helm.sh/chart", "grafana_dashboard", "app"]
)
labels = st.dictionaries(label_keys, st.sampled_from(["", "platform", *AMBIGUOUS]), max_size=4)
peers = st.sampled_from([[], [{"podSelector": {}}], [{"ipBlock": {"cidr": "10.0.0.0/8"}}]])
names = st.sampled_from(["", "a", "streaming-monitoring", "x" * 39, "null", "e1", "a" * 60])
SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "commonLabels": labels,
    "prometheus.selectorLabels": labels,
    "dashboards.labels": labels,
    "dashboards.enabled": st.booleans(),
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
    "remediator.policies.high-kafka-lag": st.sampled_from([None, {"spec": None}, {"enabled": None}, {"enabled": False}]),
    "remediator.extraEnv": st.just([{"name": "A", "value": "1"}]),
    "extraObjects": st.just([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "labels": {}}}]),
}
chosen = st.lists(st.sampled_from(sorted(SETTINGS)), max_size=6, unique=True).flatmap(
    lambda paths: st.tuples(*[SETTINGS[path].map(lambda v, p=path: nested(tuple(p.split(".")), v)) for path in paths])
)


def named(message: str) -> bool:
    """Whether a refusal says which key it is about, and is not the engine's own words about a template."""
    if "nil pointer" in message or "error calling" in message and "execution error" not in message:
        return False
    top = yaml.safe_load((render.CHART / "values.yaml").read_text())
    return any(re.search(rf"\b{re.escape(key)}\b", message) for key in top)


@settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=True
)
@given(release_names, namespaces, chosen, empty_keys | st.just({}))
def test_any_name_and_any_value_renders_or_is_refused_by_name(
    template: Template, release: str, namespace: str, parts: tuple[Object, ...], empty: Object
) -> None:
    values = merged([QUICK, empty, *parts])
    try:
        text = template(release, namespace, values)
    except render.RenderError as error:
        assert named(str(error)), f"{values}\n{error}"
        return
    assert faults(text) == [], values
