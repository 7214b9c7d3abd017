"""When a report is due while the data drifts. No clock of its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Schedule:
    """At once when a drift begins, after ``every`` seconds, when the window is full of it, then at doubling distances.

    So a drift that lasts for days leaves its beginning among the few reports that are kept.
    """

    every: float
    latest: float | None = None
    """When the newest report was begun, also one from before a restart."""
    _since: float | None = None
    _count: int = 0

    def due(self, now: float, drifted: bool) -> bool:
        """Whether to make one now. Scores that flutter around the threshold do not make more than one in ``every``."""
        if not drifted:
            self._since = None
            return False
        if self._since is None:
            self._since, self._count = now, 0
        rested = self.latest is None or now - self.latest >= self.every
        return rested and now >= self._since + self.every * (2**self._count - 1)

    def begun(self, now: float) -> None:
        """A report was begun, whatever becomes of it: one that fails is not tried in a circle."""
        self.latest = now
        self._count += 1
