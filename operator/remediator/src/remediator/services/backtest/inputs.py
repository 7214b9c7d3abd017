"""Reads the policies, FlinkDeployments and alerting rules of a backtest, from files or from a cluster."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from remediator.adapters.kube import FLINK_DEPLOYMENTS, POLICIES, Kube
from remediator.api.base import parse_duration
from remediator.api.policy import PolicySpec
from remediator.core.backtest.occurrences import Rule
from remediator.core.backtest.records import NamedPolicy
from remediator.core.backtest.world import Target
from remediator.core.naming import digest
from remediator.services.documents import BadInput, checked, documents
from remediator.services.index import to_policy

Document = dict[str, Any]
_TEMPLATE: Final = "{{"


def policies_in(files: Iterable[Path]) -> list[NamedPolicy]:
    """Read policies. Raises BadInput."""
    found: dict[str, NamedPolicy] = {}
    for path, resource, name in _resources(files, "FlinkRemediationPolicy"):
        # As in explain: an unknown field is a mistake of whoever wrote the file.
        place = f"FlinkRemediationPolicy {name}: spec"
        spec = checked(path, partial(PolicySpec.model_validate, resource["spec"], extra="forbid"), place)
        if name in found:
            raise BadInput(f"{path}: there are two FlinkRemediationPolicies {name}")
        found[name] = NamedPolicy(name, digest(name), spec)
    return list(found.values())


async def policies_of(kube: Kube, namespace: str) -> tuple[list[NamedPolicy], list[str]]:
    """Read the policies of a namespace; returns them, and what those that cannot be read lack. Raises KubeError."""
    found = [to_policy(resource) for resource in await kube.list_all(POLICIES, namespace)]
    policies = [NamedPolicy(p.name, str(p.resource["metadata"].get("uid", p.name)), p.spec) for p in found if p.spec]
    return policies, [f"policy {p.name} left out: {p.problem}" for p in found if not p.spec]


def targets_in(files: Iterable[Path], namespace: str) -> list[Document]:
    """Read FlinkDeployments; those without a namespace are in ``namespace``. Raises BadInput."""
    found = []
    for path, resource, name in _resources(files, "FlinkDeployment"):
        placed = {**resource, "metadata": {"namespace": namespace, **resource["metadata"]}}
        checked(path, partial(Target, placed), f"FlinkDeployment {name}")
        found.append(placed)
    return found


async def targets_of(kube: Kube, namespaces: Iterable[str]) -> tuple[list[Document], list[str]]:
    """Read the FlinkDeployments of namespaces; returns them, and what is wrong with others. Raises KubeError."""
    found, wrong = [], []
    for namespace in namespaces:
        for resource in await kube.list_all(FLINK_DEPLOYMENTS, namespace):
            try:
                Target(resource)
                found.append(resource)
            except ValueError as error:
                wrong.append(f"FlinkDeployment {namespace}/{resource['metadata']['name']} left out: {error}")
    return found, wrong


def rules_in(files: Iterable[Path]) -> list[Rule]:
    """Read alerting rules, of Prometheus's rule files or of PrometheusRules. Raises BadInput."""
    rules = []
    for path in files:
        for document in _flat(documents(path)):
            if not isinstance(document, dict):
                raise BadInput(f"{path}: rules of Prometheus are expected")
            body = document.get("spec") if document.get("kind") == "PrometheusRule" else document
            groups = body.get("groups") if isinstance(body, dict) else None
            if not isinstance(groups, list):
                raise BadInput(
                    f"{path}: groups of rules are expected, as in Prometheus's rule files or a PrometheusRule"
                )
            rules += [rule for group in groups for rule in checked(path, partial(_rules, group))]
    if files and not rules:
        raise BadInput(f"{', '.join(map(str, files))}: there is no alerting rule")
    return rules


def _rules(group: Document) -> list[Rule]:
    rules = []
    for rule in group["rules"]:
        if "alert" not in rule:
            continue
        name, labels = str(rule["alert"]), {k: str(v) for k, v in (rule.get("labels") or {}).items()}
        templated = sorted(label for label, value in labels.items() if _TEMPLATE in value)
        if templated:
            raise ValueError(
                f"alert {name}: the label {templated[0]} is a template, which is not evaluated here: replay ALERTS, "
                "without --rules"
            )
        rules.append(Rule(name, str(rule["expr"]), _for(rule, "for"), _for(rule, "keep_firing_for"), labels))
    return rules


def _for(rule: Document, field: str) -> timedelta:
    try:
        return parse_duration(str(rule.get(field) or "0s"))
    except ValueError as error:
        raise ValueError(f"alert {rule['alert']}: {field}: {error}") from None


def _resources(files: Iterable[Path], kind: str) -> Iterator[tuple[Path, Document, str]]:
    """Yield the objects of a kind; what else is in the files is left out, so that the output of helm template can be
    given as it is. Raises BadInput for a file without one."""
    for path in files:
        seen = 0
        for document in _flat(documents(path)):
            if not isinstance(document, dict):
                raise BadInput(f"{path}: a Kubernetes object is expected, such as a {kind}")
            if document.get("kind") != kind:
                continue
            metadata = document.get("metadata")
            if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
                raise BadInput(f"{path}: {kind}: metadata.name is missing")
            if not isinstance(document.get("spec"), dict):
                raise BadInput(f"{path}: {kind} {metadata['name']}: spec is missing")
            seen += 1
            yield path, document, metadata["name"]
        if not seen:
            raise BadInput(f"{path}: there is no {kind}")


def _flat(found: Iterable[Any]) -> Iterator[Any]:
    for document in found:
        if isinstance(document, dict) and isinstance(document.get("items"), list):
            yield from document["items"]
        else:
            yield document
