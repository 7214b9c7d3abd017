"""Finding a Java that is new enough."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path


def candidates() -> Iterator[Path]:
    for variable in ("JAVA21_HOME", "JAVA_HOME"):
        if home := os.environ.get(variable):
            yield Path(home) / "bin" / "java"
    yield from sorted(Path("/usr/lib/jvm").glob("*/bin/java"))


def major(version_output: str) -> int:
    """The major version in what `java -version` prints."""
    found = re.search(r'version "(?:1\.)?(\d+)', version_output)
    return int(found.group(1)) if found else 0


def find(least: int) -> Path:
    """A java program of at least this major version."""
    for java in candidates():
        if java.is_file():
            result = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=False)
            if major(result.stderr + result.stdout) >= least:
                return java
    raise RuntimeError(
        f"no Java {least} or newer: install one, such as the package temurin-{least}-jdk, "
        "or name its folder in JAVA21_HOME"
    )
