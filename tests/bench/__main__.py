"""``make bench``: run the benchmarks, and write their figures to build/bench.json.

A benchmark is a module ``bench_<name>.py`` here with a function ``run(report) -> dict``: figures as ratios where they
can be, taken in one run, with their units in the names.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path

_HERE = Path(__file__).parent
_OUTPUT = Path("build/bench.json")
_BY_NAME_ONLY = {"recovery"}
"""Those that take a cluster, and more than an hour."""


def names() -> list[str]:
    """The benchmarks there are."""
    return sorted(path.stem.removeprefix("bench_") for path in _HERE.glob("bench_*.py"))


def main() -> int:
    """Run what was asked for; figures of the others stay as they are in the file."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    usual = [name for name in names() if name not in _BY_NAME_ONLY]
    others = ", ".join(_BY_NAME_ONLY)
    help_text = f"which: {others}, {', '.join(usual)} (all but {others})"
    parser.add_argument("names", nargs="*", metavar="NAME", help=help_text)
    wanted = parser.parse_args().names or usual
    if unknown := set(wanted) - set(names()):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    figures = json.loads(_OUTPUT.read_text()) if _OUTPUT.exists() else {}
    for name in wanted:
        print(f"== {name}", file=sys.stderr)
        began = time.monotonic()
        found = importlib.import_module(f"bench.bench_{name}").run(lambda text: print(text, file=sys.stderr))
        figures[name] = {
            **found,
            "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "took_seconds": round(time.monotonic() - began),
            "machine": f"{os.cpu_count()} CPUs, Python {platform.python_version()}",
            "load_average": os.getloadavg()[0],
        }
        _OUTPUT.parent.mkdir(exist_ok=True)
        _OUTPUT.write_text(json.dumps(figures, indent=1) + "\n")
        print(json.dumps(figures[name], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
