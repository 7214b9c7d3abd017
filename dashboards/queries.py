"""The queries of the written dashboards, with Grafana's variables filled in: for tests, and for drawing panels."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
Board = dict[str, Any]
Panel = dict[str, Any]

# What Grafana puts there for "All", and for an hour that is looked at with a scrape every 15 s.
DEFAULTS = {"__rate_interval": "1m", "__interval": "15s", "__range": "1h", "cluster": ".*"}
ALL = ".+"


def boards() -> dict[str, Board]:
    """Return the dashboards by file name."""
    return {path.name: json.loads(path.read_text()) for path in sorted(HERE.glob("*.json"))}


def panels(board: Board) -> list[Panel]:
    """Return the panels in their order, without the rows' titles."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def fill_in(text: str, values: Mapping[str, str] = DEFAULTS) -> str:
    """Put values in the place of variables; a variable without one stands for all."""
    return re.sub(r"\$\{?(\w+)\}?", lambda found: values.get(found[1], ALL), text)


def expressions(board: Board) -> Iterator[tuple[str, str]]:
    """Yield where an expression stands, and the expression with its variables: of panels, then of annotations."""
    for panel in panels(board):
        for target in panel["targets"]:
            yield f"{board['title']} / {panel['title']} {target['refId']}", target["expr"]
    for annotation in board["annotations"]["list"]:
        yield f"{board['title']} / annotation {annotation['name']}", annotation["expr"]
