"""The umbrella chart, unchanged, with stand-ins for its dependencies in charts/.

The stand-ins carry the names and versions that Chart.yaml asks for, and the real definitions of the custom
resources in crds/, as the real charts do: without them a first install of our own resources fails.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import yaml

from . import crds

STAND_INS = Path(__file__).resolve().parent / "charts"


def default_cache() -> Path:
    configured = os.environ.get("STREAMING_MONITORING_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "streaming-monitoring"


def dependencies(chart_dir: Path) -> dict[str, str]:
    """Name to version of what a chart depends on."""
    chart = yaml.safe_load((chart_dir / "Chart.yaml").read_text())
    return {entry["name"]: entry["version"] for entry in chart.get("dependencies", [])}


def prepare(chart_dir: Path, out: Path, cache: Path | None = None) -> Path:
    """Copy the chart to `out`, put the stand-ins into its charts/ folder, and give the copy's folder."""
    wanted = dependencies(chart_dir)
    found = {folder.name: folder for folder in STAND_INS.iterdir() if (folder / "Chart.yaml").is_file()}
    for name, version in wanted.items():
        _check(name, version, found)
    shutil.rmtree(out, ignore_errors=True)
    # Links are followed: a chart's files may be links to folders outside of it.
    shutil.copytree(chart_dir, out, symlinks=False, ignore=shutil.ignore_patterns("charts", "*.tgz"))
    for name in wanted:
        target = out / "charts" / name
        shutil.copytree(found[name], target)
        shutil.copytree(crds.generate(name, cache or default_cache()), target / "crds")
    return out


def _check(name: str, version: str, found: dict[str, Path]) -> None:
    """Helm itself does not notice a dependency of the wrong version."""
    if name not in found:
        raise LookupError(f"the chart depends on {name}, for which there is no stand-in in {STAND_INS}")
    have = yaml.safe_load((found[name] / "Chart.yaml").read_text())["version"]
    if have != version:
        raise LookupError(f"the chart depends on {name} {version}; the stand-in has version {have}")
