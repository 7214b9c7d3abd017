"""``remediator doctor`` on files: what a FlinkDeployment lacks, and that what it says to add is what was lacking.

What lacks nothing is the chart's own example, as it renders.
"""

import copy
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from remediator.__main__ import main
from remediator.api.policy import PolicySpec

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "tests/chart/golden/pipeline.yaml"
TUTORIAL = (ROOT / "docs/bring-your-own-job.md").read_text()
Document = dict[str, Any]
CONFIGURATION = ("spec", "flinkConfiguration")
PORTS = ("spec", "podTemplate", "spec", "containers", 0, "ports")


def rendered(kind: str, name: str = "") -> Document:
    """An object of the chart's rendering."""
    documents = yaml.safe_load_all(CHART.read_text())
    return next(d for d in documents if d and d["kind"] == kind and d["metadata"]["name"].endswith(name))


JOB, MONITOR = rendered("FlinkDeployment"), rendered("PodMonitor", "-flink")
POLICY = rendered("FlinkRemediationPolicy", "high-kafka-lag")


def put(document: Document, path: tuple[str | int, ...], value: Any) -> Document:
    """The document with another value at a path; None takes it away."""
    changed = copy.deepcopy(document)
    parent: Any = changed
    for key in path[:-1]:
        parent = parent[key]
    if value is None:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return changed


def merge(into: Any, more: Any) -> Any:
    """What kubectl apply would make of it: maps by key, lists by the names of their entries."""
    if isinstance(into, dict) and isinstance(more, dict):
        return {**into, **{key: merge(into.get(key), value) for key, value in more.items()}}
    if isinstance(into, list) and isinstance(more, list):
        added = {entry["name"]: entry for entry in more}
        return [merge(e, added.pop(e.get("name"), {})) for e in into] + list(added.values())
    return more


@pytest.fixture
def examine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Document]]:
    """Run it on objects; returns the exit code and what it says of the one FlinkDeployment."""

    def run(*documents: Document, options: tuple[str, ...] = ()) -> tuple[int, Document]:
        file = tmp_path / "objects.yaml"
        file.write_text(yaml.safe_dump_all(documents))
        code = main(["doctor", f"--file={file}", "--namespace=streaming", "--output=json", *options])
        printed = capsys.readouterr()
        assert printed.err == ""
        (diagnosis,) = json.loads(printed.out)
        return code, diagnosis

    return run


def states(diagnosis: Document, state: str) -> set[str]:
    return {check["check"] for check in diagnosis["checks"] if check["state"] == state}


def message(diagnosis: Document, check: str) -> str:
    return next(found["message"] for found in diagnosis["checks"] if found["check"] == check)


def test_the_charts_example_lacks_nothing(examine: Callable[..., tuple[int, Document]]) -> None:
    code, diagnosis = examine(JOB, MONITOR, POLICY)
    assert (code, diagnosis["add"], diagnosis["create"]) == (0, {}, [])
    assert states(diagnosis, "ok") == {
        "reporter",
        "port",
        "podmonitor",
        "label",
        "consumer-groups",
        "upgrade-mode",
        "checkpointing",
        "high-availability",
        "policy",
    }


FACTORY = "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"
REPORTER = "metrics.reporter.prom.factory.class"
LABEL = "remediation.streaming-monitoring.dev/enabled"
GROUPS = "streaming-monitoring.dev/consumer-groups"


