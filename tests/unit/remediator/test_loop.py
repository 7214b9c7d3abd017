"""The core under a loop like the controller's: alerts, crashes and other people's changes, in any order, for hours."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import jsonpatch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from remediator.api.names import PLAN_ANNOTATION
from remediator.api.reasons import Phase
from remediator.api.remediation import Plan
from remediator.core.decide import decide
from remediator.core.decision import Act, Cancel, Refuse
from remediator.core.flinkdeployment import parse
from remediator.core.patch import inverse_id
from remediator.core.snapshot import Progress, Sibling, Snapshot
from worlds import ALERT, NOW, TARGET, apply_json_patch, flink_resource, job, policy, taken_up

MAXIMUM = 8
BUDGET = {timedelta(hours=1): 2, timedelta(hours=6): 3}
POLICY = policy(
    actions=[{"type": "Scale", "scale": {"factor": 2, "max": MAXIMUM, "strategy": "Redeploy"}}, {"type": "Restart"}],
    guards={"cooldown": "5m", "budget": [{"max": 2, "per": "1h"}, {"max": 3, "per": "6h"}]},
)


@dataclass
class Record:
    """As much of a FlinkRemediation as the loop writes."""

    name: str
    created: datetime
    phase: Phase = Phase.PENDING
    step: int = 0
    attempts: list[datetime] = field(default_factory=list)
    finished: datetime | None = None
    plan: Plan | None = None

    def end(self, phase: Phase, now: datetime) -> None:
        self.phase, self.finished = phase, now


class Loop(RuleBasedStateMachine):
    """Rules are what may happen; a crash is that the rule which follows never does."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.resource = taken_up(flink_resource(flinkConfiguration={}))
        self.records: list[Record] = []
        self.applied: Counter[str] = Counter()
        self.begun: list[datetime] = []

    def _some(self, phase: Phase, index: int) -> Record | None:
        found = [r for r in self.records if r.phase is phase]
        return found[index % len(found)] if found else None

    @rule(minutes=st.integers(1, 90))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @precondition(lambda self: sum(not r.phase.terminal for r in self.records) < 3)
    @rule()
    def an_alert_fires(self) -> None:
        self.records.append(Record(f"r{len(self.records)}", self.now))

    @rule(index=st.integers(0, 2))
    def decide_and_write_the_plan(self, index: int) -> None:
        record = self._some(Phase.PENDING, index)
        if record is None:
            return
        decision = decide(self._snapshot(record))
        match decision:
            case Act(plan):
                # Only a plan that was written counts as begun; a crash before leaves nothing.
                record.plan, record.phase = plan, Phase.EXECUTING
                record.attempts.append(self.now)
                self.begun.append(self.now)
            case Refuse() | Cancel():
                record.end(Phase.INEFFECTIVE if record.attempts else Phase.REFUSED, self.now)

    @rule(index=st.integers(0, 2), crash=st.booleans())
    def patch(self, index: int, crash: bool) -> None:
        record = self._some(Phase.EXECUTING, index)
        if record is None:
            return
        assert record.plan is not None
        if self._annotation() != record.plan.id:
            try:
                self.resource = apply_json_patch(self.resource, record.plan.patch)
            except jsonpatch.JsonPatchException:
                record.phase, record.plan = Phase.PENDING, None  # it counts: it may have been applied and taken back
                return
            self.applied[record.plan.id] += 1
        if not crash:
            record.phase = Phase.VERIFYING

    @rule()
    def flinks_operator_takes_it_up(self) -> None:
        self.resource = taken_up(self.resource)

    @rule(parallelism=st.sampled_from([2, 4]), annotation_too=st.booleans())
    def somebody_puts_it_as_it_is_in_git(self, parallelism: int, annotation_too: bool) -> None:
        before = self.resource["spec"]
        spec = {**before, "job": {**before["job"], "parallelism": parallelism}}
        metadata = dict(self.resource["metadata"])
        if annotation_too:
            metadata["annotations"] = flink_resource()["metadata"]["annotations"]
        if spec != before:
            metadata["generation"] += 1
        self.resource = {**self.resource, "metadata": metadata, "spec": spec}

    @rule(index=st.integers(0, 2), helped=st.booleans())
    def verify(self, index: int, helped: bool) -> None:
        record = self._some(Phase.VERIFYING, index)
        if record is None:
            return None
        assert record.plan is not None
        if helped:
            return record.end(Phase.SUCCEEDED, self.now)
        if record.plan.inverse and self._annotation() != inverse_id(record.plan.id):
            try:
                self.resource = apply_json_patch(self.resource, record.plan.inverse)
            except jsonpatch.JsonPatchException:
                return record.end(Phase.OVERRIDDEN, self.now)
            assert parse(self.resource).parallelism == record.plan.parallelism_before
        record.step += 1
        if record.step == len(POLICY.actions):
            return record.end(Phase.INEFFECTIVE, self.now)
        record.phase = Phase.PENDING
        return None

    @invariant()
    def no_plan_is_carried_out_twice(self) -> None:
        assert all(count == 1 for count in self.applied.values())

    @invariant()
    def the_budget_is_kept(self) -> None:
        for period, allowed in BUDGET.items():
            for moment in self.begun:
                assert sum(moment - period < other <= moment for other in self.begun) <= allowed

    @invariant()
    def the_bounds_are_kept(self) -> None:
        assert 2 <= self.resource["spec"]["job"]["parallelism"] <= MAXIMUM

    @invariant()
    def one_is_in_flight_at_most(self) -> None:
        assert sum(r.phase in (Phase.EXECUTING, Phase.VERIFYING) for r in self.records) <= 1

    def _annotation(self) -> str | None:
        value: str | None = self.resource["metadata"]["annotations"].get(PLAN_ANNOTATION)
        return value

    def _snapshot(self, record: Record) -> Snapshot:
        target = parse(self.resource)
        others: list[Any] = [
            Sibling(r.name, TARGET, r.phase, r.created, tuple(r.attempts), r.finished)
            for r in self.records
            if r is not record
        ]
        return Snapshot(
            now=self.now,
            name=record.name,
            alert=ALERT.model_copy(update={"starts_at": record.created}),
            resolved=False,
            target_ref=TARGET,
            policy=POLICY,
            target=target,
            job=job(target.parallelism),
            siblings=tuple(others),
            progress=Progress(record.step, tuple(record.attempts)),
        )


Loop.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestLoop = Loop.TestCase
