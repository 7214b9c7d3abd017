"""Loads image archives into containerd. Most images are built on others that are loaded, too: a layer that is there
already is left out, which spares containerd from reading, hashing and dropping it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from cluster.errors import ProviderError

_OCI = "application/vnd.oci.image"


class Loader:
    """Notes in a folder, which goes when containerd's data go, what is loaded: each image's archive and layers."""

    def __init__(self, ctr: Sequence[str], notes: Path) -> None:
        self._ctr = ctr
        self._notes = notes

    def load(self, archives: dict[str, Path], say: Callable[[str], None]) -> None:
        """Load what is not loaded yet; an archive's name changes with its content. The first should be one that has
        many layers of the others. Raises ProviderError."""
        self._notes.mkdir(exist_ok=True)
        loaded = {note.name: json.loads(note.read_text())["archive"] for note in self._notes.iterdir()}
        missing = {name: archive for name, archive in archives.items() if loaded.get(name) != archive.name}
        first, rest = list(missing)[:1], list(missing)[1:]

        def load(name: str) -> None:
            say(f"loading {name}")
            self._load(name, missing[name])

        for name in first:
            load(name)
        with ThreadPoolExecutor(max_workers=2) as pool:
            # The largest first, so that none is left to load alone at the end.
            list(pool.map(load, sorted(rest, key=lambda name: -missing[name].stat().st_size)))

    def _load(self, name: str, archive: Path) -> None:
        note = self._notes / name
        note.unlink(missing_ok=True)  # containerd drops what only the older build of this image has
        known = {layer for other in self._notes.iterdir() for layer in json.loads(other.read_text())["layers"]}
        command = [*self._ctr, "images", "import", "-"]
        layers: list[str] = []  # none are left out of other images where it is not sure that they are there
        with tempfile.TemporaryFile() as words:
            # If it ends early, it says why.
            with (
                contextlib.suppress(BrokenPipeError),
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=words, stderr=words) as importing,
            ):
                assert importing.stdin
                layers = convert(archive, importing.stdin, known)
            if importing.returncode:
                words.seek(0)
                raise ProviderError(f"{' '.join(command)} < {archive}: {words.read().decode(errors='replace').strip()}")
        note.write_text(json.dumps({"archive": archive.name, "layers": layers}))


def convert(archive: Path, out: IO[bytes], known: set[str]) -> list[str]:
    """Write a docker-archive as a tar of an OCI image layout, without the layers that are known; returns all its
    layers (SHA-256 in hex). The archive holds uncompressed layers, which are named by their digests.

    Source: OCI image specification 1.0, "Image Layout"; containerd takes the image's name from an annotation.
    """
    with tarfile.open(archive) as source, tarfile.open(fileobj=out, mode="w|") as target:

        def write(name: str, content: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))

        def blob(kind: str, content: bytes, **more: Any) -> dict[str, Any]:
            digest = hashlib.sha256(content).hexdigest()
            write(f"blobs/sha256/{digest}", content)
            return {"mediaType": f"{_OCI}.{kind}.v1+json", "digest": f"sha256:{digest}", "size": len(content), **more}

        described = json.loads(_read(source, "manifest.json"))[0]
        members = [source.getmember(name) for name in described["Layers"]]
        layers = [member.name.removesuffix(".tar") for member in members]
        for layer, member in zip(layers, members, strict=True):
            if layer not in known:
                moved = tarfile.TarInfo(f"blobs/sha256/{layer}")
                moved.size = member.size
                target.addfile(moved, source.extractfile(member))
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": blob("config", _read(source, described["Config"])),
            "layers": [
                {"mediaType": f"{_OCI}.layer.v1.tar", "digest": f"sha256:{layer}", "size": member.size}
                for layer, member in zip(layers, members, strict=True)
            ],
        }
        named = {"io.containerd.image.name": described["RepoTags"][0]}
        index = {"schemaVersion": 2, "manifests": [blob("manifest", json.dumps(manifest).encode(), annotations=named)]}
        write("oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        write("index.json", json.dumps(index).encode())
    return layers


def _read(source: tarfile.TarFile, name: str) -> bytes:
    member = source.extractfile(name)
    assert member, f"{name} is no file"
    return member.read()
