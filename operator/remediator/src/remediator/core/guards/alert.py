"""Guards on the alert and on the policy that answers it."""

from remediator.api.base import format_duration
from remediator.api.policy import PolicySpec
from remediator.api.reasons import Reason
from remediator.core.decision import Cancel, Refuse
from remediator.core.guards.base import Objection, guard, wait
from remediator.core.matching import first_mismatch
from remediator.core.pauses import in_force
from remediator.core.snapshot import Snapshot
from remediator.core.template import TemplateError, render


@guard(Reason.ALERT_RESOLVED)
def alert_firing(s: Snapshot) -> Objection | None:
    """An alert that is over needs no remedy."""
    if not s.resolved:
        return None
    if s.progress.actions:
        return Cancel(Reason.ALERT_RESOLVED, "The alert was resolved before the next action was begun.")
    return Cancel(Reason.ALERT_RESOLVED, "The alert was resolved before anything was done.")


@guard(Reason.DUPLICATE)
def only_answer(s: Snapshot) -> Objection | None:
    """No older remediation answers the same incident, whose alert is not resolved yet.

    The receiver creates no second one; this is for what an older version or another hand has left.
    """
    older = [
        x
        for x in s.target_siblings
        if s.incident
        and x.incident == s.incident
        and not x.resolved
        and s.created is not None
        and (x.created, x.name) < (s.created, s.name)
    ]
    if older:
        first = min(older, key=lambda x: (x.created, x.name))
        return Cancel(Reason.DUPLICATE, f"{first.name} answers the same alert about the same FlinkDeployment.")
    return None


@guard(Reason.POLICY_INVALID)
def policy_sound(s: Snapshot) -> Objection | None:
    """The policy has this rung, and its queries can be asked: nothing is done that could not be verified."""
    if s.progress.step >= len(s.policy.actions):
        return Refuse(
            Reason.POLICY_INVALID,
            f"The ladder became shorter meanwhile: there is no action {s.progress.step + 1} in spec.actions any more.",
        )
    for name, query in _queries(s.policy):
        try:
            render(query, s.alert.labels, s.target_ref)
        except TemplateError as error:
            return Refuse(
                Reason.POLICY_INVALID,
                f"{name}: {error}. Name a label that the alert has, target.name or target.namespace; '?' after a "
                "label allows it to be missing.",
            )
    return None


@guard(Reason.ALERT_NOT_MATCHED)
def alert_matched(s: Snapshot) -> Objection | None:
    """The policy answers this alert, and has not been changed meanwhile so that it does not."""
    labels = s.labels or s.alert.labels
    # What was decided on the whole of a value is not decided anew on its beginning.
    cut = () if s.labels else s.alert.shortened
    mismatch = first_mismatch(tuple(m for m in s.policy.match if m.label not in cut), labels)
    if mismatch is None:
        return None
    has = labels.get(mismatch.label)
    seen = "has no such label" if has is None else f"has {has[:200]!r}"
    return Refuse(
        Reason.ALERT_NOT_MATCHED,
        f"The policy answers alerts with {mismatch.label}{mismatch.operator}{mismatch.value!r}; this one {seen}.",
    )


@guard(Reason.PAUSED)
def not_paused(s: Snapshot) -> Objection | None:
    """Nobody asked for a pause, of the policy or of everything, by name."""
    stops = in_force(s.stops, s.now)
    if stops:
        names, place = ", ".join(stops), f" -n {s.namespace}" if s.namespace else ""
        return wait(s, Reason.PAUSED, f"Everything is stopped: {names}. To go on: kubectl frem{place} start.")
    requests = in_force(s.policy.guards.pause_requests, s.now)
    if requests:
        names = ", ".join(requests)
        return wait(
            s, Reason.PAUSED, f"The policy is paused: {names}. Remove the entry from guards.pauseRequests to go on."
        )
    return None


@guard(Reason.ALERT_SILENCED)
def not_silenced(s: Snapshot) -> Objection | None:
    """Alertmanager would tell nobody of the alert: somebody has said that it needs no answer now."""
    if s.silenced:
        return wait(s, Reason.ALERT_SILENCED, f"Alertmanager holds the alert back: {s.silenced}.")
    return None


@guard(Reason.ALERT_STALE)
def alert_fresh(s: Snapshot) -> Objection | None:
    """What would have helped at the alert's start may not fit a day later."""
    limit = s.policy.guards.max_alert_age
    if s.now - s.alert.starts_at > limit:
        return Refuse(
            Reason.ALERT_STALE,
            f"The alert began more than {format_duration(limit)} ago (guards.maxAlertAge): look at the job yourself.",
        )
    return None


def _queries(policy: PolicySpec) -> list[tuple[str, str]]:
    after = policy.revert.after
    named = [("verify.query", policy.verify.query), ("revert.after.query", after.query if after else None)]
    return [(name, query) for name, query in named if query is not None]
