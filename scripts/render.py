#!/usr/bin/env python3
"""Render the chart without a cluster and without a network.

Dependencies that are not in the chart's charts/ folder are replaced by stand-ins: those of tests/cluster/charts, or
empty charts with the right name and version. Writes one file for each template under OUT.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts/streaming-monitoring"
STANDINS = ROOT / "tests/cluster/charts"
REGISTRY = ROOT / "scripts/render-values.yaml"
KUBE_VERSION = "1.34.0"  # a Helm built from its module believes in a much older one


Object = dict[str, Any]


class RenderError(Exception):
    """The chart cannot be rendered; the message is Helm's."""


def find_helm() -> Path | None:
    """Helm of `make setup`, or of the machine."""
    own = ROOT / ".tools/bin/helm"
    if own.exists():
        return own
    found = shutil.which("helm")
    return Path(found) if found else None


def _stand_in(dependency: Mapping[str, Any], folder: Path, empty: bool) -> None:
    """Put a chart of this name and version into the folder."""
    target = folder / dependency["name"]
    source = STANDINS / dependency["name"]
    if (source / "Chart.yaml").exists() and not empty:
        shutil.copytree(source, target)
        # Helm does not notice a wrong version of an unpacked chart.
        version = yaml.safe_load((target / "Chart.yaml").read_text())["version"]
        if version != dependency["version"]:
            raise RenderError(f"{source} has version {version}, Chart.yaml asks for {dependency['version']}")
        return
    target.mkdir(parents=True)
    meta = {"apiVersion": "v2", "name": dependency["name"], "version": dependency["version"]}
    (target / "Chart.yaml").write_text(yaml.safe_dump(meta))
    (target / "values.yaml").write_text("{}\n")


def prepare(out: Path, empty: bool = False) -> Path:
    """Copy the chart to out/streaming-monitoring with every dependency in its charts/ folder.

    With empty=True all of these are empty charts, whatever is there.
    """
    copy = out / CHART.name
    shutil.copytree(CHART, copy, symlinks=False, ignore=shutil.ignore_patterns("charts") if empty else None)
    folder = copy / "charts"
    folder.mkdir(exist_ok=True)
    for dependency in yaml.safe_load((CHART / "Chart.yaml").read_text())["dependencies"]:
        name, version = dependency["name"], dependency["version"]
        if not (folder / name).exists() and not (folder / f"{name}-{version}.tgz").exists():
            _stand_in(dependency, folder, empty)
    return copy


def helm(arguments: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """Run helm and return what it prints. Raises RenderError with its error."""
    binary = find_helm()
    if binary is None:
        raise RenderError("helm is neither in .tools/bin nor in PATH; run: make setup")
    done = subprocess.run(
        [str(binary), *arguments], capture_output=True, text=True, check=False, env={**os.environ, **(env or {})}
    )
    if done.returncode:
        raise RenderError(done.stderr.strip())
    return done.stdout


def template_arguments(chart: Path, release: str, namespace: str) -> list[str]:
    """The arguments that every rendering shares."""
    where = ["template", release, str(chart), "--namespace", namespace]
    return [*where, "--kube-version", KUBE_VERSION, f"--values={REGISTRY}"]


def objects(text: str) -> list[Object]:
    """The objects of ours in a rendering."""
    return [
        document
        for part in text.split("\n---")
        # The dependencies' objects are not ours to judge.
        if "# Source: streaming-monitoring/charts/" not in part
        for document in yaml.safe_load_all(part)
        if document
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the rendered files")
    parser.add_argument("--values", type=Path, action="append", default=[], help="values file; may be repeated")
    parser.add_argument("--set", action="append", default=[], help="single value, as helm takes it")
    parser.add_argument("--release", default="streaming-monitoring")
    parser.add_argument("--namespace", default="streaming")
    parser.add_argument("--crds", action="store_true", help="with the CRDs of the chart and of its dependencies")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            chart = prepare(Path(scratch))
            command = template_arguments(chart, arguments.release, arguments.namespace)
            command += [f"--values={path}" for path in arguments.values]
            command += [f"--set={value}" for value in arguments.set]
            command += ["--include-crds"] if arguments.crds else []
            arguments.out.mkdir(parents=True, exist_ok=True)
            helm([*command, "--output-dir", str(arguments.out)])
        except RenderError as error:
            print(error, file=sys.stderr)
            return 1
    print(f"rendered into {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
