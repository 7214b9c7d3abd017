#!/usr/bin/env python3
"""runc for a machine that may not grant CAP_SYS_RESOURCE: it is dropped from containers, and from what ``docker exec``
runs in them. A privileged container asks for it, and runc refuses to start what it cannot give it to."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

UNGRANTED = "CAP_SYS_RESOURCE"


def main() -> None:
    """Become runc, after the file that describes the process was changed."""
    arguments = sys.argv[1:]
    if "create" in arguments or "run" in arguments:
        bundle = _value_of(arguments, "--bundle") or "."
        _drop(Path(bundle) / "config.json", lambda config: config.get("process") or {})
    elif "exec" in arguments and (process := _value_of(arguments, "--process")):
        _drop(Path(process), lambda described: described)
    runc = shutil.which("runc")
    if runc is None:
        sys.exit("runc is not on the PATH")
    os.execv(runc, ["runc", *arguments])


def _value_of(arguments: list[str], option: str) -> str | None:
    return arguments[arguments.index(option) + 1] if option in arguments else None


def _drop(file: Path, process_of: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    content = json.loads(file.read_text())
    capabilities = process_of(content).get("capabilities") or {}
    for kind, names in capabilities.items():
        capabilities[kind] = [name for name in names or [] if name != UNGRANTED]
    file.write_text(json.dumps(content))


if __name__ == "__main__":
    main()
