"""The ordered chain of guards: each looks at the snapshot and objects or does not; the first objection wins."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from remediator.api.reasons import Reason
from remediator.core.decision import Cancel, Refuse, Wait
from remediator.core.flinkdeployment import FlinkDeployment
from remediator.core.scale import current_parallelism, desired_parallelism
from remediator.core.snapshot import Snapshot

Objection = Wait | Refuse | Cancel
Guard = Callable[[Snapshot], Objection | None]

LOOK_AGAIN = timedelta(seconds=10)
"""How soon to look again at what passes at a moment nobody knows."""

_TRANSITIONAL = frozenset({"", "CREATED", "DEPLOYED", "UPGRADING", "ROLLING_BACK"})


def first_objection(snapshot: Snapshot, chain: Sequence[Guard] | None = None) -> Objection | None:
    """Return the first guard's objection, or None when all let it pass."""
    for guard in CHAIN if chain is None else chain:
        objection = guard(snapshot)
        if objection is not None:
            return objection
    return None


def alert_resolved(s: Snapshot) -> Objection | None:
    """An alert that is over needs no remedy."""
    if s.resolved:
        return Cancel(Reason.ALERT_RESOLVED, "The alert was resolved before anything was done.")
    return None


def paused(s: Snapshot) -> Objection | None:
    """Someone asked for a pause, by name."""
    if s.policy.guards.pause_requests:
        names = ", ".join(s.policy.guards.pause_requests)
        return _wait(s, Reason.PAUSED, f"The policy is paused: {names}. Remove the entry from guards.pauseRequests.")
    return None


def target_found(s: Snapshot) -> Objection | None:
    """There is such a FlinkDeployment, and it is still the one the alert was about."""
    ref = s.target_ref
    if s.target is None:
        named = f"{ref.namespace or '(no namespace)'}/{ref.name or '(no name)'}"
        return Refuse(
            Reason.TARGET_NOT_FOUND,
            f"No FlinkDeployment {named} in the watched namespaces; check the alert's labels and the policy's target.",
        )
    if ref.uid and s.target.uid != ref.uid:
        return Refuse(Reason.TARGET_REPLACED, f"{ref.namespace}/{ref.name} was deleted and made anew since the alert.")
    return None


def opted_in(s: Snapshot) -> Objection | None:
    """Default deny: the owner's label allows it."""
    if not _target(s).opted_in:
        return Refuse(
            Reason.NOT_OPTED_IN,
            "The FlinkDeployment does not allow remediation; "
            'label it remediation.streaming-monitoring.dev/enabled="true".',
        )
    return None


def keeps_state(s: Snapshot) -> Objection | None:
    """A stateless upgrade would throw the job's state away."""
    if _target(s).upgrade_mode == "stateless":
        return Refuse(
            Reason.STATELESS_UPGRADE_MODE,
            "job.upgradeMode is stateless (Flink's default): a change would lose state. Set last-state or savepoint.",
        )
    return None


def not_autoscaled(s: Snapshot) -> Objection | None:
    """Two controllers must not decide on one parallelism."""
    if _target(s).autoscaled:
        return Refuse(Reason.AUTOSCALER_ENABLED, "job.autoscaler.enabled is true: Flink's autoscaler decides.")
    return None


def no_fixed_replicas(s: Snapshot) -> Objection | None:
    """taskManager.replicas overrides the job's parallelism: a patch would cost a redeploy and change nothing."""
    replicas = _target(s).task_manager_replicas
    if replicas is not None:
        return Refuse(
            Reason.TASK_MANAGER_REPLICAS_SET,
            f"taskManager.replicas is {replicas} and overrides job.parallelism; remove it.",
        )
    return None


def stable(s: Snapshot) -> Objection | None:
    """The target stands still: nobody is deploying, upgrading or rolling it back."""
    target = _target(s)
    state = target.lifecycle_state
    if not target.caught_up or state in _TRANSITIONAL:
        seen = state or "unknown"
        return _wait(s, Reason.TARGET_NOT_STABLE, f"Flink's operator is at work on it (lifecycle state {seen}).")
    if state != "STABLE":
        return Refuse(
            Reason.TARGET_NOT_STABLE, f"Lifecycle state {state}: a scale is no remedy. {target.error}".strip()
        )
    return None


def not_busy(s: Snapshot) -> Objection | None:
    """One remediation in flight per target."""
    busy = [x.name for x in s.target_siblings if x.planned is not None and not x.phase.terminal]
    if busy:
        return _wait(s, Reason.TARGET_BUSY, f"{busy[0]} is in flight on the same FlinkDeployment.")
    return None


def below_maximum(s: Snapshot) -> Objection | None:
    """There is room left to scale."""
    current = current_parallelism(_target(s))
    for action in s.policy.actions:
        if desired_parallelism(action.scale, current) <= current:
            return Refuse(
                Reason.ALREADY_AT_MAXIMUM,
                f"The job has parallelism {current} and the policy goes no further; look for another cause.",
            )
    return None


def cooled_down(s: Snapshot) -> Objection | None:
    """The last remediation of this target had time to show its effect."""
    finished = [x.finished for x in s.target_siblings if x.planned is not None and x.finished is not None]
    if not finished:
        return None
    until = max(finished) + s.policy.guards.cooldown
    if s.now < until:
        ago = (s.now - max(finished)).total_seconds()
        return Wait(Reason.COOLDOWN, f"The last remediation ended {ago:.0f} s ago; cooling down.", until)
    return None


def within_budget(s: Snapshot) -> Objection | None:
    """Not more actions on one target than the policy allows."""
    planned = [x.planned for x in s.target_siblings if x.planned is not None]
    for entry in s.policy.guards.budget:
        used = sum(moment > s.now - entry.per for moment in planned)
        if used >= entry.max:
            hours = entry.per.total_seconds() / 3600
            return Refuse(
                Reason.BUDGET_EXHAUSTED,
                f"{used} actions in the last {hours:g} h, {entry.max} allowed; the remedy does not hold.",
            )
    return None


def no_storm(s: Snapshot) -> Objection | None:
    """Many targets at once are a problem of the platform."""
    storm = s.policy.guards.storm
    if storm is None:
        return None
    recent = {
        (x.target.namespace, x.target.name) for x in s.siblings if x.created > s.now - storm.per and x.target.uid
    } | {(s.target_ref.namespace, s.target_ref.name)}
    if len(recent) > storm.max_targets:
        return Refuse(
            Reason.STORM,
            f"{len(recent)} FlinkDeployments in trouble at once: look at what they share (Kafka, nodes, storage).",
        )
    return None


CHAIN: tuple[Guard, ...] = (
    alert_resolved,
    paused,
    target_found,
    opted_in,
    keeps_state,
    not_autoscaled,
    no_fixed_replicas,
    stable,
    not_busy,
    below_maximum,
    cooled_down,
    within_budget,
    no_storm,
)


def _target(s: Snapshot) -> FlinkDeployment:
    assert s.target is not None  # target_found stands before in the chain
    return s.target


def _wait(s: Snapshot, reason: Reason, message: str) -> Wait:
    return Wait(reason, message, s.now + LOOK_AGAIN)
