"""The hash that names an image's build."""

from pathlib import Path

import pytest
from cluster.images import context


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "src").mkdir(parents=True)
    (source / "Dockerfile").write_text("FROM scratch\n")
    (source / "src" / "main.py").write_text("print()\n")
    return source


def test_same_files_have_the_same_hash_wherever_they_lie(folder: Path, tmp_path: Path) -> None:
    before = context.digest({".": folder}, ["1"])
    moved = folder.rename(tmp_path / "elsewhere")
    assert context.digest({".": moved}, ["1"]) == before


@pytest.mark.parametrize("change", ["content", "name", "mode", "input", "place"])
def test_whatever_reaches_the_image_changes_the_hash(folder: Path, change: str) -> None:
    before = context.digest({".": folder}, ["1"])
    file = folder / "src" / "main.py"
    if change == "content":
        file.write_text("print(1)\n")
    elif change == "name":
        file.rename(file.with_name("other.py"))
    elif change == "mode":
        file.chmod(0o755)
    after = context.digest({"x" if change == "place" else ".": folder}, ["2" if change == "input" else "1"])
    assert after != before


def test_what_tools_leave_behind_neither_counts_nor_is_copied(folder: Path, tmp_path: Path) -> None:
    before = context.digest({".": folder}, [])
    (folder / "src" / "__pycache__").mkdir()
    (folder / "src" / "__pycache__" / "main.pyc").write_bytes(b"x")
    (folder / "src" / "demo.egg-info").mkdir()
    (folder / "src" / "demo.egg-info" / "PKG-INFO").write_text("x")
    assert context.digest({".": folder}, []) == before
    context.stage({".": folder}, tmp_path / "staged")
    staged = [path.relative_to(tmp_path / "staged").as_posix() for path in context.files(tmp_path / "staged")]
    assert staged == ["Dockerfile", "src/main.py"]


def test_extra_folders_get_a_place_of_their_own(folder: Path, tmp_path: Path) -> None:
    context.stage({"package": folder}, tmp_path / "staged")
    assert (tmp_path / "staged" / "package" / "src" / "main.py").is_file()
