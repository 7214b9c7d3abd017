"""Fixtures of the chart's tests: the chart with stand-in dependencies, and Helm to render it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import render
import yaml

Object = render.Object
Render = Callable[..., "Rendered"]

PROFILES = render.CHART / "profiles"
SCENARIOS = sorted(path.name for path in PROFILES.glob("*-values.yaml"))


class Rendered:
    """The objects of ours in a rendering."""

    def __init__(self, text: str) -> None:
        self.objects = render.objects(text)

    def of(self, kind: str) -> dict[str, Object]:
        """All objects of a kind, by name."""
        return {o["metadata"]["name"]: o for o in self.objects if o["kind"] == kind}

    def one(self, kind: str, name: str) -> Object:
        """One object; fails with what there is."""
        found = self.of(kind)
        assert name in found, f"no {kind} {name}, but {sorted(found)}"
        return found[name]


@pytest.fixture(scope="session")
def helm() -> Callable[..., str]:
    """Run helm."""
    if render.find_helm() is None:
        pytest.skip("helm is neither in .tools/bin nor in PATH (make setup builds it)")
    return render.helm


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the chart with empty charts for its dependencies: they are not judged here."""
    return render.prepare(tmp_path_factory.mktemp("chart"), empty=True)


@pytest.fixture(scope="session")
def rendered(helm: Callable[..., str], chart: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Render the chart with a scenario of profiles/ and with values over it."""
    folder = tmp_path_factory.mktemp("values")
    known: dict[str, Rendered] = {}

    def render_chart(
        scenario: str | None = None, values: Object | None = None, release: str = "streaming-monitoring"
    ) -> Rendered:
        key = json.dumps([scenario, values, release], sort_keys=True)
        if key in known:
            return known[key]
        command = render.template_arguments(chart, release, "streaming")
        if scenario:
            command.append(f"--values={PROFILES / scenario}")
        if values:
            path = folder / f"{len(known)}.yaml"
            path.write_text(yaml.safe_dump(values))
            command.append(f"--values={path}")
        known[key] = Rendered(helm(command))
        return known[key]

    return render_chart
