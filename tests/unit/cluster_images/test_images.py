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
