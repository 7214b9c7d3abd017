"""The reference file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from data_monitor.core.reference import BadReference, Reference
from data_monitor.errors import InputError


def load(path: Path) -> Reference:
    """Read a reference. Raises InputError."""
    try:
        return Reference.from_document(json.loads(path.read_bytes()))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except BadReference as error:
        raise InputError(f"{path}: {error}") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from error


def save(reference: Reference, path: Path) -> None:
    """Write a reference, readable: one line for each feature and each column. Raises InputError."""
    try:
        path.write_text(_lines({**reference.to_document(), "digest": reference.digest}), encoding="ascii")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _lines(document: dict[str, Any]) -> str:
    def members(value: Any) -> str:
        if isinstance(value, dict) and value:
            return "{\n" + ",\n".join(f"  {json.dumps(key)}: {_dumps(one)}" for key, one in value.items()) + "\n }"
        if isinstance(value, list) and value:
            return "[\n" + ",\n".join(f"  {_dumps(one)}" for one in value) + "\n ]"
        return _dumps(value)

    return "{\n" + ",\n".join(f" {json.dumps(key)}: {members(value)}" for key, value in document.items()) + "\n}\n"


def _dumps(value: Any) -> str:
    # JSON has no NaN: what reads it elsewhere would refuse the whole file.
    return json.dumps(value, allow_nan=False)
