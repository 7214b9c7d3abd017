"""Progress for people: each step with the time it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Steps:
    """Prints steps as they go; keeps their times (seconds) by name."""

    began: float = field(default_factory=time.monotonic)
    times: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step, and say how long it took."""
        started = time.monotonic()
        self.say(f"{name} ...")
        yield
        self.times[name] = time.monotonic() - started
        self.say(f"{name}: {self.times[name]:.1f} s")

    def say(self, text: str) -> None:
        """Print a line with the time since the start."""
        print(f"[{time.monotonic() - self.began:6.1f} s] {text}", flush=True)
