"""Says what would be decided now about an alert or a FlinkRemediation of a live cluster, by what the controller decides
with; it only reads.

Prometheus is not asked: what only it tells, findings and partitions, is as in the record, or missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from pydantic import ValidationError

from remediator.adapters.flink_rest import FlinkRest
from remediator.adapters.kube import POLICIES, Kube, Resource
from remediator.adapters.prometheus import Prometheus
from remediator.api.alertmanager import Alert
from remediator.api.policy import PolicySpec
from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import PolicyReference, RemediationSpec, TargetReference
from remediator.core.decide import decide
from remediator.core.decision import Act, Decision
from remediator.core.frozen import in_force, thaw
from remediator.core.matching import first_mismatch, target_query
from remediator.core.naming import digest
from remediator.core.record import describe
from remediator.core.schedule import observes
from remediator.services.documents import BadInput
from remediator.services.gather import Clock, Gatherer
from remediator.services.index import Policy, PolicyIndex, TargetIndex, to_policy
from remediator.services.ingest import targets_now
from remediator.services.records import Records
from remediator.services.resources import (
    Remediation,
    alert_reference,
    dump,
    first_error,
    missing_target,
    read_remediation,
)
from remediator.services.stop import StopSwitch

_OPEN = (Phase.PENDING, Phase.AWAITING_APPROVAL)
"""What something is still to be decided about."""
_SETTLED = timedelta(minutes=1)
"""The first seconds of a record, in which it only looks whether others are in trouble, count as over."""

_UNSEEN = "What the job does was not looked at: a finding may forbid it or change its size."


@dataclass(frozen=True)
class Explanation:
    """What one policy has to say about one target."""

    policy: str
    target: TargetReference
    record: str
    """The FlinkRemediation that is decided about; empty where there is none yet."""
    decision: str
    """Such as Wait; empty where nothing is to be decided."""
    reason: str
    message: str


class Inquiry:
    """Asks about the policies and records of a namespace."""

    def __init__(self, kube: Kube, namespace: str, flink: FlinkRest, clock: Clock) -> None:
        self._kube = kube
        self._namespace = namespace
        self._clock = clock
        self._records, self._switch = Records(), StopSwitch(kube, namespace, clock)
        unasked = Prometheus("http://nobody-asks")
        self._gatherer = Gatherer(
            kube,
            flink,
            unasked,
            self._records,
            PolicyIndex(),
            TargetIndex(),
            self._switch,
            clock,
        )

    async def about_record(self, resource: Resource) -> Explanation:
        """Explain a FlinkRemediation. Raises BadInput for one that cannot be read, and KubeError."""
        await self._look_around()
        remediation = _read(resource)
        return await self._explain(remediation, await self._gatherer.policy_now(remediation), remediation.name)

    async def about_alert(self, labels: Mapping[str, str]) -> list[Explanation]:
        """Explain what an alert with these labels would lead to if it fired now: for each policy that answers it, and
        each of its targets. Raises BadInput where no policy does, and KubeError."""
        await self._look_around()
        # A stand-in for Alertmanager's own fingerprint: a record that is there is found by its labels.
        fingerprint = digest(*(f"{label}={labels[label]}" for label in sorted(labels)))
        alert = Alert(status="firing", labels=dict(labels), starts_at=self._clock(), fingerprint=fingerprint)
        policies = [to_policy(resource) for resource in await self._kube.list_all(POLICIES, self._namespace)]
        answering = [(p, p.spec) for p in policies if p.spec and first_mismatch(p.spec.match, labels) is None]
        if not answering:
            there = [f"{p.name} ({_why_not(p, labels)})" for p in policies]
            raise BadInput(f"no policy answers this alert; there are {', '.join(there) or 'none'}")
        return [
            await self._about(policy, spec, target, alert)
            for policy, spec in answering
            for target in await self._targets(spec, labels)
        ]

    async def _look_around(self) -> None:
        await self._records.load(self._kube, self._namespace)
        await self._switch.read()

    async def _targets(self, policy: PolicySpec, labels: Mapping[str, str]) -> list[TargetReference]:
        query = target_query(policy.target, labels)
        return [target.ref for target in await targets_now(self._kube, query)] or [missing_target(query)]

    async def _about(self, policy: Policy, spec: PolicySpec, target: TargetReference, alert: Alert) -> Explanation:
        for record in self._records:
            if record.policy == policy.name and record.resource is not None and not record.ended:
                known = _read(record.resource)
                same = alert.labels.items() <= known.spec.alert.labels.items()
                if same and known.spec.target == target and not known.resolved:
                    return await self._explain(known, policy, known.name)
        metadata = policy.resource["metadata"]
        body = RemediationSpec(
            policy_ref=PolicyReference(name=policy.name, uid=metadata["uid"]),
            target=target,
            alert=alert_reference(alert, spec),
        )
        created = (self._clock() - _SETTLED).isoformat()
        would_be = {"name": "", "namespace": self._namespace, "creationTimestamp": created}
        return await self._explain(read_remediation({"metadata": would_be, "spec": dump(body)}), policy, "")

    async def _explain(self, remediation: Remediation, policy: Policy | None, record: str) -> Explanation:
        status, spec = remediation.status, remediation.spec
        name = spec.policy_ref.name
        if status.phase not in _OPEN:
            what = "Nothing is to be decided: it has ended" if status.phase.terminal else "It is in flight"
            said = f"{what} ({status.phase}). {status.message}".rstrip()
            return Explanation(name, spec.target, record, "", status.reason, said)
        if policy is None or policy.spec is None:
            problem = f"The policy is invalid: {policy.problem}" if policy else "The policy is gone."
            reason = Reason.POLICY_INVALID if policy else Reason.POLICY_NOT_FOUND
            return Explanation(name, spec.target, record, "Refuse", reason, problem)
        try:
            counts = in_force(thaw(status.policy), policy.spec) or policy.spec
        except ValueError as error:
            raise BadInput(f"{record}: status.policy cannot be read: {error}") from None
        snapshot = await self._gatherer.snapshot(remediation, counts)
        decision = decide(replace(snapshot, diagnosis=status.diagnosis))
        reason, message = _told(decision, observes(counts, snapshot.now))
        if isinstance(decision, Act) and status.diagnosis is None and not snapshot.action.depends_on_nothing:
            message = f"{message} {_UNSEEN}"
        return Explanation(name, spec.target, record, type(decision).__name__, reason, message)


def _read(resource: Resource) -> Remediation:
    try:
        return read_remediation(resource)
    except ValidationError as error:
        raise BadInput(f"{resource['metadata']['name']} cannot be read: {first_error(error)}") from None


def _told(decision: Decision, observed: bool) -> tuple[Reason, str]:
    if not isinstance(decision, Act):
        return decision.reason, decision.message
    plan = decision.plan
    does = f"Would {describe(plan)}; the policy only observes." if observed else f"{describe(plan)} ({plan.method})."
    reason = Reason.OBSERVE_MODE if observed else Reason.PLANNED
    return reason, " ".join(filter(None, (does, *plan.warnings, plan.sizing)))


def _why_not(policy: Policy, labels: Mapping[str, str]) -> str:
    mismatch = first_mismatch(policy.spec.match, labels) if policy.spec else None
    return f"{mismatch.label}{mismatch.operator}{mismatch.value!r}" if mismatch else f"invalid: {policy.problem}"
