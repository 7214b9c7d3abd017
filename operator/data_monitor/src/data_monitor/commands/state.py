"""``data-monitor state``: what a snapshot holds."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from data_monitor.adapters import codec
from data_monitor.adapters.codec import Damaged
from data_monitor.adapters.snapshot import Snapshot
from data_monitor.errors import InputError


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    state = commands.add_parser("state", help="print what a snapshot holds: offsets and counters, as JSON")
    state.add_argument("snapshot", type=Path, help="the file of state.path; it may be in use")
    state.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a snapshot; returns the exit code."""
    try:
        snapshot = codec.unpack(arguments.snapshot.read_bytes(), Snapshot)
    except OSError as error:
        raise InputError(f"{arguments.snapshot}: {error.strerror}") from error
    except Damaged as error:
        raise InputError(f"{arguments.snapshot}: {error}") from error
    partitions = [
        {
            "topic": one.topic,
            "partition": one.partition,
            "topic_id": one.topic_id,
            "next_offset": one.next_offset,
            "newest_event_ms": one.newest_ms,
            "panes": len(one.numbers),
            "counters": dict(sorted(one.counters.items())),
        }
        for one in snapshot.partitions
    ]
    print(json.dumps({"reference": snapshot.reference, "partitions": partitions}, indent=1))
    return 0
