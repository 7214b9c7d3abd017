"""What a FlinkDeployment lacks to be watched and remediated, and what to add to it. Pure: its world comes as values."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from remediator.api.names import API_VERSION, CONSUMER_GROUPS_ANNOTATION, ENABLED_LABEL
from remediator.api.policy import PolicySpec
from remediator.core import scraping
from remediator.core.flinkdeployment import FlinkDeployment
from remediator.core.matching import first_mismatch, is_target, target_query

Document = dict[str, Any]

PORT_NAME: Final = "flink-metrics"
"""The chart's default for flink.metricsPortName."""
_PORT: Final = 9250
_STORAGE: Final = "s3://BUCKET"
# As Flink 2 and as Flink 1 call them.
_CHECKPOINT_FOLDERS: Final = ("execution.checkpointing.dir", "state.checkpoints.dir")
_SAVEPOINT_FOLDERS: Final = ("execution.checkpointing.savepoint-dir", "state.savepoints.dir")
_HIGH_AVAILABILITY: Final = ("high-availability.type", "high-availability")


class State(StrEnum):
    """What came of a check."""

    OK = "ok"
    MISSING = "missing"
    UNKNOWN = "unknown"
    """It could not be checked; the message says why."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    check: str
    state: State
    message: str
    add: Mapping[str, Any] = field(default_factory=dict)
    """What to add to the FlinkDeployment: lists are merged by the names of their entries."""
    create: Mapping[str, Any] = field(default_factory=dict)
    """An object to create beside it."""


@dataclass(frozen=True)
class World:
    """A FlinkDeployment and what is around it. None: it could not be looked up; ``unknown`` says why."""

    target: FlinkDeployment
    spec: Mapping[str, Any]
    """Its spec as it was written."""
    monitors: tuple[scraping.PodMonitor, ...] | None
    policies: Mapping[str, PolicySpec] | None
    unknown: str = ""

    @property
    def reporter(self) -> scraping.Reporter | None:
        """Its Prometheus reporter."""
        return scraping.reporter(self.target.configuration)

    @property
    def port(self) -> int:
        """The port where metrics are, or are going to be."""
        return (self.reporter.port if self.reporter else None) or _PORT

    @property
    def pods(self) -> Mapping[str, scraping.Pod]:
        """Its JobManager and its TaskManagers."""
        return scraping.pods(self.spec, self.target)

    @property
    def selecting(self) -> tuple[scraping.PodMonitor, ...]:
        """The PodMonitors whose selector fits all of its pods, wherever they look."""
        return tuple(
            monitor
            for monitor in self.monitors or ()
            if monitor.ports and all(monitor.selects(pod.labels) for pod in self.pods.values())
        )

    @property
    def port_names(self) -> tuple[str, ...]:
        """Names of container ports that are scraped."""
        found = [port for m in self.selecting if m.looks_into(self.target.namespace) for port in m.ports]
        return tuple(dict.fromkeys(found)) or (PORT_NAME,)


def diagnose(world: World, skip: Iterable[str] = ()) -> list[Finding]:
    """Make all checks that concern a FlinkDeployment, but for those whose names are to be skipped."""
    checks = {**_WATCHED, **(_REMEDIATED if world.target.has_job else {})}
    skipped = frozenset(skip)
    return [check(world) for name, check in checks.items() if name not in skipped]


def additions(findings: Iterable[Finding]) -> Document:
    """Put together what is to be added to a FlinkDeployment."""
    merged: Document = {}
    for finding in findings:
        _merge(merged, finding.add)
    return merged


def _merge(into: Document, more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def _ok(check: str, message: str) -> Finding:
    return Finding(check, State.OK, message)


def _check_reporter(w: World) -> Finding:
    found = w.reporter
    name = found.name if found else "prom"
    prefix = f"metrics.reporter.{name}"
    add = {f"{prefix}.factory.class": scraping.REPORTER_FACTORY, f"{prefix}.port": str(_PORT)}
    if found is None:
        message = "flinkConfiguration has no metrics.reporter.NAME.factory.class of Prometheus: nothing serves metrics"
    elif not found.started:
        add = {"metrics.reporters": f"{w.target.configuration['metrics.reporters']},{name}"}
        message = f"metrics.reporters does not name the reporter {name}, so Flink does not start it"
    elif found.port is None:
        add = {f"{prefix}.port": str(_PORT)}
        message = f"{prefix}.port is not a port"
    else:
        return _ok("reporter", f"{name}, port {found.port}")
    return Finding("reporter", State.MISSING, message, {"spec": {"flinkConfiguration": add}})


def _check_port(w: World) -> Finding:
    names = w.port_names
    wrong = []
    for component, pod in w.pods.items():
        if any(name in names and number == w.port for name, number in pod.ports):
            continue
        elsewhere = [number for name, number in pod.ports if name in names]
        called = [name for name, number in pod.ports if number == w.port]
        if elsewhere:
            wrong.append(f"{component}: {' or '.join(names)} is port {elsewhere[0]}, and the reporter's is {w.port}")
        elif called:
            wrong.append(f"{component}: port {w.port} is called {called[0] or 'nothing'}, not {' or '.join(names)}")
        else:
            wrong.append(f"{component}: no container port {' or '.join(names)}")
    if not wrong:
        return _ok("port", f"{' or '.join(names)}, {w.port}")
    port = {"name": names[0], "containerPort": w.port, "protocol": "TCP"}
    container = {"name": scraping.MAIN_CONTAINER, "ports": [port]}
    return Finding(
        "port", State.MISSING, "; ".join(wrong), {"spec": {"podTemplate": {"spec": {"containers": [container]}}}}
    )


def _check_pod_monitor(w: World) -> Finding:
    if w.monitors is None:
        return Finding("podmonitor", State.UNKNOWN, w.unknown)
    namespace = w.target.namespace
    here = [m for m in w.selecting if m.looks_into(namespace)]
    for monitor in here:
        lost = [label for label in scraping.POD_LABELS if label not in monitor.pod_labels]
        if not lost:
            return _ok("podmonitor", f"{monitor.namespace}/{monitor.name}")
        message = f"{monitor.namespace}/{monitor.name} does not copy the pod labels {', '.join(lost)} (podTargetLabels)"
    create: Document = {}
    if not here and w.selecting:
        monitor = w.selecting[0]
        looks = ", ".join(sorted((monitor.namespaces or frozenset()) | {namespace}))
        message = (
            f"{monitor.namespace}/{monitor.name} does not look into {namespace}: set the chart's value "
            f"targetNamespaces: [{looks}]"
        )
    elif not here:
        message = f'no PodMonitor selects its pods and names the job "{scraping.JOB}"'
        create = scraping.pod_monitor(namespace, w.port_names[0])
    return Finding("podmonitor", State.MISSING, message, create=create)


def _check_label(w: World) -> Finding:
    if w.target.opted_in:
        return _ok("label", f"{ENABLED_LABEL}=true")
    add = {"metadata": {"labels": {ENABLED_LABEL: "true"}}}
    return Finding("label", State.MISSING, "its owner has not allowed remediation", add)


def _check_consumer_groups(w: World) -> Finding:
    groups = w.target.consumer_groups
    if groups:
        return _ok("consumer-groups", ", ".join(sorted(groups)))
    add = {"metadata": {"annotations": {CONSUMER_GROUPS_ANNOTATION: "GROUP"}}}
    message = "no alert about a consumer group finds the job: put the groups that it reads with in the place of GROUP"
    return Finding("consumer-groups", State.MISSING, message, add)


def _check_upgrade_mode(w: World) -> Finding:
    mode, configuration = w.target.upgrade_mode, w.target.configuration
    add: Document = {}
    lacking = []
    if mode not in ("last-state", "savepoint"):
        add["job"] = {"upgradeMode": "last-state"}
        lacking.append("job.upgradeMode is stateless, which is the default: any change would lose the job's state")
    # Flink's operator takes a savepoint when high availability is switched on, and refuses that without a folder.
    if not _first(configuration, _SAVEPOINT_FOLDERS) and (mode != "last-state" or not _highly_available(configuration)):
        folder = {"state.savepoints.dir": f"{_storage(configuration)}/savepoints"}
        add["flinkConfiguration"] = folder
        lacking.append(f"not set: state.savepoints.dir{_asking(folder)}")
    if not add:
        return _ok("upgrade-mode", mode)
    return Finding("upgrade-mode", State.MISSING, "; ".join(lacking), {"spec": add})


def _check_checkpointing(w: World) -> Finding:
    configuration = w.target.configuration
    interval = configuration.get("execution.checkpointing.interval", "")
    add = {}
    if not any(digit in interval for digit in "123456789"):
        add["execution.checkpointing.interval"] = "1m"
    if not _first(configuration, _CHECKPOINT_FOLDERS):
        add["state.checkpoints.dir"] = f"{_storage(configuration)}/checkpoints"
    if not add:
        return _ok("checkpointing", f"every {interval}")
    message = f"not set: {', '.join(add)}{_asking(add)}; if the job's code sets it, skip this check"
    return Finding("checkpointing", State.MISSING, message, {"spec": {"flinkConfiguration": add}})


def _check_high_availability(w: World) -> Finding:
    configuration = w.target.configuration
    add = {}
    if not _highly_available(configuration):
        add["high-availability.type"] = "kubernetes"
    if not configuration.get("high-availability.storageDir"):
        add["high-availability.storageDir"] = f"{_storage(configuration)}/ha"
    if not add:
        return _ok("high-availability", _first(configuration, _HIGH_AVAILABILITY))
    message = f"not set: {', '.join(add)}{_asking(add)}; without it the checkpoints of a lost JobManager are not found"
    return Finding("high-availability", State.MISSING, message, {"spec": {"flinkConfiguration": add}})


def _first(configuration: Mapping[str, str], keys: Iterable[str]) -> str:
    return next((configuration[key] for key in keys if configuration.get(key)), "")


def _highly_available(configuration: Mapping[str, str]) -> bool:
    return _first(configuration, _HIGH_AVAILABILITY).upper() not in ("", "NONE")


def _storage(configuration: Mapping[str, str]) -> str:
    """Return the folder in which those are that are configured already, or a placeholder."""
    known = _first(configuration, (*_CHECKPOINT_FOLDERS, *_SAVEPOINT_FOLDERS, "high-availability.storageDir"))
    parent = known.rstrip("/").rpartition("/")[0]
    return _STORAGE if parent.endswith((":", "/")) or not parent else parent


def _asking(add: Mapping[str, str]) -> str:
    to_fill_in = any(_STORAGE in value for value in add.values())
    return f" (put storage that all of its pods reach in the place of {_STORAGE})" if to_fill_in else ""


def _check_policy(w: World) -> Finding:
    if w.policies is None:
        return Finding("policy", State.UNKNOWN, w.unknown)
    found = sorted(f"{name} ({policy.mode})" for name, policy in w.policies.items() if _answers(policy, w.target))
    if found:
        return _ok("policy", ", ".join(found))
    message = "no FlinkRemediationPolicy answers an alert about it"
    return Finding("policy", State.MISSING, message, create=_policy(w.target))


def _answers(policy: PolicySpec, target: FlinkDeployment) -> bool:
    """Tell whether some alert about a FlinkDeployment is answered. What else its labels say is for the alert."""
    selector = policy.target
    for group in target.consumer_groups or {""}:
        labels = {
            "namespace": target.namespace,
            selector.namespace_label: target.namespace,
            selector.name_label or "app": target.name,
            selector.consumer_group_label or "consumergroup": group,
        }
        matchers = tuple(matcher for matcher in policy.match if matcher.label in labels)
        if is_target(target_query(selector, labels), target) and first_mismatch(matchers, labels) is None:
            return True
    return False


def _policy(target: FlinkDeployment) -> Document:
    """Return a policy that watches without acting."""
    return {
        "apiVersion": API_VERSION,
        "kind": "FlinkRemediationPolicy",
        "metadata": {"name": f"{target.name}-lag"},
        "spec": {
            "mode": "Observe",
            "match": [
                {"label": "alertname", "operator": "=", "value": "HighKafkaLag"},
                {"label": "severity", "operator": "=", "value": "critical"},
            ],
            "target": {"namespace": target.namespace, "consumerGroupLabel": "consumergroup"},
            "actions": [{"type": "Scale", "scale": {"factor": 2, "max": 2 * (target.parallelism or 1)}}],
            "verify": {
                "query": 'streaming:kafka_consumergroup_lag:sum{namespace="{{ labels.namespace }}",'
                'strimzi_io_cluster="{{ labels.strimzi_io_cluster? }}",'
                'consumergroup="{{ labels.consumergroup }}"} < 1000',
                "for": "1m",
            },
        },
    }


_WATCHED: Final[dict[str, Callable[[World], Finding]]] = {
    "reporter": _check_reporter,
    "port": _check_port,
    "podmonitor": _check_pod_monitor,
}
_REMEDIATED: Final[dict[str, Callable[[World], Finding]]] = {
    "label": _check_label,
    "consumer-groups": _check_consumer_groups,
    "upgrade-mode": _check_upgrade_mode,
    "checkpointing": _check_checkpointing,
    "high-availability": _check_high_availability,
    "policy": _check_policy,
}
CHECKS: Final = (*_WATCHED, *_REMEDIATED)
"""Names of the checks, in their order."""
