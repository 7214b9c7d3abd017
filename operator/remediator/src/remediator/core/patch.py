"""JSON patches (RFC 6902) on a FlinkDeployment: each tests what it rests on, and leaves its plan's id behind."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remediator.api.names import PLAN_ANNOTATION
from remediator.core.flinkdeployment import FlinkDeployment

Operation = dict[str, Any]

ABSENT = object()
"""Stands for a value that is not there, which JSON patch cannot test."""


@dataclass(frozen=True)
class Change:
    """A value of the target's spec, before and after, at a place of the resource."""

    path: str
    """JSON pointer (RFC 6901)."""
    old: Any
    """What is there now, or ABSENT."""
    new: Any
    undo: Any = ABSENT
    """What an inverse patch writes instead of the old value, where that was absent."""
    test: tuple[str, Any] | None = None
    """Path and value that stand for an old value that is absent."""


def patch(changes: Sequence[Change], target: FlinkDeployment, plan_id: str) -> str:
    """Return the patch as text. It applies once: to this very resource, in the generation that the plan was made for.

    A generation never comes back, so not even somebody who takes the change back, with our annotation, between patch
    and record makes it apply again. What it changes is tested as well, for the reader and for its own sake.
    """
    operations: list[Operation] = [
        {"op": "test", "path": "/metadata/uid", "value": target.uid},
        {"op": "test", "path": "/metadata/generation", "value": target.generation},
    ]
    for change in changes:
        if change.test is not None:
            operations.append({"op": "test", "path": change.test[0], "value": change.test[1]})
        elif change.old is not ABSENT:
            operations.append({"op": "test", "path": change.path, "value": change.old})
    operations += [{"op": "add", "path": change.path, "value": change.new} for change in changes]
    if not target.annotations:
        operations.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    # In the same patch, so that a restarted controller knows for certain whether it was applied.
    operations.append({"op": "add", "path": annotation_path(), "value": plan_id})
    return json.dumps(operations)


def inverse(changes: Sequence[Change], plan_id: str, tests: Sequence[tuple[str, Any]] = ()) -> str:
    """Return the patch that takes the changes back, as text; it applies only to what the plan has left behind, where
    further values (``tests``: JSON pointers and values) are as they were."""
    operations: list[Operation] = [{"op": "test", "path": annotation_path(), "value": plan_id}]
    operations += [{"op": "test", "path": path, "value": value} for path, value in tests]
    operations += [{"op": "test", "path": change.path, "value": change.new} for change in changes]
    for change in changes:
        value = change.old if change.undo is ABSENT else change.undo
        replaced: Operation = {"op": "replace", "path": change.path, "value": value}
        operations.append({"op": "remove", "path": change.path} if value is ABSENT else replaced)
    operations.append({"op": "replace", "path": annotation_path(), "value": inverse_id(plan_id)})
    return json.dumps(operations)


def inverse_id(plan_id: str) -> str:
    """Return the id that the inverse patch of a plan leaves in the target's annotations."""
    return f"{plan_id}-inverse"


def annotation_path() -> str:
    """Return the JSON pointer of the plan's id."""
    return pointer("metadata", "annotations", PLAN_ANNOTATION)


def pointer(*keys: str) -> str:
    """Return the JSON pointer (RFC 6901) of nested keys."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


def configuration_change(target: FlinkDeployment, key: str, new: str, old: str) -> Change:
    """Return the change of a key of flinkConfiguration; ``old`` is what takes it back where the key is not there yet.

    Without the key there is no value to test: the whole map stands for it.
    """
    path = pointer("spec", "flinkConfiguration", key)
    raw: Mapping[str, Any] = target.raw_configuration
    if key in raw:
        return Change(path, raw[key], new, undo=old)
    return Change(path, ABSENT, new, undo=old, test=("/spec/flinkConfiguration", dict(raw)))
