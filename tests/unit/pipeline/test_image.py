"""What goes into the image: the entrypoint, and for each version of Flink the pinned packages and jars, which agree."""

import os
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml
from cluster.images import catalogue

ROOT = Path(__file__).resolve().parents[3]
CONTEXT = ROOT / "examples" / "pipeline"
FLINKS = sorted(path.name for path in (CONTEXT / "flink").iterdir())
# The connector's Flink, where it is not the image's: docs/install.md says why.
CONNECTORS = {"1.20": "1.19"}


@pytest.fixture
def start(tmp_path):
    """The entrypoint, with scripts that say how they were called."""
    scripts = tmp_path / "bin"
    scripts.mkdir()
    for name in ("jobmanager.sh", "taskmanager.sh", "standalone-job.sh", "kubernetes-jobmanager.sh"):
        script = scripts / name
        script.write_text('#!/bin/sh\nprintf "%s" "${0##*/}"; printf " <%s>" "$@"\n')
        script.chmod(0o755)
    environment = {"FLINK_HOME": str(tmp_path), "PATH": f"{scripts}:{os.environ['PATH']}"}

    def run(*arguments):
        command = [str(CONTEXT / "docker-entrypoint.sh"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


def test_native_mode(start):
    assert start("kubernetes-jobmanager.sh", "kubernetes-application").stdout == (
        "kubernetes-jobmanager.sh <kubernetes-application>"
    )
    assert start("bash", "-c", "kubernetes-jobmanager.sh kubernetes-application -D a='b c'").stdout == (
        "kubernetes-jobmanager.sh <kubernetes-application> <-D> <a=b c>"
    )


@pytest.mark.parametrize("role", ["jobmanager", "taskmanager", "standalone-job"])
def test_standalone_mode(start, role):
    assert start(role, "-D", "a=b c").stdout == f"{role}.sh <start-foreground> <-D> <a=b c>"


def test_another_command_is_run_as_it_is(start):
    assert start("echo", "a  b").stdout == "a  b\n"
    assert start("sh", "-c", "exit 7").returncode == 7


def test_no_command_is_an_error(start):
    assert start().returncode == 64


def test_the_image_is_built_for_what_the_chart_says_unless_told_otherwise():
    (default,) = re.findall(r"^ARG FLINK=(.+)$", (CONTEXT / "Dockerfile").read_text(), re.MULTILINE)
    values = yaml.safe_load((ROOT / "charts/streaming-monitoring/values.yaml").read_text())
    assert values["pipeline"]["flinkVersion"] == f"v{default.replace('.', '_')}"
    assert default == catalogue.FLINK
    assert sorted([default, *catalogue.OTHER_FLINKS]) == FLINKS


@pytest.mark.parametrize("flink", FLINKS)
def test_every_requirement_is_pinned_with_hashes(flink):
    requirements = (CONTEXT / "flink" / flink / "requirements.txt").read_text()
    packages = re.split(r"\n(?=[a-z0-9])", "\n".join(re.findall(r"^[^#\n].*", requirements, re.MULTILINE)))
    assert len(packages) > 30
    for package in packages:
        assert re.match(r"[a-z0-9.-]+==[^ ]+ \\\n +--hash=sha256:[0-9a-f]{64}", package), package
    assert "://" not in requirements


@pytest.mark.parametrize("flink", FLINKS)
def test_the_versions_agree(flink):
    folder = CONTEXT / "flink" / flink
    (version,) = re.findall(r"^apache-flink==(\S+)", (folder / "requirements.txt").read_text(), re.MULTILINE)
    assert version.rpartition(".")[0] == flink
    assert f"apache-flink=={version}" in (folder / "requirements.in").read_text().split()
    names = {"m": "http://maven.apache.org/POM/4.0.0"}
    connector = ET.parse(folder / "pom.xml").findtext(".//m:dependency/m:version", namespaces=names)
    assert connector
    assert connector.rpartition("-")[2] == CONNECTORS.get(flink, flink)
