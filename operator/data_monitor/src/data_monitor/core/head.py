"""How far a partition's event time has come, robust against producers whose clocks are ahead.

The head is the newest event time that is believed; windows end with it, and what lies behind it is late. An event that
is ahead of it by more than ``jump`` is a rival: it moves the head only once what follows agrees with it. Rivals are
weighed by the majority vote of Boyer and Moore (1981): an event near the rival adds a vote, any other takes one away,
and a rival without votes is forgotten. One that has kept its votes while it went on by a quarter of ``jump`` becomes
the head. So a topic that was silent for an hour goes on after a few seconds, and the head stays where it is as long as
those that are ahead are the fewer.

Until the head itself has gone on so far, the first event may have been an ahead one: what is that far behind is a
rival, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SHARE: Final = 4
"""A rival goes on by this part of a jump before it is believed."""
_STEPS: Final = 3
"""In so many steps at least: two rivals with different clocks are no progress."""


@dataclass
class Rival:
    """Where else the head may be."""

    first_ms: int
    last_ms: int
    gone_ms: int = 0
    """By how much it went on, each step counted as at most a third of what is needed."""
    votes: int = 1


@dataclass
class Head:
    """The newest event time that is believed, in milliseconds since 1970; -1 before the first event."""

    newest_ms: int = -1
    began_ms: int = -1
    """Where it began, as long as it may have begun wrongly; -1 once it has gone on without a rival."""
    rival: Rival | None = None

    def follow(self, times_ms: NDArray[np.int64], jump_ms: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Take events, at least one, in their order; returns the head at each, and which of them were rivals."""
        heads = None if self.rival else self._undisputed(times_ms, jump_ms)
        if heads is not None:
            return heads, np.zeros(len(heads), np.bool_)
        taken = [(self._take(time, jump_ms), self.newest_ms) for time in times_ms.tolist()]
        rivals, newest = zip(*taken, strict=True)
        return np.array(newest, np.int64), np.array(rivals, np.bool_)

    def _undisputed(self, times_ms: NDArray[np.int64], jump_ms: int) -> NDArray[np.int64] | None:
        """The head at each event where none of them is a rival, which is so nearly always: the maximum so far."""
        first = self.newest_ms if self.newest_ms >= 0 else int(times_ms[0])
        heads = np.maximum(np.maximum.accumulate(times_ms), first)
        newest = int(heads[-1])
        if newest - first > jump_ms and np.diff(heads, prepend=first).max() > jump_ms:
            return None
        if self.began_ms >= 0 or self.newest_ms < 0:
            if times_ms.min() < newest - jump_ms:
                return None
            began = self.began_ms if self.newest_ms >= 0 else first
            self.began_ms = -1 if newest - began >= jump_ms // _SHARE else began
        self.newest_ms = newest
        return heads

    def _take(self, time: int, jump_ms: int) -> bool:
        if self.newest_ms < 0:
            self.newest_ms = self.began_ms = time
            return False
        behind = time < self.newest_ms - jump_ms and self.began_ms >= 0
        if time <= self.newest_ms + jump_ms and not behind:
            self.newest_ms = max(self.newest_ms, time)
            if not self._against() and self.newest_ms - self.began_ms >= jump_ms // _SHARE:
                self.began_ms = -1
            return False
        rival = self.rival
        if rival is None or not rival.first_ms - jump_ms <= time:
            if not self._against():
                self.rival = Rival(time, time)
        else:
            rival.votes += 1
            step = jump_ms // _SHARE // _STEPS
            rival.gone_ms += min(max(0, time - rival.last_ms), step)
            rival.last_ms = max(rival.last_ms, time)
            if rival.gone_ms >= step * _STEPS:
                # Its first event, not its last: that may be of somebody who is ahead of all others.
                self.newest_ms = self.began_ms = rival.first_ms
                self.rival = None
        return True

    def _against(self) -> bool:
        """Take a vote from the rival; whether it is still there."""
        if self.rival:
            self.rival.votes -= 1
            if self.rival.votes < 0:
                self.rival = None
        return self.rival is not None
