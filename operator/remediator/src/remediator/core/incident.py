"""Incidents: which record a notice of an alert belongs to.

An incident is a policy, a target and an alert's fingerprint, from the first firing notice until the alert is resolved.
It is not a ``startsAt``: Alertmanager tells the earliest that it has heard of, which moves when a second Prometheus
reports or Alertmanager is restarted. Records of the same policy, target and fingerprint are numbered, so that the next
one's name follows from the newest one's: two receivers compute the same, and the API server lets one of them create it.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from remediator.api.alertmanager import Alert
from remediator.api.remediation import TargetReference
from remediator.core.naming import LABEL_LENGTH, digest, kebab_case

_NUMBER_LENGTH = 6


@dataclass(frozen=True)
class Newest:
    """The newest record of a policy, target and fingerprint."""

    number: int
    starts_at: datetime
    """When the alert began, by the notice that the record was created for."""
    resolved_at: datetime | None
    """When the alert ended; None while it fires."""
    ended: bool
    """Whether nothing more will happen to the record."""


class Answer(Enum):
    """What a notice does to the records."""

    CREATE = auto()
    """It begins an incident: a record with the next number."""
    NOTHING = auto()
    """It says what is known: a repeat, a retry, a twin, or something older than what is known."""
    REOPEN = auto()
    """The newest record's alert fires still, or again: its resolution is taken back."""
    RESOLVE = auto()
    """The newest record's alert has ended."""


def answer(alert: Alert, newest: Newest | None) -> Answer:
    """Say what a notice does.

    A firing notice that comes after a resolution is one of three. If the alert began after it, the incident is a new
    one. If not, Alertmanager had only not heard of the alert for a while, or the notice is an older one that arrives
    late: both belong to the incident that is known. A notice that was read from Alertmanager's API tells when
    Alertmanager last heard of the alert; nothing new is in one from before the resolution.
    """
    if alert.status == "resolved":
        return _answer_resolved(alert, newest)
    if newest is None:
        return Answer.CREATE
    if newest.resolved_at is None:
        return Answer.NOTHING
    if alert.updated_at is not None and alert.updated_at <= newest.resolved_at:
        return Answer.NOTHING
    if newest.ended and alert.starts_at > newest.resolved_at:
        return Answer.CREATE
    return Answer.REOPEN


def _answer_resolved(alert: Alert, newest: Newest | None) -> Answer:
    if newest is None or newest.resolved_at is not None:
        return Answer.NOTHING
    # A twin's late word about the incident before this one.
    if alert.ends_at is not None and alert.ends_at <= newest.starts_at:
        return Answer.NOTHING
    return Answer.RESOLVE


def incident_hash(policy_uid: str, target: TargetReference, fingerprint: str) -> str:
    """Name a policy, target and fingerprint in a label."""
    return digest(policy_uid, target.namespace, target.name, target.uid, fingerprint)


def remediation_name(alertname: str, incident: str, number: int) -> str:
    """Name the record of an incident, counted from 1: the alert's name, the hash, and the number of a later one."""
    prefix = kebab_case(alertname)[: LABEL_LENGTH - len(incident) - 1 - _NUMBER_LENGTH].strip("-") or "alert"
    return f"{prefix}-{incident}" + (f"-{number}" if number > 1 else "")


def record_number(name: str, incident: str) -> int:
    """Return the number of the record that has this name."""
    _, separator, number = name.rpartition(f"-{incident}-")
    return int(number) if separator and number.isdecimal() else 1
