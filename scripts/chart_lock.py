#!/usr/bin/env python3
"""Check Chart.lock against Chart.yaml without a network, or write it.

Helm's digest is a SHA-256 over the JSON of [dependencies of Chart.yaml, dependencies of Chart.lock] as Go writes
it: fixed order of keys, empty ones left out (except repository), and < > & escaped.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent.parent / "charts/streaming-monitoring"
KEYS = ("name", "version", "repository", "condition", "tags", "enabled", "import-values", "alias")
ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}

Dependencies = Sequence[Mapping[str, Any]]


def _plain(dependency: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: dependency.get(key) for key in KEYS}
    return {key: value or "" for key, value in kept.items() if value or key in ("name", "repository")}


def digest(required: Dependencies, locked: Dependencies) -> str:
    """The digest that Helm would write."""
    both = [[_plain(d) for d in required], [_plain(d) for d in locked]]
    text = json.dumps(both, separators=(",", ":"), ensure_ascii=False)
    for char, escape in ESCAPES.items():
        text = text.replace(char, escape)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def lock(required: Dependencies, now: datetime) -> str:
    """The text of Chart.lock. The versions are exact, so nothing has to be resolved."""
    locked = [{key: d[key] for key in ("name", "repository", "version")} for d in required]
    content = {
        "dependencies": locked,
        "digest": digest(required, locked),
        "generated": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return yaml.safe_dump(content, sort_keys=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write Chart.lock instead of checking it")
    arguments = parser.parse_args()
    required = yaml.safe_load((CHART / "Chart.yaml").read_text())["dependencies"]
    path = CHART / "Chart.lock"
    if arguments.write:
        path.write_text(lock(required, datetime.now(UTC)))
        return 0
    locked = yaml.safe_load(path.read_text())
    if locked["digest"] != digest(required, locked["dependencies"]):
        print("Chart.lock is out of sync with Chart.yaml; run: python scripts/chart_lock.py --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