@pytest.mark.parametrize(
    ("check", "path", "value", "words"),
    [
        ("reporter", (*CONFIGURATION, REPORTER), None, "nothing serves metrics"),
        ("reporter", (*CONFIGURATION, REPORTER), "org.apache.flink.metrics.slf4j.Slf4jReporterFactory", "nothing"),
        ("reporter", (*CONFIGURATION, "metrics.reporters"), "jmx,slf4j", "does not name the reporter prom"),
        ("reporter", (*CONFIGURATION, "metrics.reporter.prom.port"), "any", "is not a port"),
        ("port", PORTS, None, "no container port flink-metrics"),
        ("port", (*PORTS, 0, "name"), "prom", "jobmanager: port 9250 is called prom, not flink-metrics"),
        ("port", (*PORTS, 0, "containerPort"), 9249, "flink-metrics is port 9249, and the reporter's is 9250"),
        ("port", (*CONFIGURATION, "metrics.reporter.prom.port"), "9260-9270", "the reporter's is 9260"),
        ("label", ("metadata", "labels", LABEL), None, "not allowed"),
        ("label", ("metadata", "labels", LABEL), "false", "not allowed"),
        ("consumer-groups", ("metadata", "annotations", GROUPS), " , ", "in the place of GROUP"),
        ("upgrade-mode", ("spec", "job", "upgradeMode"), None, "stateless"),
        ("upgrade-mode", ("spec", "job", "upgradeMode"), "stateless", "would lose the job's state"),
        ("upgrade-mode", ("spec", "job", "upgradeMode"), "savepoint", "not set: state.savepoints.dir"),
        ("checkpointing", (*CONFIGURATION, "execution.checkpointing.interval"), None, "checkpointing.interval"),
        ("checkpointing", (*CONFIGURATION, "execution.checkpointing.interval"), "0 s", "checkpointing.interval"),
        ("checkpointing", (*CONFIGURATION, "state.checkpoints.dir"), None, "state.checkpoints.dir"),
        ("high-availability", (*CONFIGURATION, "high-availability.type"), "NONE", "high-availability.type"),
        ("high-availability", (*CONFIGURATION, "high-availability.storageDir"), None, "storageDir"),
    ],
)
def test_what_is_lacking_is_named_and_what_it_says_mends_it(
    check: str, path: tuple[str | int, ...], value: Any, words: str, examine: Callable[..., tuple[int, Document]]
) -> None:
    broken = put(JOB, path, value)
    if words.endswith("savepoints.dir"):
        broken = put(broken, (*CONFIGURATION, "state.savepoints.dir"), None)
    code, diagnosis = examine(broken, MONITOR, POLICY)
    # Without its consumer groups, a policy that looks for them does not find it either.
    expected = {check, "policy"} if check == "consumer-groups" else {check}
    assert (code, states(diagnosis, "missing")) == (1, expected)
    assert words in message(diagnosis, check)
    if check == "port" and len(path) == len(PORTS) + 2:
        broken = put(broken, PORTS, [])  # a port of the wrong name or number is to be changed, not joined
    mended = merge(broken, diagnosis["add"])
    code, diagnosis = examine(mended, MONITOR, POLICY)
    assert (code, states(diagnosis, "missing")) == (0, set())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (
            CONFIGURATION,
            {"metrics": {"reporter": {"p": {"factory.class": FACTORY}}}},
        ),
        (CONFIGURATION, {"metrics.reporter.p.class": "org.apache.flink.metrics.prometheus.PrometheusReporter"}),
    ],
    ids=["nested", "by class"],
)
def test_ways_to_write_a_reporter(
    path: tuple[str, ...], value: Document, examine: Callable[..., tuple[int, Document]]
) -> None:
    _, diagnosis = examine(put(put(JOB, path, value), (*PORTS, 0, "containerPort"), 9249), MONITOR)
    assert {"reporter", "port"} <= states(diagnosis, "ok")
    assert message(diagnosis, "reporter") == "p, port 9249"  # Flink's default


def test_other_ways_to_keep_state(examine: Callable[..., tuple[int, Document]]) -> None:
    configuration = {
        **{k: v for k, v in JOB["spec"]["flinkConfiguration"].items() if not k.startswith(("state.", "high-"))},
        "execution.checkpointing.dir": "s3://bucket/orders/checkpoints",
        "execution.checkpointing.savepoint-dir": "s3://bucket/orders/savepoints",
        "high-availability": "zookeeper",
        "high-availability.storageDir": "s3://bucket/orders/ha",
    }
    job = put(put(JOB, CONFIGURATION, configuration), ("spec", "job", "upgradeMode"), "savepoint")
    assert examine(job, MONITOR, POLICY)[0] == 0
    _, diagnosis = examine(put(job, (*CONFIGURATION, "high-availability.storageDir"), None), MONITOR, POLICY)
    assert diagnosis["add"]["spec"]["flinkConfiguration"] == {"high-availability.storageDir": "s3://bucket/orders/ha"}


