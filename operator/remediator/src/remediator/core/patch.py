"""JSON patches (RFC 6902) on a FlinkDeployment: each tests what it rests on, and leaves its plan's id behind."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from remediator.api.names import ENABLED_LABEL, PLAN_ANNOTATION
from remediator.core.configuration import OVERRIDES_KEY, at, format_overrides, place
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
    """What an inverse patch writes instead of the old value."""
    parent: str = ""
    """Path of a map that the patch has to make first."""


def patch(changes: Sequence[Change], target: FlinkDeployment, plan_id: str) -> str:
    """Return the patch as text. It applies once: to this very resource, in the generation that the plan was made for,
    while its owner allows it.

    A generation never comes back, so not even somebody who takes the change back, with our annotation, between patch
    and record makes it apply again. It counts every change of the spec, so it also stands for what is absent, which a
    patch cannot test. The values that are changed are tested as well, for the reader and for their own sake.
    """
    operations = [*_identity(target), _test(pointer("metadata", "generation"), target.generation)]
    operations += [_test(change.path, change.old) for change in changes if change.old is not ABSENT]
    for change in changes:
        if change.parent:
            operations.append(_add(change.parent, {}))
        operations.append(_add(change.path, change.new))
    if not target.annotations:
        # Who annotates it meanwhile must not lose what they wrote: no generation counts that, and that a map is absent
        # cannot be tested.
        if target.resource_version:
            operations.insert(0, _test(pointer("metadata", "resourceVersion"), target.resource_version))
        operations.append(_add(pointer("metadata", "annotations"), {}))
    # In the same patch, so that a restarted controller knows for certain whether it was applied.
    operations.append(_add(annotation_path(), plan_id))
    return json.dumps(operations)


def inverse(
    changes: Sequence[Change], target: FlinkDeployment, plan_id: str, tests: Sequence[tuple[str, Any]] = ()
) -> str:
    """Return the patch that takes the changes back, as text. It applies only to what the plan has left behind, while
    the owner allows it, and where further values (``tests``: JSON pointers and values) are as they were."""
    operations = [*_identity(target), _test(annotation_path(), plan_id)]
    operations += [_test(path, value) for path, value in tests]
    operations += [_test(change.path, change.new) for change in changes]
    for change in changes:
        value = change.old if change.undo is ABSENT else change.undo
        replaced: Operation = {"op": "replace", "path": change.path, "value": value}
        operations.append({"op": "remove", "path": change.path} if value is ABSENT else replaced)
    operations.append({"op": "replace", "path": annotation_path(), "value": inverse_id(plan_id)})
    return json.dumps(operations)


def _identity(target: FlinkDeployment) -> list[Operation]:
    """The same resource, and its owner allows it still."""
    return [
        _test(pointer("metadata", "uid"), target.uid),
        _test(pointer("metadata", "labels", ENABLED_LABEL), "true"),
    ]


def _test(path: str, value: Any) -> Operation:
    return {"op": "test", "path": path, "value": value}


def _add(path: str, value: Any) -> Operation:
    return {"op": "add", "path": path, "value": value}


def inverse_id(plan_id: str) -> str:
    """Return the id that the inverse patch of a plan leaves in the target's annotations."""
    return f"{plan_id}-inverse"


def with_id(operations: list[Operation], plan_id: str) -> str:
    """Return the operations of a patch, or of an inverse one, that was made for an empty id, for this one, as text."""
    place = annotation_path()
    for operation in operations:
        if operation["path"] == place:
            operation["value"] = plan_id + operation["value"]
    return json.dumps(operations)


def annotation_path() -> str:
    """Return the JSON pointer of the plan's id."""
    return pointer("metadata", "annotations", PLAN_ANNOTATION)


@lru_cache(maxsize=256)
def pointer(*keys: str) -> str:
    """Return the JSON pointer (RFC 6901) of nested keys."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


def overrides_change(target: FlinkDeployment, new: Mapping[str, int], undo: Mapping[str, int]) -> Change:
    """Return the change of the vertices' parallelism in flinkConfiguration; ``undo`` is what takes it back.

    Nothing of the configuration but this key gets into the patch: other values of it may be secrets.
    """
    raw = target.raw_configuration
    keys = place(raw or {}, OVERRIDES_KEY)
    if raw is None or keys is None:
        path = pointer("spec", "flinkConfiguration", OVERRIDES_KEY)
        missing = pointer("spec", "flinkConfiguration") if raw is None else ""
        return Change(path, ABSENT, format_overrides(new), format_overrides(undo), missing)
    old, path = at(raw, keys), pointer("spec", "flinkConfiguration", *keys)
    if not isinstance(old, Mapping):
        return Change(path, old, format_overrides(new), format_overrides(undo))
    # A map stays a map, of numbers or of texts as it was.
    form = str if any(isinstance(value, str) for value in old.values()) else int
    return Change(path, old, {v: form(n) for v, n in new.items()}, {v: form(n) for v, n in undo.items()})
