"""The records of incidents: what a notice does is decided by the core, and carried out at the version that was read."""

import logging
from datetime import UTC, datetime

from remediator.adapters.kube import REMEDIATIONS, AlreadyExists, Conflict, Kube, NotFound, Resource
from remediator.api.alertmanager import Alert
from remediator.api.names import (
    API_VERSION,
    INCIDENT_LABEL,
    POLICY_LABEL,
    RESOLVED_ANNOTATION,
    SILENCED_ANNOTATION,
    TARGET_LABEL,
)
from remediator.api.remediation import RemediationSpec
from remediator.core.incident import Answer, Newest, answer, incident_hash, record_number, remediation_name
from remediator.core.naming import LABEL_LENGTH, target_hash
from remediator.services.resources import dump, needs_work

log = logging.getLogger(__name__)

_ATTEMPTS = 5
"""How often somebody else may be quicker before the sender is asked to try again."""


class Incidents:
    """The FlinkRemediations of ``namespace``, as far as notices write them."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace

    async def notice(self, alert: Alert, spec: RemediationSpec) -> tuple[str, Answer]:
        """Record a notice of an alert; ``spec`` is what a new record gets. Returns the record's name, empty if there is
        none, and what was done. Raises KubeError in any doubt."""
        incident = incident_hash(spec.policy_ref.uid, spec.target, spec.alert.fingerprint)
        for _ in range(_ATTEMPTS):
            resource = await self._newest(incident)
            newest = None if resource is None else _read(resource, incident)
            what = answer(alert, newest)
            try:
                match what:
                    case Answer.CREATE:
                        number = newest.number + 1 if newest else 1
                        return await self._create(incident, number, spec), what
                    case Answer.REOPEN:
                        assert resource is not None
                        await self._annotate(resource, {RESOLVED_ANNOTATION: None})
                    case Answer.RESOLVE:
                        assert resource is not None
                        await self.resolve(resource, alert.ends_at or datetime.now(UTC))
            except (AlreadyExists, Conflict, NotFound):
                continue  # the other receiver, or the controller: look again
            return "" if resource is None else resource["metadata"]["name"], what
        raise Conflict(f"the records of incident {incident} keep changing")

    async def resolve(self, resource: Resource, ended: datetime) -> None:
        """Note at the version that was read that a record's alert has ended. Raises Conflict."""
        moment = ended.astimezone(UTC).isoformat(timespec="milliseconds")
        await self._annotate(resource, {RESOLVED_ANNOTATION: moment, SILENCED_ANNOTATION: None})

    async def silence(self, resource: Resource, why: str) -> None:
        """Note what keeps a record's alert from being notified, or with an empty text that nothing does. Raises
        Conflict."""
        if (resource["metadata"].get("annotations") or {}).get(SILENCED_ANNOTATION, "") != why:
            await self._annotate(resource, {SILENCED_ANNOTATION: why or None})

    async def unresolved(self) -> list[Resource]:
        """Return the records whose alert, as far as is known, fires."""
        records = await self._kube.list_all(REMEDIATIONS, self._namespace)
        return [r for r in records if RESOLVED_ANNOTATION not in (r["metadata"].get("annotations") or {})]

    async def _newest(self, incident: str) -> Resource | None:
        records = await self._kube.list_all(REMEDIATIONS, self._namespace, f"{INCIDENT_LABEL}={incident}")
        return max(records, key=lambda r: record_number(r["metadata"]["name"], incident), default=None)

    async def _create(self, incident: str, number: int, spec: RemediationSpec) -> str:
        name = remediation_name(spec.alert.name, incident, number)
        labels = {
            TARGET_LABEL: target_hash(spec.target),
            POLICY_LABEL: spec.policy_ref.name[:LABEL_LENGTH].rstrip("-."),
            INCIDENT_LABEL: incident,
        }
        body = {
            "apiVersion": API_VERSION,
            "kind": "FlinkRemediation",
            "metadata": {"name": name, "namespace": self._namespace, "labels": labels},
            "spec": dump(spec),
        }
        await self._kube.create(REMEDIATIONS, self._namespace, body)
        log.info("remediation created", extra={"remediation": name, "target": spec.target.name})
        return name

    async def _annotate(self, resource: Resource, annotations: dict[str, str | None]) -> None:
        metadata = resource["metadata"]
        change = {"resourceVersion": metadata["resourceVersion"], "annotations": annotations}
        await self._kube.merge_patch(REMEDIATIONS, self._namespace, metadata["name"], {"metadata": change})


def _read(resource: Resource, incident: str) -> Newest:
    metadata = resource["metadata"]
    resolved = (metadata.get("annotations") or {}).get(RESOLVED_ANNOTATION)
    # A record in a phase that only a newer version knows has ended for this one, which cannot work on it.
    return Newest(
        number=record_number(metadata["name"], incident),
        starts_at=datetime.fromisoformat(resource["spec"]["alert"]["startsAt"]),
        resolved_at=datetime.fromisoformat(resolved) if resolved else None,
        ended=not needs_work(metadata, resource.get("status") or {}),
    )
