"""The reference file."""

from __future__ import annotations

import json
from pathlib import Path

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
    """Write a reference, readable. Raises InputError."""
    try:
        path.write_text(json.dumps({**reference.to_document(), "digest": reference.digest}, indent=1) + "\n")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
