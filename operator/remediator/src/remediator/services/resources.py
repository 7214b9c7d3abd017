"""Between resources as the API server returns them and the models."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from remediator.adapters.kube import Resource
from remediator.api.names import RESOLVED_ANNOTATION
from remediator.api.policy import PolicySpec
from remediator.api.remediation import RemediationSpec, RemediationStatus
from remediator.core.snapshot import Sibling


@dataclass(frozen=True)
class Remediation:
    """A FlinkRemediation: its models beside the resource they were read from."""

    resource: Resource
    spec: RemediationSpec
    status: RemediationStatus

    @property
    def namespace(self) -> str:
        """Namespace of the FlinkRemediation."""
        return str(self.resource["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """Name of the FlinkRemediation."""
        return str(self.resource["metadata"]["name"])

    @property
    def resolved(self) -> bool:
        """Whether Alertmanager has said that the alert is resolved."""
        return RESOLVED_ANNOTATION in (self.resource["metadata"].get("annotations") or {})


def read_remediation(resource: Resource) -> Remediation:
    """Read a FlinkRemediation. Raises pydantic.ValidationError, which the CRD's schema makes unlikely."""
    return Remediation(
        resource,
        RemediationSpec.model_validate(resource["spec"]),
        RemediationStatus.model_validate(resource.get("status") or {}),
    )


def read_sibling(resource: Resource) -> Sibling | None:
    """Read what other remediations need to know of this one; None if it cannot be read."""
    try:
        remediation = read_remediation(resource)
    except ValidationError:
        return None
    times = remediation.status.times
    return Sibling(
        name=remediation.name,
        target=remediation.spec.target,
        phase=remediation.status.phase,
        created=datetime.fromisoformat(resource["metadata"]["creationTimestamp"]),
        planned=times.planned,
        finished=times.finished,
    )


def read_policy(resource: Resource) -> PolicySpec:
    """Read a policy's spec. Raises pydantic.ValidationError for what the CRD's rules do not catch."""
    return PolicySpec.model_validate(resource["spec"])


def dump(model: RemediationSpec | RemediationStatus) -> dict[str, Any]:
    """Write a model the way the custom resource holds it; what is not set is left out."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
