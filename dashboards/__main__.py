"""Write the dashboards as JSON: ``python -m dashboards``."""

import json
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import drift, pipeline, remediations

HERE = Path(__file__).resolve().parent
BOARDS = {
    "streaming-pipeline.json": pipeline.build,
    "remediations.json": remediations.build,
    "data-drift.json": drift.build,
}


def render(dashboard: Dashboard) -> str:
    """Return a dashboard as JSON. Panels are numbered in their order, so that links to them last."""
    built = dashboard.build()
    for number, panel in enumerate(built.panels or [], start=1):
        panel.id_val = number
    return json.dumps(built, cls=JSONEncoder, indent=2) + "\n"


def main() -> None:
    """Write them beside this file; JSON of dashboards that are no more goes."""
    for path in HERE.glob("*.json"):
        if path.name not in BOARDS:
            path.unlink()
    for name, build in BOARDS.items():
        (HERE / name).write_text(render(build()))


if __name__ == "__main__":
    main()
