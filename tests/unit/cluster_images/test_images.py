"""The catalogue of images and the keys of their builds."""

from pathlib import Path

import pytest
from cluster import images
from cluster.images import builder


def test_every_image_is_built_on_one_that_exists() -> None:
    for image in images.IMAGES.values():
        assert image.base is None or image.base in images.IMAGES


def test_the_key_of_a_base_is_part_of_the_keys_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = images.keys()
    changed = {**images.IMAGES, "debian": images.Image(**{**vars(images.IMAGES["debian"]), "inputs": ("other",)})}
    monkeypatch.setattr(builder, "IMAGES", changed)
    after = images.keys()
    assert {name for name in before if before[name] == after[name]} == {"pause"}


def test_the_key_of_an_image_that_another_carries_is_part_of_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = images.keys()
    changed = {**images.IMAGES, "pause": images.Image(**{**vars(images.IMAGES["pause"]), "inputs": ("other",)})}
    monkeypatch.setattr(builder, "IMAGES", changed)
    after = images.keys()
    assert {name for name in before if before[name] != after[name]} == {"pause", "kind-node"}


def test_an_image_is_built_with_the_archives_that_it_carries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = builder.Builder(tmp_path, lambda text: None)
    for name in images.IMAGES["kind-node"].archives:
        make._place(images.IMAGES[name]).write_bytes(name.encode())
    seen: dict[str, bytes] = {}

    def buildah(*arguments: str) -> None:
        if arguments[0] == "build":
            seen.update({path.name: path.read_bytes() for path in (Path(arguments[-1]) / "images").iterdir()})
        if arguments[0] == "push":
            Path(arguments[2].split(":")[1]).write_bytes(b"built")

    monkeypatch.setattr(make, "_buildah", buildah)
    monkeypatch.setattr(make, "_has", lambda image: image.name == "debian")
    monkeypatch.setattr(make, "_slim_storage", lambda: None)
    node = images.Image(**{**vars(images.IMAGES["kind-node"]), "fill": None})
    make.archive(node)
    assert sorted(seen.values()) == [b"kubernetes", b"pause"]


def test_references_are_the_ones_containerd_looks_up() -> None:
    # A name without a host would be looked up under docker.io, and not be found.
    for image in images.IMAGES.values():
        assert image.reference.split("/")[0] in {"localhost", "docker.io"}


def test_a_cached_archive_is_taken_as_it_is(tmp_path: Path) -> None:
    archive = tmp_path / "images" / f"pause-{images.keys()['pause']}.tar"
    archive.parent.mkdir()
    archive.write_bytes(b"kept")
    assert images.build(tmp_path, ["pause"], lambda text: None) == {"pause": archive}


def test_only_two_builds_of_an_image_are_kept(tmp_path: Path) -> None:
    make = builder.Builder(tmp_path, lambda text: None)
    image = images.IMAGES["prometheus"]
    paths = [make.archives / f"prometheus-{n:016x}.tar" for n in range(3)]
    other = make.archives / f"prometheus-operator-{9:016x}.tar"
    for path in [*paths, other]:
        path.write_bytes(b"")
    make._forget_older(image, paths[2])
    left = {path.name for path in make.archives.iterdir()}
    assert len(left & {path.name for path in paths}) == 2
    assert paths[2].name in left
    assert other.name in left


def test_what_a_killed_build_left_behind_is_removed(tmp_path: Path) -> None:
    make = builder.Builder(tmp_path, lambda text: None)
    (make.work / "half").mkdir(parents=True)
    with make._lock():
        assert list(make.work.iterdir()) == []
    assert not make.work.exists()
