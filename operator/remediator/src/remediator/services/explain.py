"""Says what would be decided, from files and without a cluster: by the same core, for people who write policies.

The files are what ``kubectl get -o yaml``, Alertmanager's webhook and JobManager REST give.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from remediator.adapters.alertmanager import as_in_webhook
from remediator.adapters.flink_rest import to_job
from remediator.api.alertmanager import Alert
from remediator.api.policy import Mode, PolicySpec
from remediator.api.remediation import AlertReference, RemediationSpec, TargetReference
from remediator.core.decide import decide
from remediator.core.decision import Act, Decision, Wait
from remediator.core.flinkdeployment import FlinkDeployment, parse
from remediator.core.incident import incident_hash, remediation_name
from remediator.core.matching import is_target, target_query
from remediator.core.record import describe
from remediator.core.schedule import observes
from remediator.core.snapshot import Job, Progress, Snapshot
from remediator.services.documents import BadInput, checked, documents
from remediator.services.resources import (
    alert_reference,
    missing_target,
    read_remediation,
    read_sibling,
)

Document = dict[str, Any]

# How JobManager REST says that a job takes none.
_NO_CHECKPOINTS = {"errors": ["Checkpointing has not been enabled."]}


@dataclass(frozen=True)
class Files:
    """What a decision is asked for."""

    policy: Path
    """A FlinkRemediationPolicy."""
    alert: Path
    """One alert of Alertmanager's webhook or of its API; or a webhook, or a list, with one."""
    target: Path
    """The FlinkDeployment."""
    job: Path | None = None
    """JobManager REST, ``/jobs/ID``; without it the vertices are not known."""
    checkpoints: Path | None = None
    """JobManager REST, ``/jobs/ID/checkpoints``; without it the job counts as one that takes none."""
    history: Path | None = None
    """FlinkRemediations, as a List or as several documents."""


def explain(files: Files, now: datetime) -> tuple[PolicySpec, Decision]:
    """Decide what would be done at a moment. Raises BadInput."""
    snapshot = read_snapshot(files, now)
    policy = snapshot.policy
    if observes(policy, now):
        policy = policy.model_copy(update={"mode": Mode.OBSERVE})
    return policy, decide(snapshot)


def to_yaml(policy: PolicySpec, decision: Decision) -> str:
    """Write a decision; the patches, which are text in a FlinkRemediation, as their operations."""
    document: Document = {"decision": type(decision).__name__}
    if isinstance(decision, Act):
        plan = decision.plan.model_dump(mode="json", by_alias=True, exclude_none=True)
        patches = {key: json.loads(plan[key]) for key in ("patch", "inverse") if plan[key]}
        if policy.mode is Mode.OBSERVE:
            document["mode"] = str(policy.mode)
        document |= {"action": describe(decision.plan), "plan": {**plan, **patches}}
    else:
        document |= {"reason": str(decision.reason), "message": decision.message}
    if isinstance(decision, Wait):
        document["until"] = decision.until.isoformat()
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def read_snapshot(files: Files, now: datetime) -> Snapshot:
    """Build from files what the controller gathers from a cluster. Raises BadInput."""
    resource = _resource(files.policy, "FlinkRemediationPolicy")
    # Unlike in a resource that the API server has let pass, an unknown field is a mistake of whoever wrote the file.
    policy = checked(files.policy, lambda: PolicySpec.model_validate(resource["spec"], extra="forbid"), "spec")
    alert = checked(files.alert, lambda: Alert.model_validate(_one_alert(files.alert)))
    target = _target(files.target)
    query = target_query(policy.target, alert.labels)
    found = is_target(query, target)
    ref = missing_target(query)
    if found:
        ref = TargetReference(namespace=target.namespace, name=target.name, uid=target.uid)
    reference = alert_reference(alert, policy)
    metadata = resource.get("metadata") or {}
    history = _history(files.history)
    record = _own(history, str(metadata.get("name", "")), ref, reference)
    own = checked(files.history or files.policy, partial(read_remediation, record)) if record else None
    incident = incident_hash(str(metadata.get("uid", "")), ref, alert.fingerprint)
    name = remediation_name(reference.name, incident, 1)
    return Snapshot(
        now=now,
        name=own.name if own else name,
        namespace=str(metadata.get("namespace", "")),
        alert=reference,
        labels=alert.labels,
        resolved=alert.status == "resolved" or (own is not None and own.resolved),
        target_ref=ref,
        policy=policy,
        target=target if found else None,
        job=_job(files, target),
        siblings=tuple(read_sibling(resource) for resource in history if resource is not record),
        progress=own.progress if own else Progress(),
        diagnosis=own.status.diagnosis if own else None,
    )


def _own(history: list[Document], policy: str, target: TargetReference, alert: AlertReference) -> Document | None:
    """Return the record that the alert is decided on by, if one of its incident has not ended."""
    for resource in history:
        spec = RemediationSpec.model_validate(resource["spec"])
        if (
            not read_sibling(resource).phase.terminal
            and spec.alert.fingerprint == alert.fingerprint
            and (spec.target.namespace, spec.target.name) == (target.namespace, target.name)
            and spec.policy_ref.name == policy
        ):
            return resource
    return None


def _one_alert(path: Path) -> Any:
    document = _single(path)
    alerts = document.get("alerts", document) if isinstance(document, dict) else document
    if isinstance(alerts, list):
        if len(alerts) != 1:
            raise BadInput(f"{path}: holds {len(alerts)} alerts; give one of them")
        alerts = alerts[0]
    if isinstance(alerts, dict) and isinstance(alerts.get("status"), dict):
        return as_in_webhook(alerts)
    return alerts


def _target(path: Path) -> FlinkDeployment:
    resource = _resource(path, "FlinkDeployment")
    metadata = {"namespace": "default", "uid": "", **(resource.get("metadata") or {})}
    return checked(path, lambda: parse({**resource, "metadata": metadata}))


def _job(files: Files, target: FlinkDeployment) -> Job | None:
    checkpoints = _single(files.checkpoints) if files.checkpoints else _NO_CHECKPOINTS
    details = {"jid": target.job_id, "state": target.job_state, "vertices": []}
    if files.job is not None:
        details = _single(files.job)
        checked(files.job, lambda: to_job(details, _NO_CHECKPOINTS))
    return checked(files.checkpoints or files.job or files.target, lambda: to_job(details, checkpoints))


def _history(path: Path | None) -> list[Document]:
    if path is None:
        return []
    resources: list[Any] = []
    for document in documents(path):
        listed = isinstance(document, dict) and isinstance(document.get("items"), list)
        resources += document["items"] if listed else [document]
    for n, resource in enumerate(resources, 1):
        checked(path, partial(_read_record, resource), f"FlinkRemediation {n}")
    return resources


def _read_record(resource: Document) -> None:
    """Raise what is wrong with a record of the history, before the core asks for it."""
    RemediationSpec.model_validate(resource["spec"])
    sibling = read_sibling(resource)
    if sibling.unreadable:
        raise ValueError(sibling.unreadable)


def _resource(path: Path, kind: str) -> Document:
    document = _single(path)
    if not isinstance(document, dict) or document.get("kind") != kind or not isinstance(document.get("spec"), dict):
        seen = document.get("kind") if isinstance(document, dict) else None
        raise BadInput(f"{path}: a {kind} with a spec is expected{f', not {seen}' if seen not in (None, kind) else ''}")
    return document


def _single(path: Path) -> Any:
    found = documents(path)
    if len(found) != 1:
        raise BadInput(f"{path}: one document is expected, not {len(found)}")
    return found[0]
