"""Where the definitions come from, without generating them."""

from pathlib import Path

import pytest
from cluster.crds import CHARTS, generate, jdk


@pytest.mark.parametrize(
    ("text", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_392"', 8),
        ('openjdk version "25" 2025', 25),
        ("", 0),
    ],
)
def test_the_major_version_of_a_jdk(text: str, major: int) -> None:
    assert jdk.major(text) == major


def test_a_missing_jdk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jdk, "candidates", lambda: iter(()))
    with pytest.raises(RuntimeError, match="no Java 21 or newer"):
        jdk.find(21)


def test_every_input_of_a_generator_exists() -> None:
    for _, inputs in CHARTS.values():
        assert all(path.is_file() for path in inputs)


def test_generated_definitions_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []

    def source(target: Path, cache: Path) -> None:
        runs.append(cache)
        (target / "a.yaml").write_text("kind: CustomResourceDefinition\n")

    monkeypatch.setitem(CHARTS, "x", (source, ()))
    first = generate("x", tmp_path)
    assert (first / "a.yaml").is_file()
    assert generate("x", tmp_path) == first
    assert runs == [tmp_path]


def test_a_failed_generator_leaves_nothing_that_looks_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def source(target: Path, cache: Path) -> None:
        (target / "half.yaml").write_text("")
        raise RuntimeError("killed")

    monkeypatch.setitem(CHARTS, "x", (source, ()))
    with pytest.raises(RuntimeError, match="killed"):
        generate("x", tmp_path)
    assert not [path for path in (tmp_path / "crds").iterdir() if path.is_dir()]
