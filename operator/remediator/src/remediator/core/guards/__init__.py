"""The ordered chain of guards: each looks at the snapshot and objects or does not; the first objection wins."""

from collections.abc import Sequence

from remediator.core.guards.action import checkpoint_known, room_to_scale
from remediator.core.guards.alert import alert_fresh, alert_resolved, paused
from remediator.core.guards.base import LOOK_AGAIN, Guard, Objection
from remediator.core.guards.limits import cooled_down, no_storm, not_busy, within_budget
from remediator.core.guards.target import (
    keeps_state,
    no_fixed_replicas,
    not_autoscaled,
    not_managed_by_git,
    operator_at_rest,
    opted_in,
    stable,
    target_found,
)
from remediator.core.snapshot import Snapshot

__all__ = ["CHAIN", "LOOK_AGAIN", "Guard", "Objection", "first_objection"]

CHAIN: tuple[Guard, ...] = (
    alert_resolved,
    paused,
    alert_fresh,
    target_found,
    opted_in,
    keeps_state,
    not_autoscaled,
    no_fixed_replicas,
    not_managed_by_git,
    stable,
    not_busy,
    operator_at_rest,
    room_to_scale,
    checkpoint_known,
    cooled_down,
    within_budget,
    no_storm,
)
"""What a person has to agree to is asked last, by the planner: only then is there a plan to agree to."""


def first_objection(snapshot: Snapshot, chain: Sequence[Guard] = CHAIN) -> Objection | None:
    """Return the first guard's objection, or None when all let it pass."""
    for guard in chain:
        objection = guard(snapshot)
        if objection is not None:
            return objection
    return None
