"""Looks FlinkDeployments up, in files or in a cluster, and says what each lacks to be watched and remediated."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from remediator.adapters.kube import FLINK_DEPLOYMENTS, POLICIES, Forbidden, Kind, Kube, NotFound, Resource
from remediator.api.policy import PolicySpec
from remediator.core.doctor import Finding, State, World, additions, diagnose
from remediator.core.flinkdeployment import parse
from remediator.core.scraping import PodMonitor, read_pod_monitor
from remediator.services.documents import BadInput, checked, documents
from remediator.services.resources import read_policy

POD_MONITORS: Final = Kind("monitoring.coreos.com", "v1", "podmonitors")
FORMATS: Final = ("table", "yaml", "json")


@dataclass(frozen=True)
class Diagnosis:
    """What was found about one FlinkDeployment."""

    namespace: str
    name: str
    findings: list[Finding]

    @property
    def missing(self) -> bool:
        """Whether something is missing."""
        return any(finding.state is State.MISSING for finding in self.findings)


@dataclass
class Surroundings:
    """FlinkDeployments, and what is around them."""

    targets: list[Resource] = field(default_factory=list)
    monitors: list[PodMonitor] | None = None
    policies: dict[str, PolicySpec] | None = None
    unknown: str = ""
    """Why monitors or policies are not known."""


def from_files(files: Iterable[Path], namespace: str) -> Surroundings:
    """Read FlinkDeployments, PodMonitors and policies; what has no namespace is in ``namespace``. Raises BadInput.

    Documents of other kinds are left out, so that the output of ``helm template`` can be given as it is.
    """
    found = Surroundings(unknown="none in the files")
    for path in files:
        for document in _flat(documents(path)):
            if not isinstance(document, dict):
                raise BadInput(f"{path}: a Kubernetes object is expected, not {json.dumps(document)[:80]}")
            kind = document.get("kind")
            if kind not in ("FlinkDeployment", "PodMonitor", "FlinkRemediationPolicy"):
                continue
            metadata = document.get("metadata")
            if not isinstance(metadata, dict) or not metadata.get("name"):
                raise BadInput(f"{path}: {kind}: metadata.name is missing")
            place = f"{kind} {metadata['name']}"
            resource = {**document, "metadata": {"namespace": namespace, **metadata}}
            if not isinstance(resource.get("spec"), dict):
                raise BadInput(f"{path}: {place}: spec is missing")
            if kind == "FlinkDeployment":
                found.targets.append(resource)
            elif kind == "PodMonitor":
                monitor = checked(path, lambda r=resource: read_pod_monitor(r), place)  # type: ignore[misc]
                found.monitors = [*(found.monitors or []), monitor]
            else:
                policy = checked(path, lambda r=resource: read_policy(r), place)  # type: ignore[misc]
                found.policies = {**(found.policies or {}), str(metadata["name"]): policy}
    if not found.targets:
        raise BadInput("no FlinkDeployment in the files")
    return found


async def from_cluster(kube: Kube, namespace: str, release_namespace: str) -> Surroundings:
    """Read a namespace's FlinkDeployments, and PodMonitors and policies where the chart is, too.

    Raises KubeError, and BadInput where there is no FlinkDeployment.
    """
    found = Surroundings(await kube.list_all(FLINK_DEPLOYMENTS, namespace))
    if not found.targets:
        raise BadInput(f"no FlinkDeployment in the namespace {namespace}")
    refused = []
    try:
        policies = await kube.list_all(POLICIES, release_namespace)
        # One that cannot be read is no use to the remediator either.
        found.policies = {r["metadata"]["name"]: spec for r in policies if (spec := _policy(r))}
    except (Forbidden, NotFound) as error:
        refused.append(f"policies: {error}")
    try:
        places = sorted({namespace, release_namespace})
        found.monitors = [read_pod_monitor(r) for place in places for r in await kube.list_all(POD_MONITORS, place)]
    except (Forbidden, NotFound) as error:
        refused.append(f"PodMonitors: {error}")
    found.unknown = "; ".join(text[:200] for text in refused)
    return found


def examine(found: Surroundings, names: Collection[str], skip: Collection[str]) -> list[Diagnosis]:
    """Diagnose the named FlinkDeployments, or all. Raises BadInput for a name that is not there."""
    there = {str(target["metadata"]["name"]) for target in found.targets}
    if absent := [name for name in names if name not in there]:
        raise BadInput(f"no FlinkDeployment {', '.join(absent)}; there are {', '.join(sorted(there))}")
    return [
        _diagnose(target, found, skip) for target in found.targets if not names or target["metadata"]["name"] in names
    ]


def _diagnose(resource: Resource, found: Surroundings, skip: Collection[str]) -> Diagnosis:
    metadata = resource["metadata"]
    place = f"FlinkDeployment {metadata['name']}"

    def read() -> list[Finding]:
        target = parse({**resource, "metadata": {"uid": "", **metadata}})
        monitors = None if found.monitors is None else tuple(found.monitors)
        return diagnose(World(target, resource["spec"], monitors, found.policies, found.unknown), skip)

    return Diagnosis(str(metadata["namespace"]), str(metadata["name"]), checked(place, read))


def _policy(resource: Resource) -> PolicySpec | None:
    try:
        return read_policy(resource)
    except ValidationError:
        return None


def _flat(found: Iterable[Any]) -> Iterable[Any]:
    for document in found:
        if isinstance(document, dict) and isinstance(document.get("items"), list):
            yield from document["items"]
        else:
            yield document


def render(diagnoses: Collection[Diagnosis], form: str) -> str:
    """Write diagnoses as a table with what to add, or as a list of objects in JSON or YAML."""
    if form == "table":
        return "\n".join(_table(diagnosis) for diagnosis in diagnoses)
    listed = [_plain(diagnosis) for diagnosis in diagnoses]
    return json.dumps(listed, indent=2) + "\n" if form == "json" else _yaml(listed)


def _plain(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "namespace": diagnosis.namespace,
        "name": diagnosis.name,
        "checks": [{"check": f.check, "state": str(f.state), "message": f.message} for f in diagnosis.findings],
        "add": additions(diagnosis.findings),
        "create": [f.create for f in diagnosis.findings if f.create],
    }


def _table(diagnosis: Diagnosis) -> str:
    width = max((len(finding.check) for finding in diagnosis.findings), default=0)
    lines = [f"FlinkDeployment {diagnosis.namespace}/{diagnosis.name}"]
    lines += [f"  {f.check:{width}}  {f.state:7}  {f.message}" for f in diagnosis.findings]
    if add := additions(diagnosis.findings):
        lines += ["", f"Add to {diagnosis.name}, in lists to the entry of the same name:", "", _yaml(add).rstrip()]
    for finding in diagnosis.findings:
        if finding.create:
            lines += ["", f"Create ({finding.check}):", "", _yaml(finding.create).rstrip()]
    return "\n".join(lines) + "\n"


def _yaml(document: Mapping[str, Any] | list[dict[str, Any]]) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
