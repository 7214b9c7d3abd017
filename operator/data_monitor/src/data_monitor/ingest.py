"""Messages of the broker into the monitor: counts and offsets move together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from data_monitor.adapters.decode import Column, DeadLetterDecoder, Decoder
from data_monitor.adapters.labels import LabelDecoder
from data_monitor.adapters.pane_records import PaneDecoder
from data_monitor.core.monitor import Monitor
from data_monitor.core.panes import Key


class Record(Protocol):
    """What is asked of a message of confluent-kafka that is no error."""

    def topic(self) -> Any: ...
    def partition(self) -> Any: ...
    def offset(self) -> Any: ...
    def value(self) -> Any: ...
    def timestamp(self) -> Any: ...


class Sampler(Protocol):
    """Keeps some rows for the report."""

    def add(self, numbers: np.ndarray, columns: Sequence[Column]) -> None: ...


class Ingest:
    """Takes batches of messages of partitions that the monitor has adopted; others are left alone."""

    def __init__(
        self,
        monitor: Monitor,
        topic: str,
        decoder: Decoder | PaneDecoder,
        dead_letters: DeadLetterDecoder,
        sampler: Sampler | None = None,
        labels: LabelDecoder | None = None,
    ) -> None:
        self._monitor = monitor
        self._topic = topic
        self._decoder = decoder
        self._dead_letters = dead_letters
        self._sampler = sampler
        self._labels = labels
        self._at_end: set[Key] = set()
        """Partitions of labels of which there was nothing more to read."""

    def prepare(self, messages: Sequence[Record]) -> bool:
        """Have what is needed to decode them, such as schemas; true once it is there. Raises Unavailable."""
        if isinstance(self._decoder, Decoder):
            self._decoder.prepare(message.value() for message in messages if message.topic() == self._topic)
        if self._labels:
            self._labels.prepare(message.value() for message in messages if message.topic() == self._labels.topic)
        return True

    def add(self, messages: Sequence[Record], now: float) -> None:
        """Add a batch, in which the messages of each partition are in order."""
        batches: dict[Key, list[Record]] = {}
        for message in messages:
            batches.setdefault((message.topic(), message.partition()), []).append(message)
        events: dict[Key, list[Record]] = {}
        for key, batch in batches.items():
            state = self._monitor.states.get(key)
            if state is None:
                continue
            last = batch[-1].offset()
            if batch[0].offset() < state.next_offset or state.counted[1] > state.next_offset:
                # Seen already: fetched before a partition was taken up again, or before it was known to be another one.
                batch = [message for message in batch if state.is_new(message.offset())]
                if not batch:
                    state.next_offset = max(state.next_offset, last + 1)
                    continue
            if key[0] == self._topic:
                events[key] = batch
            elif self._labels and key[0] == self._labels.topic:
                self._at_end.discard(key)
                self._add_labels(self._labels, batch)
            else:
                state.counters += self._dead_letters.decode([message.value() for message in batch])
            self._advance(key, batch, last)
        if isinstance(self._decoder, Decoder):
            self._add_events(self._decoder, events, now)
        else:
            self._add_panes(self._decoder, events, now)

    def reached(self, ends: Mapping[Key, int]) -> None:
        """Nothing more is to be read before these offsets."""
        for key, offset in ends.items():
            if state := self._monitor.states.get(key):
                state.next_offset = max(state.next_offset, offset)
        if self._labels:
            self._at_end.update(key for key in ends if key[0] == self._labels.topic)

    def close(self, end_ms: int, reading: Iterable[Key]) -> None:
        """The window of predictions has come to this time; predictions have waited only once all labels are read."""
        truth, labels = self._monitor.truth, self._labels
        if truth and labels and all(key in self._at_end for key in reading if key[0] == labels.topic):
            truth.close(end_ms)

    def _advance(self, key: Key, batch: Sequence[Record], last: int) -> None:
        state = self._monitor.states[key]
        state.next_offset = last + 1
        state.record_ms = max(state.record_ms, batch[-1].timestamp()[1])
        state.counters["records"] += len(batch)

    def _add_events(self, decoder: Decoder, batches: dict[Key, list[Record]], now: float) -> None:
        if not batches:
            return
        messages = [message for batch in batches.values() for message in batch]
        written = [message.timestamp()[1] for message in messages] if decoder.by_record else []
        decoded = decoder.decode([message.value() for message in messages], written)
        ends = np.cumsum([len(batch) for batch in batches.values()])
        keys = list(batches)
        for position, kind in decoded.problems:
            key = keys[int(np.searchsorted(ends, position, side="right"))]
            self._monitor.states[key].counters[f"invalid.{kind}"] += 1
        # One batch after the other, so each key's events are a slice.
        cuts = np.searchsorted(decoded.good, [0, *ends])
        all_of = decoded.events
        for key, first, last in zip(keys, cuts, cuts[1:], strict=False):
            part = slice(int(first), int(last))
            self._monitor.add(key, all_of[part], now)
        if truth := self._monitor.truth:
            good = self._monitor.plausible(all_of.times_ms, now)
            # Of the prediction, which is the last of the features.
            values = decoded.columns[-1]
            raw = values.tolist() if isinstance(values, np.ndarray) else values
            rows = zip(all_of.times_ms.tolist(), decoded.ids, raw, strict=True)
            truth.predicted(row for row, fine in zip(rows, good.tolist(), strict=True) if fine)
        if self._sampler:
            self._sampler.add(all_of.times_ms // self._monitor.times.pane, decoded.columns)

    def _add_labels(self, decoder: LabelDecoder, batch: Sequence[Record]) -> None:
        if truth := self._monitor.truth:
            ids, values = decoder.decode([message.value() for message in batch])
            truth.labelled(zip([message.timestamp()[1] for message in batch], ids, values, strict=True))

    def _add_panes(self, decoder: PaneDecoder, batches: dict[Key, list[Record]], now: float) -> None:
        for key, batch in batches.items():
            problems: Counter[str] = Counter()
            for message in batch:
                pane = decoder.decode(message.value(), problems)
                if pane:
                    self._monitor.add_pane(key, pane.start_ms, pane.vector, pane.part, now)
            self._monitor.states[key].counters += problems
