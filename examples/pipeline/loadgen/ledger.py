"""Which events were produced and what became of each: counts per identity, small enough for long runs."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_NUMBERED = re.compile(r"(.+)-(0|[1-9][0-9]{0,7})$", re.DOTALL)
_MOST = 255
_EXAMPLES = 20


class Tally:
    """How often each identity was seen. Ids of the form ``<run>-<n>`` take one byte each."""

    def __init__(self) -> None:
        self._runs: dict[str, bytearray] = {}
        self._others: Counter[str] = Counter()
        self.records = 0

    def add(self, identity: str) -> None:
        """Count one record."""
        self.records += 1
        run, number = _split(identity)
        if run is None:
            self._others[identity] += 1
            return
        counts = self._runs.setdefault(run, bytearray())
        if number >= len(counts):
            counts.extend(bytes(number + 1 - len(counts)))
        counts[number] = min(_MOST, counts[number] + 1)

    def __getitem__(self, identity: str) -> int:
        run, number = _split(identity)
        if run is None:
            return self._others.get(identity, 0)
        counts = self._runs.get(run, b"")
        return counts[number] if number < len(counts) else 0

    def __iter__(self) -> Any:
        for run, counts in self._runs.items():
            for number, count in enumerate(counts):
                if count:
                    yield f"{run}-{number}"
        yield from self._others

    def distinct(self) -> int:
        """How many identities were seen."""
        return sum(len(counts) - counts.count(0) for counts in self._runs.values()) + len(self._others)

    def repeated(self) -> int:
        """How many records were not the first of their identity."""
        return self.records - self.distinct()


def _split(identity: str) -> tuple[str | None, int]:
    numbered = _NUMBERED.match(identity)
    return (numbered.group(1), int(numbered.group(2))) if numbered else (None, 0)


@dataclass
class Ledger:
    """The three topics of the pipeline, as counts."""

    produced: Tally = field(default_factory=Tally)
    predicted: Tally = field(default_factory=Tally)
    rejected: Tally = field(default_factory=Tally)

    def lost(self) -> list[str]:
        """The events that came out nowhere."""
        return [one for one in self.produced if not self.predicted[one] and not self.rejected[one]]

    def report(self) -> dict[str, Any]:
        """The audit's result."""
        lost = self.lost()
        both = sum(1 for one in self.rejected if self.predicted[one])
        unknown = sum(1 for tally in (self.predicted, self.rejected) for one in tally if not self.produced[one])
        return {
            "produced": self.produced.distinct(),
            "predicted": self.predicted.distinct(),
            "dead_lettered": self.rejected.distinct(),
            "lost": len(lost),
            "lost_examples": sorted(lost)[:_EXAMPLES],
            "duplicates": {
                "events": self.produced.repeated(),
                "predictions": self.predicted.repeated(),
                "dead_letters": self.rejected.repeated(),
                "in_both": both,
            },
            "of_unknown_events": unknown,
        }
