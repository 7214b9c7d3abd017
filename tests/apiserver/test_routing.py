"""Who hears of an alert: the configuration that the real Prometheus Operator makes of the chart's objects, judged by
amtool, and by a real Alertmanager for what inhibits what."""

import gzip
import os
import subprocess
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import render
import yaml
from cluster import crds, tools
from ports import free_port
from rules.conftest import RULES

from apiserver.control_plane import ControlPlane

NAMESPACE = "streaming"
NOWHERE = "http://127.0.0.1:9"  # the port of "discard": nobody listens
RECEIVERS = {n: {"webhookConfigs": [{"url": NOWHERE}]} for n in ("critical", "warning", "info", "outcomes")}
EXAMPLES = render.CHART / "profiles/receivers-values.yaml"
SECRET = {
    "kind": "Secret",
    "apiVersion": "v1",
    "metadata": {"name": "alert-receivers"},
    "stringData": {
        "pagerduty-routing-key": "key",
        "slack-url": "https://hooks.slack.example.com/services/x",
        "smtp-password": "password",
    },
}
KINDS = {"Alertmanager", "AlertmanagerConfig", "Secret"}
LABELS = {"namespace": "jobs-a", "app": "ml-recommender", "consumergroup": "ml-recommender", "model": "recommender"}
"""Of the alerts; the namespace is another one than the release's."""

TOLD_APART = ("alertname", "cluster", "namespace", "app", "consumergroup", "strimzi_io_cluster")

Amtool = Callable[..., str]


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


@contextmanager
def running(folder: Path, *command: str | Path, **environment: str) -> Iterator[None]:
    with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
        process = subprocess.Popen([*map(str, command)], stdout=log, stderr=log, env={**os.environ, **environment})
        try:
            yield
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def programs() -> dict[str, Path]:
    return tools.ensure(["kubectl", "prometheus-operator", "alertmanager", "amtool"])


Generate = Callable[[str, Path], Path]


@pytest.fixture(scope="module")
def generate(
    plane: ControlPlane, programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Generate]:
    """Let Prometheus Operator make Alertmanager's configuration file of a release with some values."""
    root = tmp_path_factory.mktemp("routing")

    def kubectl(*arguments: str | Path, stdin: str = "") -> str:
        command = [programs["kubectl"], f"--kubeconfig={plane.kubeconfig}", *arguments]
        return subprocess.run(command, input=stdin, check=True, capture_output=True, text=True).stdout

    definitions = crds.generate("kube-prometheus-stack", tools.cache())
    kubectl("create", "-f", definitions)
    kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", definitions)
    prepared = render.prepare(root)

    def make(namespace: str, values: Path) -> Path:
        kubectl("create", "namespace", namespace)
        chart = render.template_arguments(prepared, "streaming-monitoring", namespace)
        rendered = [o for o in yaml.safe_load_all(render.helm([*chart, f"--values={values}"])) if o]
        wanted = [SECRET, *(o for o in rendered if o["kind"] in KINDS)]
        kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump_all(wanted))

        def generated() -> str:
            secret = client.get(f"/api/v1/namespaces/{namespace}/secrets/alertmanager-kps-generated")
            return (
                gzip.decompress(b64decode(secret.json()["data"]["alertmanager.yaml.gz"])).decode()
                if secret.is_success
                else ""
            )

        listen = f"--web.listen-address=127.0.0.1:{free_port()}"
        operator = [programs["prometheus-operator"], f"--namespaces={namespace}", listen]
        with plane.client() as client, running(root, *operator, KUBECONFIG=str(plane.kubeconfig)):
            text = wait_for("the generated configuration", generated)
        path = root / f"{namespace}.yaml"
        path.write_text(text)
        return path

    yield make
    # Other tests on the same API server look for these definitions, and find none.
    kubectl("delete", "--wait", "-f", definitions)


@pytest.fixture(scope="module")
def config(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alertmanager's configuration file for a release with all receivers."""
    values = tmp_path_factory.mktemp("values") / "values.yaml"
    values.write_text(yaml.safe_dump({"alertmanager": {"routing": {"receivers": RECEIVERS}}}))
    return generate(NAMESPACE, values)


@pytest.fixture(scope="module")
def amtool(programs: dict[str, Path]) -> Amtool:
    def run(*arguments: str) -> str:
        done = subprocess.run([programs["amtool"], *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def receivers(amtool: Amtool, config: Path, **labels: str) -> set[str]:
    """Return who hears of an alert."""
    matchers = [f"{name}={value}" for name, value in labels.items()]
    found = amtool("config", "routes", "test", f"--config.file={config}", *matchers).strip().split(",")
    return {name.removeprefix(f"{NAMESPACE}/streaming-monitoring-") for name in found} - {"null"}


def test_amtool_accepts_it(amtool: Amtool, config: Path) -> None:
    assert "SUCCESS" in amtool("check-config", str(config))


def test_the_examples_of_receivers_are_right(generate: Generate, amtool: Amtool) -> None:
    config = generate("receivers", EXAMPLES)
    assert "SUCCESS" in amtool("check-config", str(config))
    receivers = yaml.safe_load(config.read_text())["receivers"]
    kinds = {r["name"].rpartition("/")[2]: key for r in receivers for key in r if key.endswith("_configs")}
    assert kinds["critical"] == "pagerduty_configs"
    assert kinds["warning"] == kinds["outcomes"] == "slack_configs"
    assert kinds["info"] == "email_configs"


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["alert"]) for _, rule in RULES if "alert" in rule])
def test_an_alert_reaches_those_of_its_severity(amtool: Amtool, config: Path, rule: dict) -> None:
    people = {
        "critical": {"remediator/remediator", "critical/critical"},
        "warning": {"warning/warning"},
        "info": {"info/info"},
    }
    found = receivers(amtool, config, alertname=rule["alert"], **rule["labels"], **LABELS)
    outcome = rule["alert"] == "RemediationEnded"
    assert found == ({"outcomes/outcomes"} if outcome else people[rule["labels"]["severity"]])


