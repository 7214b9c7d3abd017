"""Records of the topic of ground truth: an id and the true value of what was predicted for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from data_monitor.adapters.formats import RecordFormat, Unreadable
from data_monitor.adapters.lenient_json import NOT_JSON
from data_monitor.adapters.schema import ANY, Node
from data_monitor.config import GroundTruth
from data_monitor.core.values import Value


class LabelDecoder:
    """Decodes labels; never raises for what is in a record."""

    def __init__(self, settings: GroundTruth, form: RecordFormat) -> None:
        self.topic = settings.topic
        self._form = form
        self._root = Node()
        for path in (settings.fields.id, settings.fields.value):
            self._root.leaf(path, ANY)
        self._typed = form.typed(self._root.build())
        self._id, self._value = self._root.getter(settings.fields.id), self._root.getter(settings.fields.value)

    def prepare(self, values: Iterable[bytes | None]) -> None:
        """Have what is needed to decode them. Raises Unavailable."""
        self._form.prepare(values)

    def decode(self, values: Sequence[bytes | None]) -> tuple[list[Value], list[Value]]:
        """Ids and true values; None where a record has none."""
        records = [self._record(value) for value in values]
        return list(map(self._id, records)), list(map(self._value, records))

    def _record(self, value: bytes | None) -> Any:
        try:
            return self._typed(value or b"")
        except (*NOT_JSON, Unreadable):
            try:
                return self._root.construct(self._form.untyped(value or b""), {})[0]
            except Unreadable:
                return self._root.construct(None, {})[0]
