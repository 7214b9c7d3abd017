"""Limits on what a replay comes to, for continuous integration: ``acts>20``."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from remediator.api.reasons import Phase
from remediator.core.backtest.report import Tally

_OPERATORS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
}
FIGURES: Final = ("acts", "asks", "ineffective", "refusals", "woken")


@dataclass(frozen=True)
class Limit:
    """One condition that fails."""

    figure: str
    operator: str
    number: int

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """Read a condition. Raises ValueError."""
        match = re.fullmatch(r"\s*(\w+)\s*(>=|<=|!=|>|<|=)\s*([0-9]{1,9})\s*", text, re.ASCII)
        if match is None or match[1] not in FIGURES:
            known = ", ".join(FIGURES)
            raise ValueError(f"not a limit such as 'acts>20' (figures: {known}; > >= < <= = !=): {text!r}")
        return cls(match[1], match[2], int(match[3]))

    def holds(self, figures: Mapping[str, int]) -> bool:
        """Tell whether the condition holds."""
        return _OPERATORS[self.operator](figures[self.figure], self.number)

    def __str__(self) -> str:
        return f"{self.figure}{self.operator}{self.number}"


def figures(tally: Tally, woken: int) -> dict[str, int]:
    """Return the figures that a limit may name."""
    return {
        "acts": tally.acts.total(),
        "asks": tally.asked,
        "ineffective": tally.phases[Phase.INEFFECTIVE],
        "refusals": tally.refused.total(),
        "woken": woken,
    }
