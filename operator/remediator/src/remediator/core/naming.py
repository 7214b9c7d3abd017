"""Deterministic names: the same occurrence on the same target always gets the same name."""

import hashlib
import re
from datetime import UTC, datetime

from remediator.api.remediation import TargetReference

_HASH_LENGTH = 10
_PREFIX_LENGTH = 63 - _HASH_LENGTH - 1  # a name also serves as a label value


def digest(*parts: str) -> str:
    """Hash the parts; their borders count."""
    joined = "\x1f".join(parts)
    return hashlib.sha256(joined.encode()).hexdigest()[:_HASH_LENGTH]


def kebab_case(name: str) -> str:
    """Turn an alert's name such as HighKafkaLag into a DNS label such as high-kafka-lag."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name)
    return re.sub(r"[^a-z0-9]+", "-", spaced.lower()).strip("-")


def target_hash(target: TargetReference) -> str:
    """Name a target in a label, whatever characters and length its own name has."""
    return digest(target.namespace, target.name)


def remediation_name(
    alertname: str, policy_uid: str, target: TargetReference, fingerprint: str, starts_at: datetime
) -> str:
    """Name the remediation of one occurrence: a repeat, a retry or an HA twin meets the same name."""
    moment = starts_at.astimezone(UTC).isoformat(timespec="milliseconds")
    key = digest(policy_uid, target.namespace, target.name, target.uid, fingerprint, moment)
    prefix = kebab_case(alertname)[:_PREFIX_LENGTH].strip("-") or "alert"
    return f"{prefix}-{key}"
