"""What helm upgrade leaves alone: values that something else changed in the cluster since."""

from collections.abc import Callable
from pathlib import Path

import pytest
import render
import yaml
from chart import fake_api
from chart.conftest import PROFILES, Object, Rendered

Upgrade = Callable[..., Rendered]


@pytest.fixture
def upgrade(helm: Callable[..., str], chart: Path, tmp_path: Path) -> Upgrade:
    """Render the example pipeline against a cluster that holds some objects."""

    def run(objects: list[Object], values: Object | None = None) -> Rendered:
        (tmp_path / "values.yaml").write_text(yaml.safe_dump(values or {}))
        with fake_api.serve(objects) as kubeconfig:
            (tmp_path / "kubeconfig").write_text(kubeconfig)
            command = render.template_arguments(chart, "streaming-monitoring", "streaming")
            command += ["--dry-run=server", "--disable-openapi-validation", f"--kubeconfig={tmp_path / 'kubeconfig'}"]
            command += [f"--values={PROFILES / 'pipeline-values.yaml'}", f"--values={tmp_path / 'values.yaml'}"]
            return Rendered(helm(command, {"HELM_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}))

    return run


# Live objects belong to the release, or Helm would refuse to touch them.
OWNED = {
    "namespace": "streaming",
    "labels": {"app.kubernetes.io/managed-by": "Helm"},
}
OWNER = {"meta.helm.sh/release-name": "streaming-monitoring", "meta.helm.sh/release-namespace": "streaming"}


def live_job(parallelism: int, mode: str = "last-state", chart_said: str = "2") -> Object:
    return {
        "apiVersion": "flink.apache.org/v1beta1",
        "kind": "FlinkDeployment",
        "metadata": {
            **OWNED,
            "name": "ml-recommender",
            "annotations": {
                **OWNER,
                "streaming-monitoring.dev/chart-parallelism": chart_said,
                "streaming-monitoring.dev/chart-upgrade-mode": "last-state",
            },
        },
        "spec": {"job": {"parallelism": parallelism, "upgradeMode": mode}},
    }


def job(result: Rendered) -> Object:
    return result.one("FlinkDeployment", "ml-recommender")["spec"]["job"]


def test_first_install_takes_the_values(upgrade: Upgrade) -> None:
    assert job(upgrade([]))["parallelism"] == 2


def test_remediated_parallelism_survives(upgrade: Upgrade) -> None:
    assert job(upgrade([live_job(4)]))["parallelism"] == 4


def test_changed_value_wins(upgrade: Upgrade) -> None:
    result = upgrade([live_job(4)], {"pipeline": {"job": {"parallelism": 3}}})
    assert job(result)["parallelism"] == 3
    annotations = result.one("FlinkDeployment", "ml-recommender")["metadata"]["annotations"]
    assert annotations["streaming-monitoring.dev/chart-parallelism"] == "3"


def test_object_without_record_takes_the_values(upgrade: Upgrade) -> None:
    bare = live_job(4)
    bare["metadata"]["annotations"] = OWNER
    assert job(upgrade([bare]))["parallelism"] == 2


def test_upgrade_mode_of_a_restore_survives(upgrade: Upgrade) -> None:
    live = live_job(2, mode="last-state")
    live["metadata"]["annotations"]["streaming-monitoring.dev/chart-upgrade-mode"] = "savepoint"
    assert job(upgrade([live], {"pipeline": {"job": {"upgradeMode": "savepoint"}}}))["upgradeMode"] == "last-state"


def test_dials_of_the_load_survive(upgrade: Upgrade) -> None:
    said = {"streaming-monitoring.dev/chart-rate": "400", "streaming-monitoring.dev/chart-shift": "0"}
    live = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {**OWNED, "name": "streaming-monitoring-loadgen", "annotations": {**OWNER, **said}},
        "data": {"rate": "800", "shift": "1"},
    }
    dials = upgrade([live]).one("ConfigMap", "streaming-monitoring-loadgen")["data"]
    assert dials == {"rate": "800", "shift": "1"}
    changed = {"pipeline": {"loadgen": {"rate": 100, "shift": 0.5}}}
    dials = upgrade([live], changed).one("ConfigMap", "streaming-monitoring-loadgen")["data"]
    assert dials == {"rate": "100", "shift": "0.5"}


def test_token_is_kept(upgrade: Upgrade) -> None:
    live = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**OWNED, "name": "streaming-monitoring-remediator-webhook", "annotations": OWNER},
        "data": {"token": "a2VwdA=="},
    }
    assert upgrade([live]).one("Secret", "streaming-monitoring-remediator-webhook")["data"]["token"] == "a2VwdA=="
