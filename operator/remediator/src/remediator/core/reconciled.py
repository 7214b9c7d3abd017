"""Whether the spec that Flink's operator reconciled last is the one that is there now.

Source: Flink's operator, ReflectiveDiffBuilder and the annotations SpecDiff of JobSpec and AbstractFlinkSpec: which
fields it does no work for, and what it takes for granted.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediator.core.configuration import flatten

_NO_WORK = frozenset(
    ("job", field)
    for field in (
        "upgradeMode",
        "initialSavepointPath",
        "savepointTriggerNonce",
        "checkpointTriggerNonce",
        "allowNonRestoredState",
        "autoscalerResetNonce",
    )
)
_NO_WORK_KEYS = ("job.autoscaler", "parallelism.default", "kubernetes.operator")
_IGNORED_WHEN_REMOVED = frozenset({("restartNonce",), ("job", "savepointRedeployNonce")})
_DEFAULTS = frozenset(
    {(("job", "state"), "running"), (("job", "parallelism"), "0"), (("jobManager", "replicas"), "1")}
    | {(("mode",), "native")}
)
_POD_TEMPLATES = (("podTemplate",), ("jobManager", "podTemplate"), ("taskManager", "podTemplate"))


@dataclass(frozen=True)
class Reconciled:
    """What ``status.reconciliationStatus.lastReconciledSpec`` holds."""

    spec: Mapping[str, Any]
    generation: int | None
    """Of the resource then; operators 1.7 to 1.9 write it."""


def read(text: object) -> Reconciled | None:
    """Read lastReconciledSpec; None where there is none, or no JSON."""
    try:
        document = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if not isinstance(document, Mapping):
        return None
    spec, generation = document.get("spec"), _at(document, "resource_metadata", "metadata", "generation")
    known = isinstance(generation, int) and not isinstance(generation, bool) and generation > 0
    return Reconciled(spec if isinstance(spec, Mapping) else {}, generation if known else None)


def _at(node: Any, *keys: str) -> Any:
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def same_work(spec: Mapping[str, Any], reconciled: Mapping[str, Any]) -> bool:
    """Tell whether nothing is left to do for a spec; what is not understood counts as something."""
    wanted, done = _leaves(spec), _leaves(reconciled)
    for field in _IGNORED_WHEN_REMOVED - wanted.keys():
        done.pop(field, None)
    return wanted == done


def _leaves(spec: Mapping[str, Any]) -> dict[tuple[str, ...], str]:
    configuration = spec.get("flinkConfiguration")
    flat = flatten(configuration) if isinstance(configuration, Mapping) else {}
    found = _texts({key: value for key, value in spec.items() if key != "flinkConfiguration"})
    found |= {("flinkConfiguration", key): text for key, text in flat.items() if not key.startswith(_NO_WORK_KEYS)}
    manifest = {(*template, key) for template in _POD_TEMPLATES for key in ("apiVersion", "kind")}
    return {p: t for p, t in found.items() if p not in _NO_WORK and p not in manifest and (p, t) not in _DEFAULTS}


def _texts(node: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """The values by their path, as texts, so that 1, 1.0 and "1" are the same; what is empty is left out."""
    if isinstance(node, Mapping):
        return {p: t for key, child in node.items() for p, t in _texts(child, (*path, str(key))).items()}
    if isinstance(node, list):
        return {p: t for n, child in enumerate(node) for p, t in _texts(child, (*path, str(n))).items()}
    if node is None:
        return {}
    if isinstance(node, float) and node.is_integer():
        node = int(node)
    return {path: str(node).lower() if isinstance(node, bool) else str(node)}