def test_watchdog_reaches_the_remediator_and_nobody_else(amtool: Amtool, config: Path) -> None:
    assert receivers(amtool, config, alertname="Watchdog", severity="none") == {"watchdog/remediator"}


def test_alerts_of_others_reach_none_of_our_people(amtool: Amtool, config: Path) -> None:
    # The remediator may have a policy for them.
    found = receivers(amtool, config, alertname="KubeNodeNotReady", severity="critical", namespace="kube-system")
    assert found == {"remediator/remediator"}
    assert receivers(amtool, config, alertname="KubeJobFailed", severity="warning", namespace="default") == set()


def test_what_holds_back_what(programs: dict[str, Path], config: Path, tmp_path: Path) -> None:
    local = tmp_path / "alertmanager.yaml"
    # Nothing is to be delivered from here.
    service = "http://streaming-monitoring-remediator-receiver.streaming.svc:8080"
    text = config.read_text()
    assert service in text
    local.write_text(text.replace(service, NOWHERE))
    url = f"http://127.0.0.1:{free_port()}"
    lag = {"alertname": "HighKafkaLag", "severity": "critical"}
    late = {"alertname": "HighFlinkProcessingLatency", "severity": "warning"}
    fired = [
        # The cause is in the same job, in another one, nobody knows in which one; in another namespace or cluster.
        {"alertname": "FlinkTaskManagerDown", "severity": "critical", "namespace": "a", "app": "x"},
        lag | {"namespace": "a", "consumergroup": "of-x", "app": "x"},
        lag | {"namespace": "a", "consumergroup": "of-x", "app": "x", "strimzi_io_cluster": "k"},
        {
            "alertname": "KafkaConsumerStalled",
            "severity": "critical",
            "namespace": "a",
            "consumergroup": "x",
            "app": "x",
        },
        {
            "alertname": "KafkaOffsetsBeyondEnd",
            "severity": "critical",
            "namespace": "a",
            "consumergroup": "x",
            "app": "x",
        },
        late | {"namespace": "a", "app": "x"},
        lag | {"namespace": "a", "consumergroup": "of-y", "app": "y"},
        late | {"namespace": "a", "app": "y"},
        lag | {"namespace": "a", "consumergroup": "of-nobody"},
        lag | {"namespace": "b", "consumergroup": "of-x", "app": "x"},
        lag | {"cluster": "c", "namespace": "a", "consumergroup": "of-x", "app": "x"},
        {"alertname": "MLModelPredictionDrift", "severity": "warning", "namespace": "a", "model": "m"},
        {"alertname": "FlinkJobRestartLoop", "severity": "critical", "namespace": "e", "app": "x"},
        {"alertname": "FlinkCheckpointFailures", "severity": "critical", "namespace": "e", "app": "y"},
        lag | {"namespace": "e", "consumergroup": "of-x", "app": "x"},
        lag | {"namespace": "e", "consumergroup": "of-y", "app": "y"},
        # It is in the same group, in another group, in a group of the same name in another Kafka cluster.
        {"alertname": "KafkaConsumerStalled", "severity": "critical", "namespace": "c", "consumergroup": "g"},
        lag | {"namespace": "c", "consumergroup": "g"},
        lag | {"namespace": "c", "consumergroup": "h"},
        lag | {"namespace": "c", "consumergroup": "g", "strimzi_io_cluster": "k"},
        # What kube-prometheus-stack mutes others' info level with.
        {"alertname": "InfoInhibitor", "severity": "none", "namespace": "d"},
        {"alertname": "FlinkBackpressureHigh", "severity": "info", "category": "flink", "namespace": "d", "app": "x"},
        {"alertname": "CPUThrottlingHigh", "severity": "info", "namespace": "d"},
    ]
    command = [
        programs["alertmanager"],
        f"--config.file={local}",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    with running(tmp_path, *command), httpx.Client(base_url=url) as client:

        def sent() -> bool:
            try:
                return client.post("/api/v2/alerts", json=[{"labels": labels} for labels in fired]).is_success
            except httpx.TransportError:
                return False

        def judged() -> dict[str, set[tuple[str, ...]]] | None:
            found: dict[str, set[tuple[str, ...]]] = {}
            for alert in client.get("/api/v2/alerts").json():
                names = (alert["labels"].get(name, "") for name in TOLD_APART)
                found.setdefault(alert["status"]["state"], set()).add(tuple(names))
            # Alertmanager hears of an alert's cause a moment after it could have said that the alert is active.
            return found if set(found) == {"active", "suppressed"} and found["suppressed"] >= held else None

        held = {
            ("HighKafkaLag", "", "a", "x", "of-x", ""),
            ("HighKafkaLag", "", "a", "x", "of-x", "k"),
            ("KafkaConsumerStalled", "", "a", "x", "x", ""),
            ("HighFlinkProcessingLatency", "", "a", "x", "", ""),
            ("HighKafkaLag", "", "e", "x", "of-x", ""),
            ("HighKafkaLag", "", "e", "y", "of-y", ""),
            ("HighKafkaLag", "", "c", "", "g", ""),
            ("CPUThrottlingHigh", "", "d", "", "", ""),
            ("InfoInhibitor", "", "d", "", "", ""),
        }
        wait_for("Alertmanager", sent)
        found = wait_for("every alert is judged", judged)
        assert found["suppressed"] == held
        assert len(found["active"]) == len(fired) - len(held)
