"""Writes tables."""

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Write rows in columns three spaces apart; colours take no room."""
    widths = [max(_width(row[n]) for row in rows) for n in range(len(rows[0]))] if rows else []
    lines = [
        indent
        + "   ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "".join(f"{line}\n" for line in lines)


def _width(text: str) -> int:
    return len(text) - (9 if text.startswith("\x1b[") else 0)
