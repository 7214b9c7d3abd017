"""Lengths and moments as people write them on a command line."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

from remediator.api.base import parse_duration


def length(text: str) -> timedelta:
    """Read a length of time that is none of 0. Raises ArgumentTypeError."""
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    if not found:
        raise ArgumentTypeError("must be longer than 0s")
    return found


def moment(text: str) -> datetime:
    """Read a moment by ISO 8601, in UTC where no zone is given. Raises ArgumentTypeError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"not a time such as 2026-03-01T03:00:00Z: {text!r}") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def moment_ahead(text: str) -> datetime:
    """Read a moment that is still to come. Raises ArgumentTypeError."""
    found = moment(text)
    if found <= datetime.now(UTC):
        raise ArgumentTypeError(f"{text} is over")
    return found


def moment_or_ago(text: str) -> datetime:
    """Read a moment, or how long ago it was. Raises ArgumentTypeError."""
    try:
        return datetime.now(UTC) - parse_duration(text)
    except ValueError:
        pass
    try:
        return moment(text)
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"{error}; nor how long ago, such as 30d") from None
