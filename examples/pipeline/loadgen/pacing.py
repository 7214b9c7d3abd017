"""When the next event is due, and how many were given up. No clock of its own."""

from __future__ import annotations

from dataclasses import dataclass

# What one stall may be caught up with: more would be a burst that nobody asked for.
CATCH_UP_SECONDS = 0.5


@dataclass
class Pacer:
    """Spreads events evenly. After a stall it catches up a little and counts the rest as missed."""

    rate: float
    now: float
    missed: float = 0.0
    _credit: float = 0.0

    def set_rate(self, rate: float, now: float) -> None:
        """Change the rate from now on; what was due until now was due at the old rate."""
        self._accrue(now)
        self.rate = rate
        if rate == 0:
            # Nothing more is wanted, not even the fraction of an event.
            self._credit = 0.0

    def due(self, now: float) -> int:
        """How many events should go out now."""
        self._accrue(now)
        return int(self._credit)

    def sent(self, count: int) -> None:
        """Events went out."""
        self._credit -= count

    def _accrue(self, now: float) -> None:
        # A clock that goes back earns nothing, and costs nothing.
        self._credit += self.rate * max(0.0, now - self.now)
        self.now = max(now, self.now)
        # One more for the fraction of an event that waits for its turn at low rates.
        most = 1.0 + self.rate * CATCH_UP_SECONDS
        if self._credit > most:
            self.missed += self._credit - most
            self._credit = most
