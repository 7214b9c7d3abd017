"""Images on their way into containerd: what is sent, and what is left out."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest
from cluster.errors import ProviderError
from cluster.loading import Loader, convert

BASE, ONE, OTHER = b"the layer that both have", b"one's own", b"the other's own"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def docker_archive(path: Path, reference: str, *layers: bytes) -> Path:
    """Write an archive as buildah does: layers and configuration named by their digests, and a manifest."""
    config = json.dumps({"rootfs": {"diff_ids": [f"sha256:{digest(layer)}" for layer in layers]}}).encode()
    files = {f"{digest(layer)}.tar": layer for layer in layers} | {f"{digest(config)}.json": config}
    described = {"Config": f"{digest(config)}.json", "RepoTags": [reference], "Layers": list(files)[: len(layers)]}
    files["manifest.json"] = json.dumps([described]).encode()
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def unpack(layout: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(layout)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive.getmembers()}


def test_an_archive_becomes_an_image_layout_without_what_is_known(tmp_path: Path) -> None:
    archive, out = docker_archive(tmp_path / "one.tar", "localhost/one:1", BASE, ONE), io.BytesIO()
    assert convert(archive, out, {digest(BASE)}) == [digest(BASE), digest(ONE)]
    files = unpack(out.getvalue())
    blobs = {name.removeprefix("blobs/sha256/"): content for name, content in files.items() if "/" in name}
    assert all(digest(content) == name for name, content in blobs.items())
    assert digest(ONE) in blobs
    assert digest(BASE) not in blobs
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert entry["annotations"] == {"io.containerd.image.name": "localhost/one:1"}
    manifest = json.loads(blobs[entry["digest"].removeprefix("sha256:")])
    sizes = [(layer["digest"], layer["size"]) for layer in manifest["layers"]]
    assert sizes == [(f"sha256:{digest(layer)}", len(layer)) for layer in (BASE, ONE)]
    assert manifest["config"]["digest"].removeprefix("sha256:") in blobs


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    """Folder of what a stand-in for ctr was given, a file for each image."""
    folder = tmp_path / "sent"
    folder.mkdir()
    return folder


def loader(tmp_path: Path, sent: Path) -> Loader:
    return Loader(["sh", "-c", f'cat > "$(mktemp -p {sent})"'], tmp_path / "notes")


def layers_sent(sent: Path) -> list[set[bytes]]:
    found = [
        set(unpack(file.read_bytes()).values()) & {BASE, ONE, OTHER}
        for file in sorted(sent.iterdir(), key=os.path.getctime)
    ]
    for file in sent.iterdir():
        file.unlink()
    return found


def test_each_image_is_loaded_once_and_a_shared_layer_too(tmp_path: Path, sent: Path) -> None:
    one = docker_archive(tmp_path / "one-1.tar", "localhost/one:1", BASE, ONE)
    other = docker_archive(tmp_path / "other-1.tar", "localhost/other:1", BASE, OTHER)
    said: list[str] = []
    loader(tmp_path, sent).load({"one": one, "other": other}, said.append)
    assert said == ["loading one", "loading other"]
    assert layers_sent(sent) == [{BASE, ONE}, {OTHER}]
    # A later start finds what this one has noted; an image that was built anew has another name.
    newer = docker_archive(tmp_path / "one-2.tar", "localhost/one:1", ONE, OTHER)
    loader(tmp_path, sent).load({"one": newer, "other": other}, said.append)
    assert said[2:] == ["loading one"]
    assert layers_sent(sent) == [{ONE}], "what only its older build had may be gone"


def test_what_containerd_says_is_told_and_nothing_is_noted(tmp_path: Path) -> None:
    archive = docker_archive(tmp_path / "one-1.tar", "localhost/one:1", bytes(10**6))
    full = Loader(["sh", "-c", "echo no space left >&2; exit 1"], tmp_path / "notes")
    with pytest.raises(ProviderError, match="no space left"):
        full.load({"one": archive}, lambda _: None)
    assert not list((tmp_path / "notes").iterdir())
