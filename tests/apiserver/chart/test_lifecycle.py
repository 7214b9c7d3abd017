"""A release on a real API server with Helm 3 and Helm 4: first install, upgrade, rollback, uninstall, and again.

There are no nodes: a stand-in runs the hooks' scripts, with the rights of the hooks' accounts. Nothing else runs.
"""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import render
import yaml

from apiserver.chart import stand_ins
from apiserver.chart.conftest import SCENARIOS
from apiserver.control_plane import ControlPlane, control_plane

RELEASE = NAMESPACE = "streaming-monitoring"
SCENARIO = render.CHART / "profiles/pipeline-values.yaml"
REGISTRY = f"--values={render.REGISTRY}"
JOB = f"/apis/flink.apache.org/v1beta1/namespaces/{NAMESPACE}/flinkdeployments/ml-recommender"
RULE = f"/apis/monitoring.coreos.com/v1/namespaces/{NAMESPACE}/prometheusrules/streaming-monitoring-kafka"
TOKEN = f"/api/v1/namespaces/{NAMESPACE}/secrets/streaming-monitoring-remediator-webhook"
DEFINITION = (
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/flinkremediations.remediation.streaming-monitoring.dev"
)
KEPT = {
    # By Flink's operator, for jobs that still run.
    "ServiceAccount flink",
    "Role flink",
    "RoleBinding flink-role-binding",
}
IN_USE = ["kubernetes.io/pvc-protection"]
"""Finalizers of a volume claim that is on its way out: they belong to a controller that does not run here."""
MEBIBYTE = 1 << 20
"""What a Secret, and so the record of a release, may hold."""


class HelmError(Exception):
    """What Helm said."""


class Helm:
    """One Helm against one API server."""

    def __init__(self, binary: Path, plane: ControlPlane, folder: Path, kubelet: stand_ins.Kubelet) -> None:
        self._binary, self._plane = binary, plane
        self.ran = kubelet.ran
        self.applies_by_the_server = binary.name == "helm4"
        self._env = {**os.environ, **{f"HELM_{kind}_HOME": str(folder / kind) for kind in ("CACHE", "CONFIG", "DATA")}}
        self.client = plane.client()

    def __call__(self, *arguments: str | Path, namespace: str = NAMESPACE) -> str:
        command = [str(self._binary), *map(str, arguments), f"--namespace={namespace}"]
        command.append(f"--kubeconfig={self._plane.kubeconfig}")
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=self._env)
        if done.returncode:
            raise HelmError(f"{done.stderr}\nhooks: {self.ran}")
        return done.stdout

    def status(self) -> tuple[str, int]:
        """Status and revision of the release."""
        about = json.loads(self("status", RELEASE, "--output=json"))
        return about["info"]["status"], about["version"]

    def get(self, path: str) -> render.Object:
        """An object of the API server."""
        found: render.Object = self.client.get(path).raise_for_status().json()
        return found


@pytest.fixture(scope="module", params=["helm", "helm4"])
def helm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helm]:
    """Each Helm with an API server of its own, which knows nothing yet. Tests leave no release behind."""
    from cluster import tools

    tmp_path = tmp_path_factory.mktemp(request.param)
    found = tools.ensure(["etcd", "kube-apiserver", request.param])
    (tmp_path / "plane").mkdir()
    with control_plane(found["etcd"], found["kube-apiserver"], tmp_path / "plane") as plane:
        kubelet = stand_ins.Kubelet(plane, NAMESPACE, tmp_path / "kubelet")
        flink = stand_ins.FlinkOperator(NAMESPACE)
        with stand_ins.looking(plane, kubelet.look, flink.look):
            made = Helm(found[request.param], plane, tmp_path, kubelet)
            yield made
            made.client.close()


def size(helm: Helm, revision: int) -> int:
    """Bytes of a release's record as Helm encodes it."""
    secret = helm.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/sh.helm.release.v1.{RELEASE}.v{revision}")
    return len(base64.b64decode(secret["data"]["release"]))


def threshold(helm: Helm) -> str:
    """Threshold of HighKafkaLag in the cluster."""
    groups = helm.get(RULE)["spec"]["groups"]
    (rule,) = [r for group in groups for r in group["rules"] if r.get("alert") == "HighKafkaLag"]
    return rule["expr"].split()[-1]


def parallelism(helm: Helm) -> int:
    return helm.get(JOB)["spec"]["job"]["parallelism"]


def remediate(helm: Helm, value: int) -> None:
    """Change the parallelism as the controller does: by a JSON patch, in its own name."""
    patch = [{"op": "replace", "path": "/spec/job/parallelism", "value": value}]
    headers = {"Content-Type": "application/json-patch+json"}
    helm.client.patch(f"{JOB}?fieldManager=remediator", json=patch, headers=headers).raise_for_status()


