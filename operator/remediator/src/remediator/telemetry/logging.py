"""One JSON object per log line, on standard error."""

import logging
import sys

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter


def setup(level: str = "INFO") -> None:
    """Send all log records to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
            # kopf hangs its settings on the records of an object; they are long, and cannot be copied.
            reserved_attrs=[*RESERVED_ATTRS, "settings", "k8s_skip"],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Their lines tell of every request, and of every event that was seen; the metrics do that.
    for noisy in ("httpx", "aiohttp.access", "kopf.objects"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
