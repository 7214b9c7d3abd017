"""The policy that a remediation acts by: as it was when the first plan was written, whatever is edited meanwhile."""

import json

from remediator.api.policy import Matcher, Operator, PolicySpec

_KEPT = {"target", "actions", "verify", "guards", "revert"}
_ANY_ALERT = Matcher(label="alertname", operator=Operator.REGEX, value="(?s).*")
"""That the policy answers the alert was decided before it was frozen."""


def freeze(policy: PolicySpec) -> str:
    """Return what of a policy a remediation goes on by, as JSON text, bounded by the bounds of its fields."""
    kept = policy.model_dump(mode="json", by_alias=True, include=_KEPT)
    # Pausing works at any time.
    kept["guards"].pop("pauseRequests", None)
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def thaw(text: str) -> PolicySpec | None:
    """Return the policy that :func:`freeze` kept; None for no text. Raises ValueError for what cannot be read."""
    if not text:
        return None
    return PolicySpec.model_validate({**json.loads(text), "match": (_ANY_ALERT,)})


def in_force(frozen: PolicySpec | None, live: PolicySpec | None) -> PolicySpec | None:
    """Return the policy that counts: the frozen one, stopped by the mode and the pauses of the one that is there."""
    if frozen is None or live is None:
        return frozen or live
    guards = frozen.guards.model_copy(update={"pause_requests": live.guards.pause_requests})
    return frozen.model_copy(update={"mode": live.mode, "guards": guards})
