"""Guards on what is recorded of other remediations: what cannot be read might be in flight, or count."""

from remediator.api.reasons import Reason
from remediator.core.guards.base import Objection, guard, wait
from remediator.core.snapshot import Snapshot


@guard(Reason.RECORD_UNREADABLE)
def records_readable(s: Snapshot) -> Objection | None:
    """Cooldown, budget and what is in flight are known of every other record of the target."""
    unreadable = sorted((x.name, x.unreadable) for x in s.target_siblings if x.unreadable)
    if not unreadable:
        return None
    name, why = unreadable[0]
    return wait(
        s,
        Reason.RECORD_UNREADABLE,
        f"{name}, of the same FlinkDeployment, cannot be read ({why}): it may be in flight, or count. A version of the "
        "remediator that knows it goes on; or delete it, if nothing is in flight.",
    )
