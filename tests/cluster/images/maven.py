"""Jars from Maven: a folder per pom.xml, kept in the cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path


def resolve(pom: Path, cache: Path) -> Path:
    """The folder with the jars of a pom.xml and of all their dependencies."""
    folder = cache / "maven" / hashlib.sha256(pom.read_bytes()).hexdigest()[:16]
    if folder.is_dir():
        return folder
    from cluster import tools

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        shutil.copy2(pom, Path(work) / "pom.xml")
        command = [str(tools.ensure(["maven"])["maven"]), "-q", "-B", "dependency:copy-dependencies"]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={work}/lib"]
        result = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        if result.returncode:
            raise RuntimeError(f"Maven could not resolve {pom}:\n{result.stdout[-2000:]}{result.stderr[-500:]}")
        # Renamed only when complete: a killed run leaves no half-filled folder behind.
        (Path(work) / "lib").rename(folder)
    return folder
