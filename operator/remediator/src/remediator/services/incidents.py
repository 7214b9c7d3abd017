"""The records of incidents: what a notice does is decided by the core, and carried out at the version that was read."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from remediator.adapters.kube import REMEDIATIONS, AlreadyExists, Conflict, Kube, NotFound, Resource
from remediator.api.alertmanager import Alert
from remediator.api.names import (
    API_VERSION,
    ENDED_LABEL,
    INCIDENT_LABEL,
    POLICY_LABEL,
    RESOLVED_ANNOTATION,
    RESOLVED_LABEL,
    SILENCED_ANNOTATION,
    TARGET_LABEL,
)
from remediator.api.remediation import RemediationSpec
from remediator.core.incident import Answer, Newest, answer, incident_hash, record_number, remediation_name
from remediator.core.naming import LABEL_LENGTH, target_hash
from remediator.services.index import IncidentIndex
from remediator.services.resources import dump, needs_work

log = logging.getLogger(__name__)

_ATTEMPTS = 5
"""How often somebody else may be quicker before the sender is asked to try again."""


class Incidents:
    """The FlinkRemediations of ``namespace``, as far as notices write them.

    ``index`` says which record of an incident to read; ``fresh`` whether it can be relied on. Where it is behind, the
    record that it leads to is gone, or the next one's name is taken, and the API server is asked for all of them.
    """

    def __init__(self, kube: Kube, namespace: str, index: IncidentIndex, fresh: Callable[[], bool]) -> None:
        self._kube = kube
        self._namespace = namespace
        self._index = index
        self._fresh = fresh

    async def notice(self, alert: Alert, spec: RemediationSpec) -> tuple[str, Answer]:
        """Record a notice of an alert; ``spec`` is what a new record gets. Returns the record's name, empty if there is
        none, and what was done. Raises KubeError in any doubt."""
        incident = incident_hash(spec.policy_ref.uid, spec.target, spec.alert.fingerprint)
        for attempt in range(_ATTEMPTS):
            # That there is none is certain where a first one can be created, and by asking.
            guess = attempt == 0 and self._fresh() and (alert.status == "firing" or self._index.newest(incident))
            resource = await (self._newest_known(incident) if guess else self._newest(incident))
            newest = None if resource is None else _read(resource, incident)
            what = answer(alert, newest)
            try:
                match what:
                    case Answer.CREATE:
                        number = newest.number + 1 if newest else 1
                        return await self._create(incident, number, spec), what
                    case Answer.REOPEN:
                        assert resource is not None
                        labels = {RESOLVED_LABEL: None, ENDED_LABEL: None}
                        await self._change(resource, {RESOLVED_ANNOTATION: None}, labels)
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
        annotations = {RESOLVED_ANNOTATION: moment, SILENCED_ANNOTATION: None}
        await self._change(resource, annotations, {RESOLVED_LABEL: "true"})

    async def silence(self, resource: Resource, why: str) -> None:
        """Note what keeps a record's alert from being notified, or with an empty text that nothing does. Raises
        Conflict."""
        if (resource["metadata"].get("annotations") or {}).get(SILENCED_ANNOTATION, "") != why:
            await self._change(resource, {SILENCED_ANNOTATION: why or None}, {})

    async def unresolved(self) -> list[Resource]:
        """Return the records whose alert, as far as is known, fires."""
        records = await self._kube.list_all(REMEDIATIONS, self._namespace, f"!{RESOLVED_LABEL}")
        # Earlier versions wrote no label.
        return [r for r in records if RESOLVED_ANNOTATION not in (r["metadata"].get("annotations") or {})]

    async def _newest_known(self, incident: str) -> Resource | None:
        name = self._index.newest(incident)
        if name is None:
            return None
        return await self._kube.get(REMEDIATIONS, self._namespace, name) or await self._newest(incident)

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
        self._index.put(await self._kube.create(REMEDIATIONS, self._namespace, body))
        log.info("remediation created", extra={"remediation": name, "target": spec.target.name})
        return name

    async def _change(
        self, resource: Resource, annotations: Mapping[str, str | None], labels: Mapping[str, str | None]
    ) -> None:
        metadata = resource["metadata"]
        change = {"resourceVersion": metadata["resourceVersion"], "annotations": annotations, "labels": labels}
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
