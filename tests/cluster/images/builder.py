"""From recipes to archives, by buildah without a daemon and without namespaces (chroot isolation)."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import contents, context
from .catalogue import IMAGES, Image

Progress = Callable[[str], None]
KEY_LENGTH = 16
# Where the machine keeps the authorities it trusts: builds behind a proxy with one of its own need it.
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
PIP_CONFIGURATION = Path("/etc/pip.conf")


def folders(image: Image) -> dict[str, Path]:
    return {".": image.context, **image.extra}


def keys() -> dict[str, str]:
    """The name of every image's build: a hash of its own recipe and of the one it is built on."""
    found: dict[str, str] = {}

    def key(image: Image) -> str:
        if image.name not in found:
            below = [key(IMAGES[name]) for name in (image.base, *image.archives) if name is not None]
            arguments = [f"{name}={value}" for name, value in sorted(image.arguments.items())]
            inputs = (image.reference, *image.inputs, *arguments, *below)
            found[image.name] = context.digest(folders(image), inputs)[:KEY_LENGTH]
        return found[image.name]

    return {name: key(image) for name, image in IMAGES.items() if (image.context / "Dockerfile").is_file()}


def build(cache: Path, names: Iterable[str], progress: Progress = print) -> dict[str, Path]:
    """An archive for each image, built where the cache does not hold it yet."""
    builder = Builder(cache, progress)
    return {name: builder.archive(IMAGES[name]) for name in names}


class Builder:
    def __init__(self, cache: Path, progress: Progress) -> None:
        self.cache = cache
        self.progress = progress
        self.keys = keys()
        self.work = cache / "work"
        self.archives = cache / "images"
        self.archives.mkdir(parents=True, exist_ok=True)

    def archive(self, image: Image) -> Path:
        if image.name not in self.keys:
            raise FileNotFoundError(f"no Dockerfile for the image {image.name} in {image.context}")
        archive = self._place(image)
        if archive.is_file():
            return archive
        for name in image.archives:
            self.archive(IMAGES[name])
        with self._lock():
            if not archive.is_file():
                self._ensure_built(image)
                part = archive.with_suffix(".part")
                part.unlink(missing_ok=True)
                self._buildah("push", self._tag(image), f"docker-archive:{part}:{image.reference}")
                part.rename(archive)
                self._forget_older(image, archive)
                self._slim_storage()
        return archive

    def _place(self, image: Image) -> Path:
        return self.archives / f"{image.name}-{self.keys[image.name]}.tar"

    def _ensure_built(self, image: Image) -> None:
        """Build the image into buildah's storage, after the images below it."""
        if self._has(image):
            return
        arguments = [f"--build-arg={name}={value}" for name, value in image.arguments.items()]
        if image.base is not None:
            base = IMAGES[image.base]
            self._ensure_built(base)
            arguments.append(f"--build-arg=BASE_IMAGE={self._tag(base)}")
        started = time.monotonic()
        with tempfile.TemporaryDirectory(dir=self.work, prefix=f"{image.name}-") as folder:
            staged = Path(folder)
            context.stage(folders(image), staged)
            if image.fill is not None:
                image.fill(staged, self.cache)
            for name in image.archives:
                (staged / "images").mkdir(exist_ok=True)
                shutil.copy2(self._place(IMAGES[name]), staged / "images")
            command = ["build", "--isolation", "chroot", "--pull-never", "--layers=false", *arguments]
            self._buildah(*command, *self._mounts(), "--tag", self._tag(image), folder)
        self.progress(f"image {image.name} built in {time.monotonic() - started:.0f} s")

    def _mounts(self) -> list[str]:
        """What RUN steps see of the machine: its certificate authorities and pip settings, read-only."""
        return [
            part for path in (AUTHORITIES, PIP_CONFIGURATION) if path.is_file() for part in ("-v", f"{path}:{path}:ro")
        ]

    def _tag(self, image: Image) -> str:
        return f"localhost/build/{image.name}:{self.keys[image.name]}"

    def _has(self, image: Image) -> bool:
        # `inspect` would try to pull; `images` only looks.
        command = [*self._command(), "images", "--quiet", self._tag(image)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _command(self) -> list[str]:
        storage = self.cache / "buildah"
        return [
            *("nice", "-n", "5", str(contents.tool("buildah")), "--storage-driver", "overlay"),
            *("--root", str(storage / "root"), "--runroot", str(storage / "run")),
        ]

    def _buildah(self, *arguments: str) -> None:
        contents.run(*self._command(), *arguments, env={**os.environ, "TMPDIR": str(self.work)})

    def _forget_older(self, image: Image, archive: Path) -> None:
        """Keep two builds of an image: the one before serves a switch between branches."""
        older = [path for path in self.archives.glob(f"{image.name}-*.tar") if self._belongs(path, image)]
        older.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in older[2:]:
            if path != archive:
                path.unlink()

    def _slim_storage(self) -> None:
        """Keep only current bases in buildah's storage: of everything else the archive is enough."""
        bases = {other.base for other in IMAGES.values()}
        kept = {self._tag(other) for other in IMAGES.values() if other.name in bases and other.name in self.keys}
        listed = subprocess.run(
            [*self._command(), "images", "--format", "{{.Name}}:{{.Tag}}"], capture_output=True, text=True, check=False
        )
        for tag in listed.stdout.split():
            if tag.startswith("localhost/build/") and tag not in kept:
                self._buildah("rmi", tag)

    @staticmethod
    def _belongs(path: Path, image: Image) -> bool:
        return len(path.stem) == len(image.name) + 1 + KEY_LENGTH

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One builder at a time: two would build the same bases twice."""
        with (self.cache / "images.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Whoever held the lock before is done, or was killed and left its work behind.
            shutil.rmtree(self.work, ignore_errors=True)
            self.work.mkdir()
            try:
                yield
            finally:
                shutil.rmtree(self.work, ignore_errors=True)


def remove_storage(cache: Path) -> None:
    """Drop buildah's storage; archives stay, so that only what changes is built again."""
    shutil.rmtree(cache / "buildah", ignore_errors=True)
