"""What a real API server says to each scenario of profiles/: validation against schemas, and Pod Security."""

import copy
import json
import subprocess
from pathlib import Path

import pytest
import render
import yaml

from apiserver.chart import schemas
from apiserver.chart.conftest import NAMESPACE, SCENARIOS
from apiserver.control_plane import ControlPlane

Object = render.Object
Renderings = dict[str, list[Object]]
DRY_RUN = ("apply", "--server-side", "--dry-run=server", "--validate=strict")


@pytest.fixture(scope="module")
def files(renderings: Renderings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each scenario's objects in a file, as Helm would send them."""
    folder = tmp_path_factory.mktemp("objects")
    found = {}
    for name, rendered in renderings.items():
        objects = copy.deepcopy(rendered)
        for o in objects:
            if not o["kind"].startswith("Cluster"):
                o["metadata"].setdefault("namespace", NAMESPACE)
        found[name] = folder / name
        found[name].write_text(yaml.safe_dump_all(objects))
    return found


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_api_server_takes_every_object(
    informed_plane: ControlPlane, files: dict[str, Path], scenario: str, renderings: Renderings
) -> None:
    """By the server's own dry run: schemas, CEL rules and admission; unknown and doubled keys are errors."""
    try:
        taken = informed_plane.kubectl(*DRY_RUN, f"--filename={files[scenario]}")
    except subprocess.CalledProcessError as error:
        pytest.fail(error.stderr)
    assert len(taken.splitlines()) == len(renderings[scenario])


@pytest.mark.parametrize(
    ("release", "namespace"),
    [("12345", "123"), ("true", "null"), ("1e3", "0x1f"), ("my.release", "on"), ("a" * 53, "b" * 63)],
)
def test_the_api_server_takes_any_name(
    informed_plane: ControlPlane, chart: Path, tmp_path: Path, release: str, namespace: str
) -> None:
    """With all of the pipeline, an exporter of ours, and labels that are keys of ours."""
    values = {
        "pipeline": {"enabled": True, "panes": {"enabled": True}},
        "commonLabels": {"app.kubernetes.io/part-of": "1e3", "helm.sh/chart": "x"},
        "dataMonitor": {"reports": {"ingress": {"enabled": True, "host": "drift.example.com"}}},
        "networkPolicy": {"prometheusPeers": [], "apiServerPeers": []},
        "securityContext": "openshift",
    }
    (tmp_path / "values.yaml").write_text(json.dumps(values))
    arguments = [*render.template_arguments(chart, release, namespace), f"--values={tmp_path / 'values.yaml'}"]
    objects = render.objects(render.helm(arguments))
    for o in objects:
        if not o["kind"].startswith("Cluster"):
            o["metadata"].setdefault("namespace", namespace)
    # PyYAML writes 1e3 without quotes, and Kubernetes would read a number.
    (tmp_path / "objects.yaml").write_text("\n---\n".join(json.dumps(o) for o in objects))
    with informed_plane.client() as client:
        client.post("/api/v1/namespaces", json={"metadata": {"name": namespace}})
    try:
        taken = informed_plane.kubectl(*DRY_RUN, f"--filename={tmp_path / 'objects.yaml'}")
    except subprocess.CalledProcessError as error:
        pytest.fail(error.stderr)
    assert len(taken.splitlines()) == len(objects)


def test_the_api_server_refuses_what_is_wrong(informed_plane: ControlPlane, tmp_path: Path) -> None:
    """The check above can fail: a key that Strimzi's definition does not know."""
    pool = {"apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaNodePool", "metadata": {"name": "a"}}
    (tmp_path / "pool.yaml").write_text(yaml.safe_dump({**pool, "spec": {"replicsa": 1}}))
    with pytest.raises(subprocess.CalledProcessError) as error:
        informed_plane.kubectl(*DRY_RUN, f"--filename={tmp_path / 'pool.yaml'}")
    assert "spec.replicsa" in error.value.stderr


def test_kubeconform(informed_plane: ControlPlane, files: dict[str, Path], tmp_path: Path) -> None:
    """The same without a server, by the schemas that it publishes of its kinds and of all definitions."""
    from cluster import tools

    with informed_plane.client() as client:
        schemas.write(client.get("/openapi/v2").raise_for_status().json(), tmp_path)
    location = tmp_path / "{{.Group}}_{{.ResourceAPIVersion}}_{{.ResourceKind}}.json"
    kubeconform = [str(tools.ensure(["kubeconform"])["kubeconform"]), "-strict", "-summary"]
    kubeconform += ["-schema-location", str(location)]
    done = subprocess.run([*kubeconform, *map(str, files.values())], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Skipped: 0" in done.stdout
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndaat: {}\n")
    assert "daat" in subprocess.run([*kubeconform, str(wrong)], capture_output=True, text=True, check=False).stdout


def pods(objects: list[Object]) -> dict[str, Object]:
    """The Pods that controllers and Flink's operator would make of our objects, by the object's name."""
    found = {}
    for o in objects:
        if o["kind"] in ("Deployment", "Job", "StatefulSet", "DaemonSet"):
            template = copy.deepcopy(o["spec"]["template"])
            template["spec"].setdefault("restartPolicy", "Always")
        elif o["kind"] == "FlinkDeployment":
            template = copy.deepcopy(o["spec"]["podTemplate"])
            for container in template["spec"]["containers"]:
                container["image"] = o["spec"]["image"]
            # The JobManager's, which has all that the TaskManagers' has.
            template["spec"].update(o["spec"]["jobManager"].get("podTemplate", {"spec": {}})["spec"])
        else:
            continue
        labels = template.get("metadata", {}).get("labels", {})
        metadata = {"name": o["metadata"]["name"], "labels": labels}
        found[o["metadata"]["name"]] = {"metadata": metadata, "spec": template["spec"]}
    return found


def refusal(plane: ControlPlane, pod: Object) -> str:
    """What Pod Security's admission says to a Pod in a namespace that enforces "restricted"; empty if it may run."""
    labels = {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    with plane.client() as client:
        client.post("/api/v1/namespaces", json={"metadata": {"name": "restricted", "labels": labels}})
        answer = client.post("/api/v1/namespaces/restricted/pods?dryRun=All&fieldValidation=Strict", json=pod)
    return "" if answer.is_success else answer.json()["message"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_pod_is_admitted_as_restricted(
    informed_plane: ControlPlane, renderings: Renderings, scenario: str
) -> None:
    found = pods(renderings[scenario])
    assert found
    assert {name: message for name, pod in found.items() if (message := refusal(informed_plane, pod))} == {}


def test_a_folder_of_the_node_is_not_restricted(informed_plane: ControlPlane, chart: Path) -> None:
    """What values.yaml says of checkpoints.hostPath, and that the check above can fail."""
    command = render.template_arguments(chart, "streaming-monitoring", NAMESPACE)
    command += ["--set=pipeline.enabled=true", "--set=pipeline.checkpoints.hostPath=/srv/checkpoints"]
    pod = pods(render.objects(render.helm(command)))["ml-recommender"]
    assert 'violates PodSecurity "restricted' in refusal(informed_plane, pod)
