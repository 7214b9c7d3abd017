"""Replays occurrences of alerts by a simulated clock. Every decision is the controller's own, on a real snapshot.

The clock goes to the moments at which something changes: an alert begins or ends, an action ends, a wait is over. In
between nothing would be decided otherwise, so nobody looks.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from remediator.api.names import PLAN_ANNOTATION
from remediator.api.policy import ActionType, RevertAfter, Storm
from remediator.api.reasons import Phase, Reason
from remediator.api.remediation import Plan, TargetReference
from remediator.core.backtest.occurrences import Occurrence
from remediator.core.backtest.outcomes import Assumed, Expected, expect
from remediator.core.backtest.records import Kind, NamedPolicy, Record, reference, short
from remediator.core.backtest.targets import Targets
from remediator.core.backtest.waiting import at_the_latest
from remediator.core.backtest.world import Target
from remediator.core.decide import decide
from remediator.core.decision import Act, Cancel, Refuse, Wait
from remediator.core.guards import SCALE_BACK_CHAIN, first_objection
from remediator.core.guards.limits import SETTLE, most_at_once
from remediator.core.history import remembered
from remediator.core.incident import incident_hash, remediation_name
from remediator.core.matching import ByConsumerGroup, first_mismatch, target_query
from remediator.core.schedule import observes
from remediator.core.snapshot import Snapshot

_MINUTE: Final = timedelta(minutes=1)
_SECOND: Final = timedelta(seconds=1)
_TRY_SCALE_BACK_AGAIN: Final = timedelta(minutes=10)
# What happens at one moment happens in this order: whoever looks sees all that ends and begins then.
_END, _BEGIN, _LOOK = range(3)


class Simulation:
    """One set of policies, in one world."""

    def __init__(self, policies: Sequence[NamedPolicy], targets: Iterable[Target], assumed: Assumed) -> None:
        self._policies = policies
        self._targets = Targets(targets)
        self._assumed = assumed
        self._needed = remembered(policy.spec for policy in policies)
        self._ages = {policy.spec.guards.max_alert_age for policy in policies if policy.spec.guards.storm}
        self._now = datetime.min
        self._queue: list[tuple[datetime, int, int, Callable[[], None]]] = []
        self._planned = 0
        self._records: list[Record] = []
        self._numbers: dict[str, int] = {}
        self._newest: dict[str, Record] = {}
        self._of_target: dict[tuple[str, str], list[Record]] = {}
        self._firing: dict[str, Record] = {}
        self._in_storm: dict[str, Record] = {}
        self._storm_is_looked_at: datetime | None = None
        self._quiet_since: dict[tuple[str, str], datetime] = {}

    def run(self, occurrences: Iterable[Occurrence], until: datetime) -> list[Record]:
        """Return what was decided about each incident; what would happen after ``until`` is left open."""
        for one in occurrences:
            self._at(one.starts_at, _BEGIN, partial(self._begin, one))
        while self._queue and self._queue[0][0] <= until:
            self._now, _, _, happen = heapq.heappop(self._queue)
            happen()
        for record in self._records:
            record.waits(until, None)
        return self._records

    def _at(self, moment: datetime, order: int, happen: Callable[[], None]) -> None:
        self._planned += 1
        heapq.heappush(self._queue, (moment, order, self._planned, happen))

    def _begin(self, one: Occurrence) -> None:
        for policy in self._policies:
            if first_mismatch(policy.spec.match, one.labels) is not None:
                continue
            query = target_query(policy.spec.target, one.labels)
            found = self._targets.named(query)
            for target in found:
                self._notice(policy, target.ref, target, one)
            if not found:
                named = query.group if isinstance(query, ByConsumerGroup) else query.name
                self._notice(policy, TargetReference(namespace=query.namespace, name=named), None, one)

    def _notice(self, policy: NamedPolicy, ref: TargetReference, target: Target | None, one: Occurrence) -> None:
        incident = incident_hash(policy.uid, ref, one.fingerprint)
        record = self._newest.get(incident)
        if record is None or record.phase.terminal:
            record = self._create(policy, ref, target, incident, one)
        record.began.append(one.starts_at)
        record.resolved = False
        record.changed()
        self._firing[record.name] = record
        self._ends_at(record, one.ends_at)
        for age in self._ages:
            # From then on it counts for no storm, though it may still fire.
            if one.ends_at is None or one.ends_at > one.starts_at + age:
                self._at(one.starts_at + age + _SECOND, _END, self._look_at_storm_soon)

    def _create(
        self, policy: NamedPolicy, ref: TargetReference, target: Target | None, incident: str, one: Occurrence
    ) -> Record:
        number = self._numbers[incident] = self._numbers.get(incident, 0) + 1
        name = remediation_name(one.labels.get("alertname", ""), incident, number)
        record = Record(name, policy, ref, target, incident, one, self._now, one.ends_at)
        self._records.append(record)
        self._newest[incident] = record
        others = self._of_target.setdefault(record.key, [])
        others[:] = [other for other in others if self._matters(other)]
        others.append(record)
        # Until then nothing is done, only refused: that it is so a moment later changes nothing else.
        self._look(record, self._now + SETTLE if policy.spec.guards.storm else self._now)
        return record

    def _matters(self, other: Record) -> bool:
        over = other.finished is not None and self._now - other.finished > self._needed
        return not (other.phase.terminal and other.resolved and over)

    def _ends_at(self, record: Record, moment: datetime | None) -> None:
        record.ends_at = moment
        record.ends += 1
        if moment is not None:
            self._at(moment, _END, partial(self._end, record, record.ends))

    def _end(self, record: Record, turn: int) -> None:
        if record.ends != turn:
            return
        record.resolved = True
        record.changed()
        del self._firing[record.name]
        self._quiet_since[record.key] = self._now
        self._look_at_storm_soon()
        if record.undecided:
            self._look(record, self._now)

    def _look(self, record: Record, moment: datetime) -> None:
        record.looks += 1
        self._at(moment, _LOOK, partial(self._decide, record, record.looks))

    def _decide(self, record: Record, turn: int) -> None:
        if record.looks != turn or not record.undecided:
            return
        self._in_storm.pop(record.name, None)
        decision, policy = decide(self._snapshot(record)), record.policy.spec
        if isinstance(decision, Wait):
            self._wait(record, decision)
            return
        record.waits(self._now, None)
        match decision:
            case Refuse(reason, message):
                record.tell(self._now, Kind.REFUSE, f"{reason}: {message}")
                self._finish(record, Phase.REFUSED, reason)
            case Cancel(reason, _):
                self._finish(record, Phase.CANCELLED, reason)
            case Act(plan) if observes(policy, self._now):
                record.tell(self._now, Kind.OBSERVE, short(plan))
                self._finish(record, Phase.OBSERVED, Reason.OBSERVE_MODE)
            case Act(plan):
                self._act(record, plan)

    def _snapshot(self, record: Record) -> Snapshot:
        policy, target = record.policy.spec, record.target
        siblings = [other.sibling for other in self._of_target[record.key] if other is not record]
        if policy.guards.storm is not None and not record.resolved:
            siblings += [other.sibling for other in self._firing.values() if other.key != record.key]
        action = policy.actions[record.step]
        record.alert = record.alert or reference(record.occurrence)
        return Snapshot(
            now=self._now,
            name=record.name,
            alert=record.alert,
            resolved=record.resolved,
            target_ref=record.target_ref,
            policy=policy,
            target=target.as_seen(action) if target else None,
            job=target.job(self._now) if target else None,
            siblings=tuple(siblings),
            progress=record.progress,
            created=record.created,
            incident=record.incident,
            labels=record.labels,
        )

    def _wait(self, record: Record, wait: Wait) -> None:
        asked = wait.reason is Reason.APPROVAL_REQUIRED
        if asked and (record.approval_requested is None or record.proposal != wait.proposal):
            record.approval_requested = self._now
            record.tell(self._now, Kind.ASK, wait.message)
        record.proposal = wait.proposal or record.proposal
        record.phase = Phase.AWAITING_APPROVAL if asked else Phase.PENDING
        record.reason = wait.reason
        if record.waits(self._now, wait.reason) and not asked:
            record.tell(self._now, Kind.WAIT, f"{wait.reason}: {wait.message}")
        record.changed()
        if wait.reason is Reason.STORM:
            self._in_storm[record.name] = record
        self._look(record, at_the_latest(record, wait, self._now))

    def _look_at_storm_soon(self) -> None:
        """Look at the end of the minute: in a storm, alerts end by the hundred."""
        if not self._in_storm or self._storm_is_looked_at is not None:
            return
        self._storm_is_looked_at = self._now.replace(second=0, microsecond=0) + _MINUTE
        self._at(self._storm_is_looked_at, _LOOK, self._look_at_storm)

    def _look_at_storm(self) -> None:
        """Let those look for whom the storm is over, by the count that the guard goes by; it is the same for all with
        the same limits."""
        self._storm_is_looked_at = None
        fires = [(r.occurrence.starts_at, r.key) for r in self._firing.values() if r.target is not None]
        over: dict[tuple[Storm, timedelta], bool] = {}
        for record in list(self._in_storm.values()):
            guards = record.policy.spec.guards
            assert guards.storm is not None  # its guard made the record wait
            limits = (guards.storm, guards.max_alert_age)
            if limits not in over:
                count = most_at_once(fires, guards.storm.per, self._now - guards.max_alert_age)
                over[limits] = count <= guards.storm.max_targets
            if over[limits]:
                self._look(record, self._now)

    def _act(self, record: Record, plan: Plan) -> None:
        assert record.target is not None
        record.tell(self._now, Kind.ACT, short(plan))
        record.phase, record.reason = Phase.VERIFYING, Reason.PATCHED
        record.actions = (*record.actions, self._now)
        record.proposal, record.approval_requested = "", None
        record.changed()
        record.target.apply(plan.patch)
        expected = expect(self._assumed, record.policy.spec, plan, self._now, record.ends_at)
        if expected.alert_ends is not None:
            self._alert_ends(record, expected.alert_ends)
        self._at(expected.at, _END, partial(self._verified, record, plan, expected))
        self._let_others_look(record)

    def _alert_ends(self, record: Record, moment: datetime) -> None:
        """Let an alert end earlier than in history, for all policies that answer it."""
        for other in self._of_target[record.key]:
            same = other.occurrence.fingerprint == record.occurrence.fingerprint and not other.resolved
            if same and (other.ends_at is None or moment < other.ends_at):
                self._ends_at(other, moment)

    def _verified(self, record: Record, plan: Plan, expected: Expected) -> None:
        policy = record.policy.spec
        if expected.helped:
            record.outlasted = not self._assumed.helps and not record.resolved
            self._finish(record, Phase.SUCCEEDED, Reason.VERIFIED)
            if plan.action is ActionType.SCALE and policy.revert.after is not None:
                after = policy.revert.after
                self._at(self._now + after.quiet_for, _LOOK, partial(self._scale_back, record, plan, after))
        elif plan.action is ActionType.SCALE and policy.revert.on_ineffective:
            assert record.target is not None
            record.tell(self._now, Kind.BACK, f"to {plan.parallelism_before}: it did not help")
            record.target.apply(plan.inverse)
            self._at(self._now + self._assumed.takes, _END, partial(self._next_rung, record, Reason.REVERTED))
        else:
            self._next_rung(record, Reason.VERIFICATION_TIMEOUT)

    def _next_rung(self, record: Record, reason: Reason) -> None:
        if record.step + 1 >= len(record.policy.spec.actions):
            self._finish(record, Phase.INEFFECTIVE, reason)
            return
        record.step += 1
        record.phase, record.reason = Phase.PENDING, Reason.NEXT_ACTION
        record.changed()
        self._look(record, self._now)

    def _finish(self, record: Record, phase: Phase, reason: Reason) -> None:
        # As in the controller: that the ladder ends early does not hide that something was done and did not help.
        early = phase is not Phase.SUCCEEDED and record.actions and reason is not Reason.ALERT_RESOLVED
        record.phase, record.reason = Phase.INEFFECTIVE if early else phase, reason
        record.finished, record.alert = self._now, None
        record.changed()
        self._let_others_look(record)

    def _let_others_look(self, record: Record) -> None:
        for other in self._of_target[record.key]:
            if other is not record and other.undecided and other.waiting is not None:
                self._look(other, self._now)

    def _scale_back(self, record: Record, plan: Plan, after: RevertAfter) -> None:
        """Take a scale back that is not needed any more: history does not tell whether the query of ``revert.after``
        would have held, so the target counts as quiet while none of its alerts fires."""
        target = record.target
        assert target is not None
        if target.deployment.annotations.get(PLAN_ANNOTATION) != plan.id:
            return
        quiet = self._quiet_since.get(record.key, self._now) + after.quiet_for
        busy = any(not other.resolved or not other.phase.terminal for other in self._of_target[record.key])
        not_yet = busy or quiet > self._now or observes(record.policy.spec, self._now)
        objection = None if not_yet else first_objection(self._snapshot(record), SCALE_BACK_CHAIN)
        if isinstance(objection, Refuse):
            return
        if not_yet or objection is not None:
            again = max(quiet, self._now + _TRY_SCALE_BACK_AGAIN)
            self._at(again, _LOOK, partial(self._scale_back, record, plan, after))
            return
        record.tell(self._now, Kind.BACK, f"to {plan.parallelism_before}: not needed any more")
        target.apply(plan.inverse)
        record.finished = self._now
        record.changed()
        self._let_others_look(record)
