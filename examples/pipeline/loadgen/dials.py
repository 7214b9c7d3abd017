"""Numbers that can be changed while the generator runs, because they stand in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


class Dial:
    """A number from a file. While the file is missing or unreadable, the last good value stays, and is said once."""

    def __init__(
        self,
        name: str,
        value: float,
        file: Path | None,
        parse: Callable[[str], float],
        report: Callable[[str], None],
    ) -> None:
        self.value = value
        self._name = name
        self._file = file
        self._parse = parse
        self._report = report
        self._complaint = ""

    def read(self) -> float:
        """The value of now."""
        if self._file is None:
            return self.value
        try:
            value = self._parse(self._file.read_text())
        except (OSError, ValueError) as error:
            complaint = f"{self._name} stays {self.value:g}: {error}"
            if complaint != self._complaint:
                self._report(complaint)
            self._complaint = complaint
            return self.value
        self._complaint = ""
        if value != self.value:
            self._report(f"{self._name} {self.value:g} -> {value:g}")
            self.value = value
        return self.value


def parse_rate(text: str) -> float:
    """A rate as a person writes it into a file. Raises ValueError."""
    return _between(text, 0, 1_000_000, "a rate", "events per second")


def parse_shift(text: str) -> float:
    """A shift of the features as a person writes it into a file. Raises ValueError."""
    return _between(text, -10, 10, "a shift", "standard deviations")


def _between(text: str, low: float, high: float, what: str, unit: str) -> float:
    number = float(text.strip())
    if not low <= number <= high:
        raise ValueError(f"{what} is between {low} and {high} {unit}, not {text.strip()}")
    return number