def left(client: httpx.Client, manifest: str) -> list[str]:
    """Objects of a manifest that are still there, and not on their way out."""
    found = []
    resources = {}
    for o in yaml.safe_load_all(manifest):
        version, kind, name = o["apiVersion"], o["kind"], o["metadata"]["name"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if version not in resources:
            resources[version] = {r["kind"]: r for r in client.get(root).json()["resources"] if "/" not in r["name"]}
        about = resources[version][kind]
        where = f"/namespaces/{o['metadata'].get('namespace', NAMESPACE)}" if about["namespaced"] else ""
        answer = client.get(f"{root}{where}/{about['name']}/{name}")
        if answer.is_success:
            metadata = answer.json()["metadata"]
            if "deletionTimestamp" not in metadata or metadata["finalizers"] != IN_USE:
                found.append(f"{kind} {name}")
    return found


def test_life_of_a_release(helm: Helm, chart: Path) -> None:
    helm("install", RELEASE, chart, "--create-namespace", REGISTRY, f"--values={SCENARIO}", "--timeout=3m")
    assert helm.status() == ("deployed", 1)
    # The pages of the runbooks are in it twice; the real dependencies add less than the other half has room for.
    assert size(helm, 1) < MEBIBYTE / 2
    token = helm.get(TOKEN)["data"]["token"]
    assert (parallelism(helm), threshold(helm)) == (2, "1000")

    # What Helm does not do: a definition of an older release follows, and a repair stays.
    definition = helm.get(DEFINITION)
    version = definition["spec"]["versions"][0]
    columns = version["additionalPrinterColumns"]
    version["additionalPrinterColumns"] = columns[:1]
    helm.client.put(DEFINITION, json=definition).raise_for_status()
    remediate(helm, 4)
    higher = ["--set=rules.overrides.HighKafkaLag.threshold=5000", REGISTRY, f"--values={SCENARIO}", "--timeout=3m"]
    helm("upgrade", RELEASE, chart, *higher)
    assert helm.status() == ("deployed", 2)
    assert (parallelism(helm), threshold(helm)) == (4, "5000")
    assert helm.get(TOKEN)["data"]["token"] == token
    assert helm.get(DEFINITION)["spec"]["versions"][0]["additionalPrinterColumns"] == columns
    assert "flinkremediations.remediation.streaming-monitoring.dev: at resource version" in helm.ran[f"{RELEASE}-crds"]

    # A rollback does not look at the cluster, so it takes the repair back; Helm 4 wants to be told that it may.
    rollback = ["rollback", RELEASE, "1", "--timeout=3m"]
    if helm.applies_by_the_server:
        with pytest.raises(HelmError, match=r'conflict with "remediator".*\.spec\.job\.parallelism'):
            helm(*rollback)
        rollback.append("--force-conflicts")
    helm(*rollback)
    assert helm.status()[0] == "deployed"
    assert (parallelism(helm), threshold(helm)) == (2, "1000")
    assert helm.get(TOKEN)["data"]["token"] == token

    manifest = helm("get", "manifest", RELEASE)
    helm("uninstall", RELEASE, "--timeout=3m")
    assert "FlinkDeployment streaming-monitoring/ml-recommender: deleted" in helm.ran[f"{RELEASE}-uninstall"]
    assert helm.client.get(JOB).status_code == 404
    assert set(left(helm.client, manifest)) == KEPT
    assert helm.get(DEFINITION)["metadata"].get("deletionTimestamp") is None


def test_lint_is_clean(helm: Helm, chart: Path) -> None:
    for scenario in SCENARIOS:
        values = f"--values={render.CHART / 'profiles' / scenario}"
        helm("lint", "--strict", chart, f"--kube-version={render.KUBE_VERSION}", REGISTRY, values)


def test_wrong_values_are_refused(helm: Helm, chart: Path) -> None:
    """By the chart's schema before anything is sent, and by the definitions' own for what is passed through."""
    with pytest.raises(HelmError, match="replcias"):
        helm("install", RELEASE, chart, "--create-namespace", REGISTRY, "--set=kafka.replcias=3")
    with pytest.raises(HelmError, match=r"no release|not found"):
        helm("status", RELEASE)
    policy = "remediator.policies.high-kafka-lag.spec.mode=Atc"
    try:
        with pytest.raises(HelmError, match=r"spec\.mode: Unsupported value: \"Atc\""):
            helm("install", RELEASE, chart, "--create-namespace", REGISTRY, f"--set={policy}")
    finally:
        helm("uninstall", RELEASE, "--timeout=3m")