def test_both_kinds_of_pods_need_the_port(examine: Callable[..., tuple[int, Document]]) -> None:
    template = JOB["spec"]["podTemplate"]
    one = {**put(JOB, ("spec", "podTemplate"), None)}
    one["spec"]["taskManager"] = {**one["spec"]["taskManager"], "podTemplate": template}
    _, diagnosis = examine(one, MONITOR, POLICY)
    assert states(diagnosis, "missing") == {"port"}
    assert message(diagnosis, "port") == "jobmanager: no container port flink-metrics"
    one["spec"]["jobManager"] = {**one["spec"]["jobManager"], "podTemplate": template}
    assert examine(one, MONITOR, POLICY)[0] == 0


def test_the_port_is_called_as_the_podmonitor_wants_it(examine: Callable[..., tuple[int, Document]]) -> None:
    monitor = put(MONITOR, ("spec", "podMetricsEndpoints", 0, "port"), "metrics")
    _, diagnosis = examine(JOB, monitor, POLICY)
    assert states(diagnosis, "missing") == {"port"}
    assert diagnosis["add"]["spec"]["podTemplate"]["spec"]["containers"][0]["ports"][0]["name"] == "metrics"


SELECTOR = ("spec", "selector")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("spec", "namespaceSelector", "matchNames"), ["orders"], "targetNamespaces: [orders, streaming]"),
        (("spec", "podTargetLabels"), ["app"], "does not copy the pod labels component"),
        (("spec", "podMetricsEndpoints", 0, "relabelings"), None, "no PodMonitor selects"),
        (SELECTOR, {"matchLabels": {"app": "other"}}, "no PodMonitor selects"),
        (SELECTOR, {"matchLabels": {"component": "jobmanager"}}, "no PodMonitor selects"),
        (SELECTOR, {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, "no PodMonitor selects"),
        (
            SELECTOR,
            {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["ml-recommender"]}]},
            "no PodMonitor",
        ),
    ],
)
def test_podmonitors_that_do_not_fit(
    path: tuple[str | int, ...], value: Any, words: str, examine: Callable[..., tuple[int, Document]]
) -> None:
    code, diagnosis = examine(JOB, put(MONITOR, path, value), POLICY)
    assert (code, states(diagnosis, "missing")) == (1, {"podmonitor"})
    assert words in message(diagnosis, "podmonitor")
    if "no PodMonitor" in words:
        (monitor,) = diagnosis["create"]
        assert examine(JOB, monitor, POLICY)[0] == 0


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "namespaceSelector"), {"any": True}),
        (("spec", "namespaceSelector"), None),  # its own
        (SELECTOR, {}),
        (SELECTOR, {"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
    ],
)
def test_podmonitors_that_fit(path: tuple[str, ...], value: Any, examine: Callable[..., tuple[int, Document]]) -> None:
    assert examine(JOB, put(MONITOR, path, value), POLICY)[0] == 0


@pytest.mark.parametrize(
    ("target", "match", "found"),
    [
        ({"consumerGroupLabel": "consumergroup"}, [], True),
        ({"consumerGroupLabel": "group", "namespace": "streaming"}, [], True),
        ({"nameLabel": "app"}, [{"label": "app", "value": "ml-recommender"}], True),
        ({"nameLabel": "deployment"}, [{"label": "severity", "value": "critical"}], True),
        ({"name": "ml-recommender"}, [{"label": "namespace", "operator": "=~", "value": "str.*"}], True),
        ({"name": "orders"}, [], False),
        ({"nameLabel": "app", "namespace": "orders"}, [], False),
        ({"nameLabel": "app"}, [{"label": "namespace", "value": "orders"}], False),
        ({"consumerGroupLabel": "consumergroup"}, [{"label": "consumergroup", "value": "orders"}], False),
    ],
)
def test_which_policies_answer(
    target: Document, match: list[Document], found: bool, examine: Callable[..., tuple[int, Document]]
) -> None:
    alert = [{"label": "alertname", "value": "HighKafkaLag"}]
    policy = put(put(POLICY, ("spec", "target"), target), ("spec", "match"), alert + match)
    code, diagnosis = examine(JOB, MONITOR, policy)
    assert (code == 0) is found
    if not found:
        (created,) = diagnosis["create"]
        assert PolicySpec.model_validate(created["spec"]).mode == "Observe"
        assert examine(JOB, MONITOR, created)[0] == 0


