"""A partition's state as bytes, for the snapshot and for the state topic."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import astuple, dataclass
from typing import TypeVar

import msgspec
import numpy as np

from data_monitor.core.head import Head, Rival
from data_monitor.core.panes import Key, PartitionState, Shape, Sparse

_VERSION = 1
T = TypeVar("T")


class Damaged(ValueError):
    """Bytes that hold no state."""


@dataclass(frozen=True)
class Form:
    """What panes mean: states of another form keep their offsets and counters, and lose their panes."""

    reference: str
    pane_ms: int
    shape: Shape

    @property
    def name(self) -> str:
        """Equal where panes can be added."""
        return f"{self.reference}/{self.pane_ms}/{self.shape.size}"


class PartitionRecord(msgspec.Struct):
    """One partition."""

    version: int
    form: str
    topic: str
    partition: int
    next_offset: int
    newest_ms: int
    record_ms: int
    epoch: int
    counters: dict[str, int]
    numbers: list[int]
    panes: bytes
    """int32, one row for each number."""
    parts: list[tuple[int, str, bytes]] = []
    """Number, part, and int32: positions, then values."""
    topic_id: str = ""
    counted: tuple[int, int] = (0, 0)
    began_ms: int = -1
    rival: tuple[int, int, int, int] | None = None


def to_record(key: Key, state: PartitionState, form: Form) -> PartitionRecord:
    """A state, ready to be encoded."""
    numbers = sorted(state.panes)
    panes = b"".join(state.panes[number].astype("<i4").tobytes() for number in numbers)
    return PartitionRecord(
        _VERSION,
        form.name,
        *key,
        state.next_offset,
        state.head.newest_ms,
        state.record_ms,
        state.epoch,
        dict(state.counters),
        numbers,
        panes,
        [
            (number, part, np.stack([one.positions, one.values]).astype("<i4").tobytes())
            for number, parts in state.parts.items()
            for part, one in parts.items()
        ],
        state.topic_id,
        state.counted,
        state.head.began_ms,
        astuple(state.head.rival) if state.head.rival else None,
    )


def from_record(record: PartitionRecord, form: Form) -> tuple[Key, PartitionState]:
    """The inverse of to_record. Raises Damaged."""
    if record.version != _VERSION:
        raise Damaged(f"version {record.version}, this program knows {_VERSION}")
    state = PartitionState(
        record.next_offset,
        Head(record.newest_ms, record.began_ms, Rival(*record.rival) if record.rival else None),
        record.record_ms,
        epoch=record.epoch,
        topic_id=record.topic_id,
        counted=record.counted,
        counters=Counter(record.counters),
    )
    if record.form == form.name:
        panes = np.frombuffer(record.panes, "<i4")
        if panes.size != len(record.numbers) * form.shape.size:
            raise Damaged(f"{panes.size} counts for {len(record.numbers)} panes")
        rows = panes.reshape(-1, form.shape.size).astype(np.int32)
        state.panes = {number: row.copy() for number, row in zip(record.numbers, rows, strict=True)}
        for number, part, data in record.parts:
            positions, values = np.frombuffer(data, "<i4").reshape(2, -1).astype(np.int32)
            state.parts.setdefault(number, {})[part] = Sparse(positions, values)
    return (record.topic, record.partition), state


def pack(value: object) -> bytes:
    """Encode and compress: counts are mostly zeros."""
    return zlib.compress(msgspec.msgpack.encode(value), 1)


def unpack(data: bytes, kind: type[T]) -> T:
    """The inverse of pack. Raises Damaged."""
    try:
        return msgspec.msgpack.decode(zlib.decompress(data), type=kind)
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(str(error)) from error
