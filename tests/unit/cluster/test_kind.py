"""The kind provider's pure parts, and its runtime with a stand-in for runc."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cluster import images, tools
from cluster.images import contents
from cluster.kind import docker, engine, packages

RUNTIME = Path(engine.__file__).with_name("runc_without_sys_resource.py")
ALL, WITHOUT = 2**41 - 1, 2**41 - 1 - 2**24


def test_kind_creates_builds_and_loads_in_this_order(tmp_path: Path) -> None:
    words = [" ".join(command[:3]) for command in docker.commands(tmp_path / "kubeconfig")]
    assert words[0] == "kind create cluster"
    assert words[-1] == "kind load docker-image"
    assert all(word.startswith("docker build") for word in words[1:-1])


def test_the_dry_run_of_kind_prints_commands_and_runs_none() -> None:
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-m", "cluster", "up", "--provider=kind", "--dry-run"]
    done = subprocess.run(command, cwd=root / "tests", capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].startswith("kind create cluster")


def test_only_a_machine_without_the_capability_gets_the_runtime_that_drops_it() -> None:
    dockerd = Path("/usr/sbin/dockerd")
    assert not [word for word in engine.KIND.command(dockerd, ALL) if "runtime" in word]
    assert "--default-runtime=without-sys-resource" in engine.KIND.command(dockerd, WITHOUT)


def test_an_engine_in_the_network_of_the_machine_leaves_it_as_it_is() -> None:
    command = engine.Engine(Path("/var/lib/x"), engine.KIND.cgroup, None).command(Path("dockerd"), ALL)
    assert {"--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"} <= set(command)
    assert not [word for word in engine.KIND.command(Path("dockerd"), ALL) if "iptables" in word]


def test_the_socket_path_fits_into_an_address() -> None:
    assert len(engine.KIND.host) < 108


@pytest.fixture
def runc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for runc that writes down what it was told."""
    told = tmp_path / "told"
    program = tmp_path / "bin/runc"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {told}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return told


CAPABILITIES = {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "ambient": None}


def test_a_container_is_created_without_the_capability(runc: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"process": {"args": ["init"], "capabilities": CAPABILITIES}}))
    subprocess.run([RUNTIME, "--root", "/run/x", "create", "--bundle", tmp_path, "name"], check=True)
    process = json.loads(config.read_text())["process"]
    assert process == {"args": ["init"], "capabilities": {"bounding": ["CAP_CHOWN"], "ambient": []}}
    assert runc.read_text().split() == ["--root", "/run/x", "create", "--bundle", str(tmp_path), "name"]


def test_so_is_what_is_run_in_one(runc: Path, tmp_path: Path) -> None:
    process = tmp_path / "process.json"
    process.write_text(json.dumps({"capabilities": CAPABILITIES}))
    subprocess.run([RUNTIME, "exec", "--process", process, "name"], check=True)
    assert json.loads(process.read_text())["capabilities"]["bounding"] == ["CAP_CHOWN"]


def test_the_node_has_every_image_that_kubeadm_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "tool", lambda name: RUNTIME)  # nothing is built for the names
    contents.kind_node(tmp_path, tmp_path)
    names = (tmp_path / "names").read_text().split()
    documents = [
        yaml.safe_load(text)
        for text in packages.configuration({"etcd": tools.version("etcd"), "coredns": tools.version("coredns")})[
            "kubeadmConfigPatches"
        ]
    ]
    cluster = next(document for document in documents if document["kind"] == "ClusterConfiguration")
    repository = cluster["imageRepository"]
    assert f"{repository}/etcd:{cluster['etcd']['local']['imageTag']}" in names
    assert f"{repository}/coredns:{cluster['dns']['imageTag']}" in names
    components = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
    assert {f"{repository}/{name}:v{tools.KUBERNETES}" for name in components} <= set(names)


def test_what_runs_as_a_pod_of_the_node_is_the_image_that_it_brings() -> None:
    folder = images.IMAGES["kind-node"].context / "files/kind"
    reference = images.IMAGES["kubernetes"].reference
    manifests = (folder / "manifests/default-storage.yaml").read_text()
    assert reference in manifests
    assert manifests.count("localhost/") == manifests.count(reference)
    assert reference in (folder / "bin/load-images").read_text()
