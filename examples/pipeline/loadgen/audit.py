"""Reads the pipeline's topics from their beginning and says whether every event came out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from recommender.records import dead_letter_identity, identity

from loadgen.ledger import Ledger, Tally


class Topic(Protocol):
    """A topic that is read from its beginning, bit by bit."""

    def read(self) -> Iterable[str]:
        """The records up to the end of now, from where the last read stopped."""


def audit(
    events: Topic,
    predictions: Topic,
    dead_letters: Topic,
    *,
    runs: frozenset[str] = frozenset(),
    wait_seconds: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Compare what went in with what came out, waiting a while for what is under way.

    What is produced after the first look is not asked for; with ``runs``, only the events of these runs are.
    """
    ledger = Ledger()
    _count(ledger.produced, events.read(), identity, runs)
    deadline = clock() + wait_seconds
    while True:
        _count(ledger.predicted, predictions.read(), identity, runs)
        _count(ledger.rejected, dead_letters.read(), dead_letter_identity, runs)
        if not ledger.lost() or clock() >= deadline:
            return ledger.report()
        sleep(1.0)


def _count(tally: Tally, texts: Iterable[str], name: Callable[[str], str], runs: frozenset[str]) -> None:
    for text in texts:
        one = name(text)
        if not runs or one.rpartition("-")[0] in runs:
            tally.add(one)
