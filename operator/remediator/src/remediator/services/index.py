"""What the watches have brought of policies, FlinkDeployments and incidents, so that nobody has to list them."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from remediator.adapters.kube import Resource
from remediator.api.names import INCIDENT_LABEL
from remediator.api.policy import PolicySpec
from remediator.api.remediation import TargetReference
from remediator.core.flinkdeployment import FlinkDeployment, Unreadable, consumer_groups, parse
from remediator.core.incident import record_number
from remediator.services.resources import first_error, read_policy


@dataclass(frozen=True)
class Policy:
    """A FlinkRemediationPolicy."""

    resource: Resource
    spec: PolicySpec | None
    """None where it cannot be read."""
    problem: str = ""
    """What of it cannot be read."""

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.resource["metadata"]["name"])


def to_policy(resource: Resource) -> Policy:
    """Read a FlinkRemediationPolicy, as far as it can be read."""
    try:
        return Policy(resource, read_policy(resource))
    except ValidationError as error:
        return Policy(resource, None, first_error(error))


class PolicyIndex:
    """All policies of a namespace. A :class:`~remediator.adapters.reflector.Store`."""

    def __init__(self) -> None:
        self._policies: dict[str, Policy] = {}

    def __iter__(self) -> Iterator[Policy]:
        return iter(list(self._policies.values()))

    def get(self, name: str) -> Policy | None:
        """Return a policy, or None when there is none."""
        return self._policies.get(name)

    def put(self, resource: Resource) -> None:
        self._policies[resource["metadata"]["name"]] = to_policy(resource)

    def remove(self, namespace: str, name: str) -> None:
        self._policies.pop(name, None)

    def retain(self, namespace: str, names: set[str]) -> None:
        self._policies = {name: policy for name, policy in self._policies.items() if name in names}


@dataclass(frozen=True, slots=True)
class Target:
    """A FlinkDeployment, as far as it is watched."""

    ref: TargetReference
    generation: int
    consumer_groups: frozenset[str]
    deployment: FlinkDeployment | None = None
    """None where only its metadata are watched, or the rest cannot be read."""


def to_target(resource: Resource) -> Target:
    """Read a FlinkDeployment: one whose spec cannot be read still has its consumer groups."""
    metadata = resource["metadata"]
    ref = TargetReference(namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"])
    groups = consumer_groups(metadata.get("annotations") or {})
    return Target(ref, metadata.get("generation") or 0, frozenset(groups), _deployment(resource))


def _deployment(resource: Resource) -> FlinkDeployment | None:
    try:
        return parse(resource) if "spec" in resource else None
    except Unreadable:
        return None


class TargetIndex:
    """The FlinkDeployments of all watched namespaces. A :class:`~remediator.adapters.reflector.Store`."""

    def __init__(self) -> None:
        self._targets: dict[tuple[str, str], Target] = {}
        self._by_group: defaultdict[tuple[str, str], dict[str, Target]] = defaultdict(dict)

    def __iter__(self) -> Iterator[Target]:
        return iter(list(self._targets.values()))

    def get(self, namespace: str, name: str) -> Target | None:
        """Return a FlinkDeployment, or None when there is none."""
        return self._targets.get((namespace, name))

    def by_consumer_group(self, namespace: str, group: str) -> list[Target]:
        """Return the FlinkDeployments of a namespace that name a consumer group."""
        return list(self._by_group.get((namespace, group), {}).values())

    def put(self, resource: Resource) -> None:
        target = to_target(resource)
        self.remove(target.ref.namespace, target.ref.name)
        self._targets[target.ref.namespace, target.ref.name] = target
        for group in target.consumer_groups:
            self._by_group[target.ref.namespace, group][target.ref.name] = target

    def remove(self, namespace: str, name: str) -> None:
        target = self._targets.pop((namespace, name), None)
        for group in target.consumer_groups if target else ():
            self._by_group[namespace, group].pop(name, None)
            if not self._by_group[namespace, group]:
                del self._by_group[namespace, group]

    def retain(self, namespace: str, names: set[str]) -> None:
        for known_namespace, name in list(self._targets):
            if known_namespace == namespace and name not in names:
                self.remove(namespace, name)


class IncidentIndex:
    """The newest FlinkRemediation of each incident, by metadata. A :class:`~remediator.adapters.reflector.Store`."""

    def __init__(self) -> None:
        self._records: defaultdict[str, dict[int, str]] = defaultdict(dict)
        self._incidents: dict[str, str] = {}

    def newest(self, incident: str) -> str | None:
        """Return the name of the newest record of an incident, or None when there is none."""
        records = self._records.get(incident)
        return records[max(records)] if records else None

    def put(self, resource: Resource) -> None:
        metadata = resource["metadata"]
        incident = (metadata.get("labels") or {}).get(INCIDENT_LABEL)
        if incident:
            self._incidents[metadata["name"]] = incident
            self._records[incident][record_number(metadata["name"], incident)] = metadata["name"]

    def remove(self, namespace: str, name: str) -> None:
        incident = self._incidents.pop(name, None)
        if incident is not None:
            self._records[incident].pop(record_number(name, incident), None)
            if not self._records[incident]:
                del self._records[incident]

    def retain(self, namespace: str, names: set[str]) -> None:
        for name in [name for name in self._incidents if name not in names]:
            self.remove(namespace, name)
