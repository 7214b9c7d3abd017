"""What goes into the image: the entrypoint, the pinned packages, and versions that agree."""

import os
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

CONTEXT = Path(__file__).resolve().parents[3] / "examples" / "pipeline"
REQUIREMENTS = (CONTEXT / "requirements.txt").read_text()


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


def test_every_requirement_is_pinned_with_hashes():
    packages = re.split(r"\n(?=[a-z0-9])", "\n".join(re.findall(r"^[^#\n].*", REQUIREMENTS, re.MULTILINE)))
    assert len(packages) > 30
    for package in packages:
        assert re.match(r"[a-z0-9.-]+==[^ ]+ \\\n +--hash=sha256:[0-9a-f]{64}", package), package
    assert "://" not in REQUIREMENTS


def test_the_versions_agree():
    version = re.search(r"^apache-flink==(\S+)", REQUIREMENTS, re.MULTILINE)
    assert version
    assert f"/flink-python-{version[1]}.jar" in (CONTEXT / "Dockerfile").read_text()
    names = {"m": "http://maven.apache.org/POM/4.0.0"}
    connector = ET.parse(CONTEXT / "pom.xml").findtext(".//m:dependency/m:version", namespaces=names)
    assert connector
    assert connector.endswith("-" + version[1].rsplit(".", 1)[0])
