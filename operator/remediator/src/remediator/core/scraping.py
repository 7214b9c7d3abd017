"""How Prometheus comes to the metrics of a FlinkDeployment: reporter, named port, and a PodMonitor that finds it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from remediator.core.flinkdeployment import FlinkDeployment

MAIN_CONTAINER: Final = "flink-main-container"
REPORTER_FACTORY: Final = "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"
# The second, by class, is what Flink before 1.18 also took.
_REPORTERS: Final = frozenset({REPORTER_FACTORY, "org.apache.flink.metrics.prometheus.PrometheusReporter"})
_REPORTER_KEY: Final = re.compile(r"metrics\.reporter\.([^.]+)\.(?:factory\.)?class")
_DEFAULT_PORT: Final = "9249"
COMPONENTS: Final = ("jobmanager", "taskmanager")
JOB: Final = "flink"
"""The value of the label job that rules and dashboards ask for."""
POD_LABELS: Final = ("app", "component")
"""Labels of pods that alerts and dashboards need on the series."""


@dataclass(frozen=True)
class Reporter:
    """A Prometheus reporter in Flink's configuration."""

    name: str
    port: int | None
    """The port it serves at; None where the configuration has no number."""
    started: bool
    """Whether ``metrics.reporters`` lets Flink start it."""


def reporter(configuration: Mapping[str, str]) -> Reporter | None:
    """Return the Prometheus reporter, rather one that is started.

    Source: https://nightlies.apache.org/flink/flink-docs-stable/docs/deployment/metric_reporters/
    """
    allowed = re.findall(r"[\w-]+", configuration.get("metrics.reporters", ""))
    found = []
    for key, value in configuration.items():
        match = _REPORTER_KEY.fullmatch(key)
        if match and value.strip() in _REPORTERS:
            name = match[1]
            # A range such as 9250-9260: a pod has its own address, so the first one is free.
            number = re.match(r"\d+", configuration.get(f"metrics.reporter.{name}.port", _DEFAULT_PORT).strip())
            found.append(Reporter(name, int(number[0]) if number else None, not allowed or name in allowed))
    return min(found, key=lambda r: (not r.started, r.name), default=None)


@dataclass(frozen=True)
class Pod:
    """A kind of pod of a FlinkDeployment, as Prometheus' discovery sees it."""

    labels: Mapping[str, str]
    ports: tuple[tuple[str, int], ...]
    """Name ("" for none) and number of the containers' ports."""


def pods(spec: Mapping[str, Any], target: FlinkDeployment) -> dict[str, Pod]:
    """Return JobManager and TaskManager by component, from the pod templates of a FlinkDeployment's spec."""
    found = {}
    for component, field in zip(COMPONENTS, ("jobManager", "taskManager"), strict=True):
        templates = [spec.get("podTemplate"), (spec.get(field) or {}).get("podTemplate")]
        labels: dict[str, str] = {}
        ports: list[tuple[str, int]] = []
        for template in filter(None, templates):
            labels |= (template.get("metadata") or {}).get("labels") or {}
            for container in (template.get("spec") or {}).get("containers") or ():
                for port in container.get("ports") or ():
                    ports.append((port.get("name") or "", int(port["containerPort"])))
        # What Flink sets itself wins.
        own = {"app": target.name, "component": component, "type": f"flink-{target.mode}-kubernetes"}
        found[component] = Pod({**labels, **own}, tuple(dict.fromkeys(ports)))
    return found


@dataclass(frozen=True)
class PodMonitor:
    """A PodMonitor (monitoring.coreos.com/v1), as far as it says which pods are scraped and how."""

    namespace: str
    name: str
    namespaces: frozenset[str] | None
    """Where it looks; None: everywhere."""
    selector: Mapping[str, Any]
    ports: tuple[str, ...]
    """Names of the container ports of its endpoints, of those that give the label job its value ``flink``."""
    pod_labels: frozenset[str]
    """Labels of pods that it copies to the series."""

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether its label selector fits a pod."""
        wanted = self.selector.get("matchLabels") or {}
        return all(labels.get(key) == value for key, value in wanted.items()) and all(
            _holds(expression, labels) for expression in self.selector.get("matchExpressions") or ()
        )

    def looks_into(self, namespace: str) -> bool:
        """Whether it looks for pods in a namespace."""
        return self.namespaces is None or namespace in self.namespaces


def read_pod_monitor(resource: Mapping[str, Any]) -> PodMonitor:
    """Read a PodMonitor as the API server returns it."""
    metadata, spec = resource["metadata"], resource["spec"]
    where = spec.get("namespaceSelector") or {}
    namespace = str(metadata.get("namespace", ""))
    named = frozenset(where.get("matchNames") or [namespace])
    endpoints = spec.get("podMetricsEndpoints") or ()
    return PodMonitor(
        namespace=namespace,
        name=str(metadata["name"]),
        namespaces=None if where.get("any") else named,
        selector=spec.get("selector") or {},
        ports=tuple(str(e["port"]) for e in endpoints if e.get("port") and _job(e) == JOB),
        pod_labels=frozenset(spec.get("podTargetLabels") or ()) | _relabelled(endpoints),
    )


def pod_monitor(namespace: str, port: str) -> dict[str, Any]:
    """Return a PodMonitor for the FlinkDeployments of a namespace, as the chart makes one."""
    relabeling = {"action": "replace", "targetLabel": "job", "replacement": JOB}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": "flink", "namespace": namespace},
        "spec": {
            "selector": {
                "matchExpressions": [
                    {
                        "key": "type",
                        "operator": "In",
                        "values": ["flink-native-kubernetes", "flink-standalone-kubernetes"],
                    },
                    {"key": "component", "operator": "In", "values": list(COMPONENTS)},
                ]
            },
            "podTargetLabels": list(POD_LABELS),
            "podMetricsEndpoints": [
                {"port": port, "path": "/metrics", "interval": "15s", "relabelings": [relabeling]},
            ],
        },
    }


def _job(endpoint: Mapping[str, Any]) -> str | None:
    """Return the value that an endpoint's relabelings give the label job."""
    steps = [r for r in endpoint.get("relabelings") or () if r.get("targetLabel") == "job"]
    return str(steps[-1].get("replacement")) if steps else None


def _relabelled(endpoints: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(r["targetLabel"] for e in endpoints for r in e.get("relabelings") or () if r.get("targetLabel"))


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    # Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False
