"""Plans a new start of a job: from its latest checkpoint, from an explicit path, or by its own upgrade mode.

Source: Flink Kubernetes Operator, "Job lifecycle management", and AbstractJobReconciler: a change of restartNonce is an
upgrade, upgradeMode itself is ignored by the comparison of specs and may be set in the same patch for free.
"""

from typing import Any

from remediator.api.policy import Action
from remediator.api.remediation import Method, Plan
from remediator.core.flinkdeployment import FlinkDeployment
from remediator.core.patch import ABSENT, Change, inverse, patch, pointer
from remediator.core.scale import current_parallelism
from remediator.core.snapshot import Checkpoint, Job

LAST_STATE = "last-state"


def plan_restore(
    action: Action, target: FlinkDeployment, job: Job | None, with_path: Checkpoint | None, plan_id: str
) -> Plan:
    """Plan to start the job from its latest checkpoint; from that ``with_path`` where Flink's operator finds none."""
    if target.asks_for_manual_restore:
        assert with_path is not None  # the guards have seen it
        nonce = (target.savepoint_redeploy_nonce or 0) + 1
        changes = [
            _change("initialSavepointPath", target.savepoint_path or None, with_path.path),
            _change("savepointRedeployNonce", target.savepoint_redeploy_nonce, nonce),
        ]
        return _plan(action, Method.SAVEPOINT_REDEPLOY, changes, nonce, target, with_path, plan_id)
    nonce = (target.restart_nonce or 0) + 1
    changes = [_restart(target, nonce)]
    if target.upgrade_mode != LAST_STATE:  # a savepoint would fail for what makes checkpoints fail
        changes.append(Change(pointer("spec", "job", "upgradeMode"), target.upgrade_mode, LAST_STATE))
    latest = job.latest if job else None
    return _plan(action, Method.LAST_STATE, changes, nonce, target, latest, plan_id)


def plan_restart(action: Action, target: FlinkDeployment, plan_id: str) -> Plan:
    """Plan to start the job again by its own upgrade mode."""
    nonce = (target.restart_nonce or 0) + 1
    return _plan(action, Method.REDEPLOY, [_restart(target, nonce)], nonce, target, None, plan_id)


def _restart(target: FlinkDeployment, nonce: int) -> Change:
    old = ABSENT if target.restart_nonce is None else target.restart_nonce
    return Change(pointer("spec", "restartNonce"), old, nonce)


def _change(field: str, old: object, new: object) -> Change:
    return Change(pointer("spec", "job", field), ABSENT if old is None else old, new)


def _plan(
    action: Action,
    method: Method,
    changes: list[Change],
    nonce: int,
    target: FlinkDeployment,
    checkpoint: Checkpoint | None,
    plan_id: str,
) -> Plan:
    parallelism = current_parallelism(target)
    return Plan(
        id=plan_id,
        action=action.type,
        method=method,
        timeout=action.timeout,
        parallelism_before=parallelism,
        parallelism_after=parallelism,
        checkpoint=checkpoint.id if checkpoint else None,
        nonce=nonce,
        observed_generation=target.generation,
        patch=patch(changes, target, plan_id),
        inverse=inverse(changes, target, plan_id, _not_taken_up(target)),
    )


def _not_taken_up(target: FlinkDeployment) -> list[tuple[str, Any]]:
    """Return what holds as long as Flink's operator has not taken the plan up, where it writes such a thing.

    A new start that has begun is not taken back: another change of its nonce would be another start.
    """
    if target.before_operator_1_8 or target.observed_generation is None:
        return []
    return [(pointer("status", "observedGeneration"), target.observed_generation)]
