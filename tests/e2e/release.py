"""The release that runs, with values of the tests for a while."""

import json
from pathlib import Path
from typing import Any

from demo.install import RELEASE, install, prepare_chart
from demo.kube import Cluster


class Release:
    """Upgraded to and fro; what it was installed with stays below the tests' values."""

    def __init__(self, cluster: Cluster, provider: str, folder: Path) -> None:
        self._cluster = cluster
        self._chart = prepare_chart(provider, folder / "chart")
        self._own = folder / "own.json"
        values = json.loads(cluster.helm("get", "values", RELEASE, "--output=json"))
        self._own.write_text(json.dumps(values or {}))

    def upgrade(self, *values: dict[str, Any]) -> None:
        """Upgrade to its own values and these over them, of which later ones win; without any it is as before."""
        files = [self._own]
        for number, layer in enumerate(values):
            files.append(self._own.with_name(f"tests-{number}.json"))
            files[-1].write_text(json.dumps(layer))
        install(self._cluster, self._chart, files, print)
