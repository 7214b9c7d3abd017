"""Build contexts: which files count, and the hash that names a build."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

# What tools leave behind; never part of an image.
IGNORED = {"__pycache__", ".venv", ".git", ".pytest_cache", ".mypy_cache", ".ruff_cache", "build", "dist"}
IGNORED_SUFFIXES = {".pyc", ".egg-info"}


def files(folder: Path) -> Iterator[Path]:
    """The files that count, in a stable order."""
    for path in sorted(folder.iterdir()):
        if path.name in IGNORED or path.suffix in IGNORED_SUFFIXES:
            continue
        if path.is_dir() and not path.is_symlink():
            yield from files(path)
        else:
            yield path


def digest(folders: dict[str, Path], inputs: Iterable[str]) -> str:
    """A hash of names, modes and contents; `folders` maps a place in the context to a folder."""
    total = hashlib.sha256()
    for text in inputs:
        total.update(f"input {text}\0".encode())
    for place, folder in sorted(folders.items()):
        for path in files(folder):
            executable = "x" if path.stat().st_mode & 0o100 else "-"
            name = (Path(place) / path.relative_to(folder)).as_posix()
            total.update(f"file {name} {executable} {path.stat().st_size}\0".encode())
            total.update(path.read_bytes())
    return total.hexdigest()


def stage(folders: dict[str, Path], target: Path) -> None:
    """Copy exactly the files that were hashed, so that nothing else can reach the image."""
    for place, folder in folders.items():
        for path in files(folder):
            copy = target / place / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
