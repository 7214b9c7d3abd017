"""Deterministic names: whoever computes one, and whenever, gets the same."""

import hashlib
import re

from remediator.api.remediation import TargetReference

LABEL_LENGTH = 63
"""Longest value of a label; a remediation's name also serves as one."""
_HASH_LENGTH = 10


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
