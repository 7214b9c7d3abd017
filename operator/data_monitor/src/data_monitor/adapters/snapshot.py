"""All state in one file, replaced at once: it is either the old or the new one, whenever the machine stops."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from data_monitor.adapters import codec
from data_monitor.adapters.codec import Damaged, Form, PartitionRecord
from data_monitor.core.monitor import Evaluation
from data_monitor.core.panes import Key, PartitionState
from data_monitor.core.truth import Held
from data_monitor.errors import InputError


class Snapshot(msgspec.Struct):
    """The file's content."""

    partitions: list[PartitionRecord]
    reference: str
    evaluation: dict[str, Any] | None = None
    """The last one, so that gauges come back at once."""
    truth: Held | None = None
    """What waits to be joined, at the moment of the offsets."""


class SnapshotFile:
    """The file, and a lock beside it: two monitors on one volume would overwrite each other."""

    def __init__(self, path: Path, form: Form) -> None:
        self._path = path
        self._form = form
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = path.with_suffix(".lock").open("w")
        except OSError as error:
            raise InputError(f"state.path {path}: {error.strerror}") from error

    def lock(self) -> bool:
        """Whether the state is ours from now on; the lock goes with the process."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def load(self) -> tuple[dict[Key, PartitionState], Evaluation | None, Held | None]:
        """The last state; empty without a file. Raises Damaged."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return {}, None, None
        snapshot = codec.unpack(data, Snapshot)
        states = dict(codec.from_record(record, self._form) for record in snapshot.partitions)
        if snapshot.reference != self._form.reference:
            return states, None, None
        if not snapshot.evaluation:
            return states, None, snapshot.truth
        try:
            return states, msgspec.convert(snapshot.evaluation, Evaluation), snapshot.truth
        except msgspec.ValidationError as error:
            raise Damaged(str(error)) from error

    def set_aside(self) -> Path:
        """Move a damaged file out of the way; returns where to."""
        aside = self._path.with_suffix(".damaged")
        os.replace(self._path, aside)
        return aside

    def save(
        self, states: Mapping[Key, PartitionState], evaluation: Evaluation | None, truth: Held | None = None
    ) -> None:
        """Replace the file. Raises OSError; then the old one is still there."""
        snapshot = Snapshot(
            [codec.to_record(key, state, self._form) for key, state in sorted(states.items())],
            self._form.reference,
            msgspec.to_builtins(evaluation) if evaluation else None,
            truth,
        )
        new = self._path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(codec.pack(snapshot))
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            # The name, too, is only kept once the folder is on the disk.
            os.fsync(folder)
        finally:
            os.close(folder)
