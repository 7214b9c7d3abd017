"""The ordered chain of guards: each looks at the snapshot and objects or does not; the first objection wins."""

from collections.abc import Sequence

from remediator.core.guards.action import (
    checkpoint_fits,
    failed_if_asked,
    in_place_possible,
    job_manager_answers,
    outlives_its_shutdown,
    parallelism_fits,
    plan_fits,
    room_to_scale,
    some_vertex_follows,
)
from remediator.core.guards.alert import (
    alert_firing,
    alert_fresh,
    alert_matched,
    not_paused,
    not_silenced,
    only_answer,
    policy_sound,
)
from remediator.core.guards.approval import approved, not_denied
from remediator.core.guards.base import LOOK_AGAIN, Guard, Objection
from remediator.core.guards.findings import findings_allow
from remediator.core.guards.limits import cooled_down, no_storm, not_busy, within_budget
from remediator.core.guards.records import records_readable
from remediator.core.guards.target import (
    has_job,
    keeps_state,
    no_fixed_replicas,
    not_autoscaled,
    not_being_deleted,
    not_managed_by_git,
    operator_at_rest,
    opted_in,
    stable,
    target_found,
)
from remediator.core.snapshot import Snapshot

__all__ = [
    "BEFORE_PATCH_CHAIN",
    "CHAIN",
    "HAND_BACK_CHAIN",
    "LOOK_AGAIN",
    "SCALE_BACK_CHAIN",
    "Guard",
    "Objection",
    "first_objection",
]

CHAIN: tuple[Guard, ...] = (
    alert_firing,
    only_answer,
    alert_matched,
    policy_sound,
    not_paused,
    not_silenced,
    alert_fresh,
    target_found,
    not_being_deleted,
    opted_in,
    has_job,
    keeps_state,
    not_autoscaled,
    no_fixed_replicas,
    not_managed_by_git,
    stable,
    records_readable,
    not_busy,
    operator_at_rest,
    failed_if_asked,
    job_manager_answers,
    room_to_scale,
    some_vertex_follows,
    in_place_possible,
    parallelism_fits,
    checkpoint_fits,
    plan_fits,
    outlives_its_shutdown,
    findings_allow,
    cooled_down,
    within_budget,
    not_denied,
    no_storm,
    approved,
)
"""Everything before an action. A person is asked last, when there is a plan to agree to."""

BEFORE_PATCH_CHAIN: tuple[Guard, ...] = (alert_firing, not_paused, not_silenced, target_found, opted_in)
"""Asked once more right before a patch: what a person says to stop it."""

SCALE_BACK_CHAIN: tuple[Guard, ...] = (
    policy_sound,
    not_paused,
    target_found,
    not_being_deleted,
    opted_in,
    has_job,
    keeps_state,
    not_autoscaled,
    no_fixed_replicas,
    not_managed_by_git,
    stable,
    records_readable,
    not_busy,
    operator_at_rest,
)
"""Before a scale that helped is taken back: the alert is over, and it spends no budget, but the target is the same."""


HAND_BACK_CHAIN: tuple[Guard, ...] = (
    not_paused,
    target_found,
    not_being_deleted,
    opted_in,
    has_job,
    not_autoscaled,
    no_fixed_replicas,
    not_managed_by_git,
    records_readable,
    not_busy,
)
"""Before a job is given back to its owner, who may be upgrading it right now."""


def first_objection(snapshot: Snapshot, chain: Sequence[Guard] = CHAIN) -> Objection | None:
    """Return the first guard's objection, or None when all let it pass."""
    for guard in chain:
        objection = guard.check(snapshot)
        if objection is not None:
            return objection
    return None