def test_the_tutorial_adds_what_its_job_lacks(examine: Callable[..., tuple[int, Document]]) -> None:
    bare, more = (
        yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", TUTORIAL, re.DOTALL | re.MULTILINE)
    )
    code, diagnosis = examine(bare, MONITOR, POLICY)
    assert (code, states(diagnosis, "ok")) == (1, {"podmonitor"})
    for check in diagnosis["checks"][:2]:
        assert f"{check['check']:17}  {check['state']:7}  {check['message']}" in TUTORIAL
    code, diagnosis = examine(merge(bare, more), MONITOR, POLICY)
    assert (code, states(diagnosis, "missing")) == (0, set())
    assert [row for row in re.findall(r"^\| ([\w-]+) \|", TUTORIAL, re.MULTILINE) if row != "check"] == [
        check["check"] for check in diagnosis["checks"]
    ]


def test_a_session_cluster_is_only_watched(examine: Callable[..., tuple[int, Document]]) -> None:
    code, diagnosis = examine(put(JOB, ("spec", "job"), None), MONITOR, POLICY)
    assert (code, states(diagnosis, "ok")) == (0, {"reporter", "port", "podmonitor"})


def test_what_the_files_do_not_have_is_unknown(examine: Callable[..., tuple[int, Document]]) -> None:
    code, diagnosis = examine(JOB)
    assert (code, states(diagnosis, "unknown")) == (0, {"podmonitor", "policy"})


def test_a_check_is_skipped(examine: Callable[..., tuple[int, Document]]) -> None:
    code, diagnosis = examine(put(JOB, ("spec", "job", "upgradeMode"), None), options=("--skip=upgrade-mode",))
    assert (code, "upgrade-mode" in states(diagnosis, "missing")) == (0, False)


def test_values_of_the_configuration_are_not_told(examine: Callable[..., tuple[int, Document]]) -> None:
    bare = {"s3.secret-key": "hunter2", "metrics.reporters": "jmx"}
    _, diagnosis = examine(put(JOB, CONFIGURATION, bare), MONITOR, POLICY)
    assert "hunter2" not in json.dumps(diagnosis)


def test_the_table_is_for_people(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(yaml.safe_dump(put(JOB, ("spec", "job", "upgradeMode"), None))))
    assert main(["doctor", "--file=-"]) == 1
    table, _, add = capsys.readouterr().out.partition("Add to ml-recommender")
    assert "FlinkDeployment default/ml-recommender\n" in table
    assert "  upgrade-mode       missing  job.upgradeMode is stateless" in table
    assert yaml.safe_load(add.partition("\n\n")[2]) == {"spec": {"job": {"upgradeMode": "last-state"}}}


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("a: [", [], "objects.yaml: no YAML"),
        ("- 3\n", [], "a Kubernetes object is expected"),
        ("kind: Pod\n", [], "no FlinkDeployment in the files"),
        ("kind: FlinkDeployment\nspec: {}\n", [], "FlinkDeployment: metadata.name is missing"),
        ("kind: FlinkDeployment\nmetadata: {name: a}\n", [], "FlinkDeployment a: spec is missing"),
        ("kind: FlinkDeployment\nmetadata: {name: a}\nspec: {job: 3}\n", [], "a: spec.job is not a map"),
        ("kind: FlinkDeployment\nmetadata: {name: a}\nspec: {}\n", ["b"], "no FlinkDeployment b; there are a"),
        ("kind: FlinkRemediationPolicy\nmetadata: {name: p}\nspec: {}\n", [], "FlinkRemediationPolicy p.match: Field"),
    ],
)
def test_bad_input(
    text: str, options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "objects.yaml").write_text(text)
    assert main(["doctor", f"--file={tmp_path / 'objects.yaml'}", *options]) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.out == ""


def test_no_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["doctor", f"--kubeconfig={tmp_path / 'absent'}"]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'absent'}: no such file\n"
