"""What a release is made of: notes that were written, and a chart that names where its images are."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import release
import render
import yaml
from cluster.kind import docker

VERSION = yaml.safe_load((render.CHART / "Chart.yaml").read_text())["version"]
REPOSITORY = "Some-Owner/Some.Name"
REGISTRY = "ghcr.io/some-owner/some.name"
DIGESTS = {name: f"sha256:{number:064x}" for number, name in enumerate(release.IMAGES, 1)}
CHANGELOG = """# Changelog

## Unreleased

### Added
- Not yet.

## 1.2.0 - 2026-12-01

### Added
- A thing.

## 1.1.0 - 2026-11-01

- The one before.
"""


def test_the_notes_are_what_was_written_of_that_version() -> None:
    assert release.notes("1.2.0", CHANGELOG) == "### Added\n- A thing.\n"
    assert release.notes("1.1.0", CHANGELOG) == "- The one before.\n"


@pytest.mark.parametrize(
    ("version", "text", "why"),
    [
        ("1.3.0", CHANGELOG, "no part"),
        ("1.2", CHANGELOG, "no part"),
        ("1x2.0", CHANGELOG, "no part"),
        ("2.0.0", "## 2.0.0 - 2026-12-01\n\n## 1.0.0 - 2026-01-01\n\n- Old.\n", "says nothing of 2.0.0"),
        ("2.0.0", "## 2.0.0\n\n- No date.\n", "no part"),
    ],
)
def test_a_version_without_notes_is_not_released(version: str, text: str, why: str) -> None:
    with pytest.raises(release.ReleaseError, match=why):
        release.notes(version, text)


def test_a_tag_is_not_released_from_a_chart_of_another_version() -> None:
    release.check("1.2.0", {"version": "1.2.0", "appVersion": "1.2.0"}, CHANGELOG)
    with pytest.raises(release.ReleaseError, match=r"appVersion in Chart\.yaml is 1\.1\.0"):
        release.check("1.2.0", {"version": "1.2.0", "appVersion": "1.1.0"}, CHANGELOG)


def test_every_image_that_is_built_is_released() -> None:
    built = {tag.split("/")[1].split(":")[0] for tag in docker.IMAGES}
    assert built == set(release.IMAGES)


def digests_in(folder: Path, digests: dict[str, str]) -> Path:
    folder.mkdir()
    for name, digest in digests.items():
        (folder / name).write_text(f"{digest}\n")
    return folder


def test_digests_are_read_by_the_name_of_the_image(tmp_path: Path) -> None:
    assert release.read_digests(digests_in(tmp_path / "all", DIGESTS)) == DIGESTS
    with pytest.raises(release.ReleaseError, match="but the images are"):
        release.read_digests(digests_in(tmp_path / "fewer", {"remediator": DIGESTS["remediator"]}))
    with pytest.raises(release.ReleaseError, match="the digest of pipeline is 'latest'"):
        release.read_digests(digests_in(tmp_path / "wrong", {**DIGESTS, "pipeline": "latest"}))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart of a release, with empty charts for its dependencies."""
    out = tmp_path_factory.mktemp("release")
    chart = release.write_chart(VERSION, REPOSITORY, DIGESTS, out)
    (chart / "charts").mkdir()
    for dependency in yaml.safe_load((chart / "Chart.yaml").read_text())["dependencies"]:
        render._stand_in(dependency, chart / "charts", empty=True)
    return chart


def images_of(chart: Path, *arguments: str) -> set[str]:
    """Our images in the pods of a rendering with everything on."""
    reports = ("--set=dataMonitor.reports.enabled=true", "--set=dataMonitor.reports.kind=evidently")
    everything = ("--set=pipeline.enabled=true", *reports)
    text = render.helm(["template", "r", str(chart), f"--kube-version={render.KUBE_VERSION}", *everything, *arguments])
    found = {value for each in render.objects(text) for value in _images(each)}
    return {image for image in found if "streaming-monitoring/" in image}


def _images(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "image" and isinstance(value, str):
                yield value
            yield from _images(value)
    elif isinstance(part, list):
        for value in part:
            yield from _images(value)


@pytest.mark.usefixtures("helm")
def test_the_released_chart_needs_no_registry_and_takes_the_released_images(released: Path) -> None:
    expected = {f"{REGISTRY}/streaming-monitoring/{name}@{digest}" for name, digest in DIGESTS.items()}
    assert images_of(released) == expected


@pytest.mark.usefixtures("helm")
@pytest.mark.parametrize("key", ["image.registry", "global.imageRegistry"])
def test_a_mirror_of_the_users_has_the_same_images(released: Path, key: str) -> None:
    expected = {f"mirror.example.com/x/streaming-monitoring/{name}@{digest}" for name, digest in DIGESTS.items()}
    assert images_of(released, f"--set={key}=mirror.example.com/x") == expected


@pytest.mark.usefixtures("helm")
def test_images_on_the_nodes_are_those_that_were_built_there(released: Path) -> None:
    expected = {f"streaming-monitoring/{name}:{VERSION}" for name in DIGESTS}
    assert images_of(released, f"--values={render.CHART / 'profiles/local-values.yaml'}") == expected


@pytest.mark.usefixtures("helm")
def test_an_empty_digest_is_the_released_one(released: Path) -> None:
    # files/defaults.json goes with values.yaml.
    assert images_of(released, "--set=remediator.image.digest=null") == images_of(released)


def test_the_released_chart_says_where_it_comes_from(released: Path) -> None:
    chart = yaml.safe_load((released / "Chart.yaml").read_text())
    own = yaml.safe_load((render.CHART / "Chart.yaml").read_text())
    assert {key: chart[key] for key in own if key != "annotations"} == {
        key: value for key, value in own.items() if key != "annotations"
    }
    assert own["annotations"].keys() < chart["annotations"].keys()
    assert chart["home"] == f"https://github.com/{REPOSITORY}"
    assert chart["icon"].endswith(f"/v{VERSION}/{release.ICON}")
    assert (render.ROOT / release.ICON).is_file()
    listed = yaml.safe_load(chart["annotations"]["artifacthub.io/images"])
    assert {entry["image"] for entry in listed} == {
        f"{REGISTRY}/streaming-monitoring/{name}@{digest}" for name, digest in DIGESTS.items()
    }


def test_the_released_readme_says_the_released_values(released: Path) -> None:
    text = (released / "README.md").read_text()
    assert f'| `image.released` | `"{REGISTRY}"` |' in text
    assert all(digest in text for digest in DIGESTS.values())


def test_a_repository_is_an_owner_and_a_name() -> None:
    with pytest.raises(release.ReleaseError, match="is no OWNER/NAME"):
        release.registry("nobody")
