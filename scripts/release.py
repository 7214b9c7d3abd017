#!/usr/bin/env python3
"""What a release consists of beside its images: the notes, and the chart that names its registry and digests.

  check VERSION                       the chart, its appVersion and CHANGELOG.md all say this version
  notes VERSION                       print the version's part of CHANGELOG.md
  chart VERSION --repository OWNER/NAME --digests FOLDER --out FOLDER
                                      copy the chart to OUT/streaming-monitoring, ready to be packaged

Nobody's name is in this repository: where the images and the chart are is known from the repository that is released.
"""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import values_docs
import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts/streaming-monitoring"
CHANGELOG = ROOT / "CHANGELOG.md"
IMAGES = {
    "remediator": ("remediator", "image"),
    "data-monitor": ("dataMonitor", "image"),
    "data-monitor-report": ("dataMonitor", "reports", "image"),
    "pipeline": ("pipeline", "image"),
}
"""Our images: where the chart's values speak of each."""
ICON = "docs/images/icon.svg"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ReleaseError(Exception):
    """Something that a release needs is missing or contradicts itself; the message says what."""


def check(version: str, chart: Mapping[str, Any], changelog: str) -> None:
    """Raise ReleaseError unless the chart and the changelog are those of this version."""
    for key in ("version", "appVersion"):
        if chart[key] != version:
            raise ReleaseError(f"{key} in Chart.yaml is {chart[key]}, the release is {version}")
    notes(version, changelog)


def notes(version: str, changelog: str) -> str:
    """Return what the changelog says of a version, without its heading. Raises ReleaseError."""
    parts = re.split(r"^## (.+)$", changelog, flags=re.MULTILINE)
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        if re.fullmatch(rf"\[?{re.escape(version)}\]? - \d{{4}}-\d\d-\d\d", title.strip()):
            if not text.strip():
                raise ReleaseError(f"CHANGELOG.md says nothing of {version}")
            return text.strip() + "\n"
    raise ReleaseError(f'CHANGELOG.md has no part "## {version} - YYYY-MM-DD"')


def registry(repository: str) -> str:
    """Where a repository (OWNER/NAME) has its images: names there are lower case."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise ReleaseError(f"{repository} is no OWNER/NAME")
    return f"ghcr.io/{repository.lower()}"


def read_digests(folder: Path) -> dict[str, str]:
    """Return each image's digest, from a file of its name. Raises ReleaseError if one is missing or more are there."""
    found = {path.name: path.read_text().strip() for path in folder.iterdir()}
    if set(found) != set(IMAGES):
        raise ReleaseError(f"digests of {sorted(found)}, but the images are {sorted(IMAGES)}")
    for name, digest in found.items():
        if not _DIGEST.fullmatch(digest):
            raise ReleaseError(f"the digest of {name} is {digest!r}")
    return found


def values(text: str, where: str, digests: Mapping[str, str]) -> str:
    """Return values.yaml with the registry and the digests in it, and its comments. Raises ReleaseError."""
    wanted = yaml.safe_load(text)
    wanted["image"]["released"] = where
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    spots = [(_scalar(root, ("image", "released")), where)]
    for name, path in IMAGES.items():
        spots.append((_scalar(root, (*path, "digest")), digests[name]))
        image = wanted
        for key in path:
            image = image[key]
        image["digest"] = digests[name]
    # From the end, so that the earlier places stay where they are.
    for node, new in sorted(spots, key=lambda spot: -spot[0].start_mark.index):
        text = text[: node.start_mark.index] + new + text[node.end_mark.index :]
    if yaml.safe_load(text) != wanted:
        raise ReleaseError("values.yaml is not what it should be after the change")
    return text


def metadata(text: str, version: str, repository: str, digests: Mapping[str, str]) -> str:
    """Return Chart.yaml with what Artifact Hub and Helm show of where it comes from."""
    chart = yaml.safe_load(text)
    home = f"https://github.com/{repository}"
    images = [
        {"name": name, "image": f"{registry(repository)}/streaming-monitoring/{name}@{digests[name]}"}
        for name in IMAGES
    ]
    links = [
        {"name": "source", "url": f"{home}/tree/v{version}"},
        {"name": "support", "url": f"{home}/issues"},
    ]
    annotations = {
        "artifacthub.io/images": yaml.safe_dump(images, sort_keys=False),
        "artifacthub.io/links": yaml.safe_dump(links, sort_keys=False),
        # Before 1.0.0 anything may change.
        "artifacthub.io/prerelease": json.dumps(version.startswith("0.") or "-" in version),
    }
    chart |= {
        "home": home,
        "sources": [home],
        "icon": f"https://raw.githubusercontent.com/{repository}/v{version}/{ICON}",
    }
    chart["annotations"] |= annotations
    return yaml.safe_dump(chart, sort_keys=False, allow_unicode=True)


def write_chart(version: str, repository: str, digests: Mapping[str, str], out: Path) -> Path:
    """Write the chart of a release to a folder of its name in ``out``, without its dependencies; returns the folder."""
    copy = out / CHART.name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(CHART, copy, symlinks=False, ignore=shutil.ignore_patterns("charts"))
    text = values((CHART / "values.yaml").read_text(), registry(repository), digests)
    (copy / "values.yaml").write_text(text)
    for path, content in values_docs.wanted(text).items():
        (copy / path.relative_to(CHART)).write_text(content)
    place = copy / "Chart.yaml"
    place.write_text(metadata(place.read_text(), version, repository, digests))
    return copy


def _scalar(root: yaml.Node, path: tuple[str, ...]) -> yaml.ScalarNode:
    node = root
    for key in path:
        node = next((value for name, value in node.value if name.value == key), None)
        if node is None:
            raise ReleaseError(f"values.yaml has no {'.'.join(path)}")
    return node


def main() -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["check", "notes", "chart"])
    parser.add_argument("version", help="without a v before it")
    parser.add_argument("--repository", help="OWNER/NAME on GitHub")
    parser.add_argument("--digests", type=Path, help="folder with a file for each image that holds its digest")
    parser.add_argument("--out", type=Path, default=ROOT / "build/release", help="default: build/release")
    arguments = parser.parse_args()
    if arguments.command == "chart" and not (arguments.repository and arguments.digests):
        parser.error("chart needs --repository and --digests")
    try:
        check(arguments.version, yaml.safe_load((CHART / "Chart.yaml").read_text()), CHANGELOG.read_text())
        match arguments.command:
            case "notes":
                print(notes(arguments.version, CHANGELOG.read_text()), end="")
            case "chart":
                digests = read_digests(arguments.digests)
                print(write_chart(arguments.version, arguments.repository, digests, arguments.out))
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
