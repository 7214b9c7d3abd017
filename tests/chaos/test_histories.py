"""Histories that nobody thought of: notices, repeats, restarts, edits, failures and crashes in any order.

The model is what happens to the alert and to the job; the services are the real ones. HISTORIES says how many are
played, SEED which; a failing one is printed as the steps that lead to it.
"""

import asyncio
import os
from collections import Counter
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from remediator.adapters.kube import FLINK_DEPLOYMENTS, POLICIES, REMEDIATIONS, KubeError, Resource, Unavailable
from services.api_server import Request
from services.world import JOB, World, alert, annotations, at, notify, phase
from worlds import NOW

HISTORIES = int(os.environ.get("HISTORIES", "2000"))
SEED = int(os.environ.get("SEED", "20260301"))
MAXIMUM = 8
PLAN = "remediation.streaming-monitoring.dev/plan"
SCALE = {"type": "Scale", "scale": {"factor": 2, "max": MAXIMUM}, "timeout": "1m"}
RESTORE = {"type": "Restore", "restore": {"maxCheckpointAge": "30m"}, "timeout": "1m"}
LADDERS = [
    [SCALE],
    [SCALE, RESTORE],
    [RESTORE],
    [{**SCALE, "scale": {**SCALE["scale"], "strategy": "Redeploy"}}, SCALE],
]
GUARDS = {"cooldown": "30s", "budget": [], "storm": {"maxTargets": 1000, "per": "10m"}}
ENDED = {"Succeeded", "Ineffective", "Failed", "Refused", "Observed", "Cancelled", "Overridden"}
CONTROLLER = "streaming-monitoring-remediator"


class Crash(BaseException):
    """The process that sent a request is gone."""


class Histories(RuleBasedStateMachine):
    """One job, one alert, two Prometheus 15 s apart, two Alertmanagers, two receivers, one controller at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.world = World(alertmanagers=2)
        self.world.change_policy(actions=LADDERS[0], guards=GUARDS, verify=self.verify())
        self.world.server.after = self.note
        self.receivers = [self.world.ingest(f"receiver-{n}") for n in range(2)]
        self.resyncs = [self.world.resync(f"receiver-{n}") for n in range(2)]
        self.controller = self.world.controller()
        self.firing = False
        self.begun = 0.0
        self.sent: list[Resource] = []
        """What the Alertmanagers have said of this incident."""
        self.told = False
        """Whether somebody has acknowledged this incident."""
        self.incidents = self.acknowledged = 0
        self.patches: Counter[str] = Counter()
        self.ran: dict[str, int] = {}

    def teardown(self) -> None:
        """Whatever happened, once all is well again every record ends."""
        self.runner.run(self.heal())
        self.runner.close()

    # The alert.

    @precondition(lambda self: not self.firing and self.settled())
    @rule(later=st.integers(1, 600))
    def it_begins(self, later: int) -> None:
        self.world.now += timedelta(seconds=later)
        self.firing, self.begun, self.told, self.sent = True, self.seconds(), False, []
        self.incidents += 1

    @precondition(lambda self: self.firing)
    @rule(receiver=st.integers(0, 1), source=st.integers(0, 1))
    def it_is_told(self, receiver: int, source: int) -> None:
        told = alert(startsAt=at(self.begun + 15 * source))
        self.world.alertmanagers.tell(told, receiver)
        self.send(receiver, told)

    @precondition(lambda self: self.sent)
    @rule(receiver=st.integers(0, 1), index=st.integers(0, 99))
    def a_twin_repeats(self, receiver: int, index: int) -> None:
        self.send(receiver, self.sent[index % len(self.sent)])

    @precondition(lambda self: self.firing and self.told)
    @rule(receiver=st.integers(0, 1))
    def alertmanager_gives_it_up_too_early(self, receiver: int) -> None:
        self.send(receiver, alert(status="resolved", startsAt=at(self.begun), endsAt=at(self.seconds())))

    @precondition(lambda self: self.firing and self.told)
    @rule(receiver=st.integers(0, 1))
    def it_ends(self, receiver: int) -> None:
        self.firing = False
        self.world.alertmanagers.forget(f"f-{JOB}")
        self.send(receiver, alert(status="resolved", startsAt=at(self.begun), endsAt=at(self.seconds())))

    @rule(receiver=st.integers(0, 1))
    def alertmanager_is_compared(self, receiver: int) -> None:
        known = any(replica.alerts for replica in self.world.alertmanagers.replicas)
        self.runner.run(self.resyncs[receiver].run())
        if self.firing and known and self.world.records():
            self.acknowledge()

    # The remediator and what it needs.

    @rule(seconds=st.sampled_from([0, 3, 15, 90]))
    def time_passes(self, seconds: int) -> None:
        self.runner.run(self.work(timedelta(seconds=seconds)))

    @rule(writes=st.integers(0, 3), taken=st.booleans(), error=st.sampled_from([Crash, Unavailable]))
    def a_write_fails(self, writes: int, taken: bool, error: type[BaseException]) -> None:
        """The controller meets it at its next writes, before or after the API server took the request."""

        async def fail(request: Request) -> None:
            nonlocal writes
            if request.writes and request.by == CONTROLLER and request.kind in (FLINK_DEPLOYMENTS, REMEDIATIONS):
                writes -= 1
                if writes < 0:
                    raise error("no answer")

        async def note_and_fail(request: Request) -> None:
            await self.note(request)
            await fail(request)

        server = self.world.server
        if taken:
            server.after = note_and_fail
        else:
            server.before = fail
        try:
            self.runner.run(self.work(timedelta(seconds=10)))
        except Crash:
            self.controller = self.world.controller()
        finally:
            server.before, server.after = _at_once, self.note

    @rule(late=st.booleans())
    def the_watches_are_late(self, late: bool) -> None:
        self.world.late = late

    @rule()
    def everything_is_restarted(self) -> None:
        self.controller = self.world.controller()
        self.receivers = [self.world.ingest(f"receiver-{n}") for n in range(2)]
        self.resyncs = [self.world.resync(f"receiver-{n}") for n in range(2)]

    @rule(idle=st.booleans(), unreachable=st.booleans(), helps=st.booleans(), slots=st.sampled_from([3, 1000]))
    def the_job_changes(self, idle: bool, unreachable: bool, helps: bool, slots: int) -> None:
        flink = self.world.flink
        flink.idle, flink.unreachable, flink.slots = {JOB} if idle else set(), {JOB} if unreachable else set(), slots
        self.world.prometheus.answers = _holds if helps else _fails

    # People.

    @rule(parallelism=st.integers(1, 6))
    def the_owner_scales(self, parallelism: int) -> None:
        self.world.change(FLINK_DEPLOYMENTS, JOB, lambda target: target["spec"]["job"].update(parallelism=parallelism))

    @rule(allowed=st.booleans())
    def the_owner_allows_it(self, allowed: bool) -> None:
        label = {"remediation.streaming-monitoring.dev/enabled": str(allowed).lower()}
        self.world.change(FLINK_DEPLOYMENTS, JOB, lambda target: target["metadata"]["labels"].update(label))

    @rule(ladder=st.sampled_from(LADDERS), mode=st.sampled_from(["Act", "Act", "Observe"]), paused=st.booleans())
    def the_policy_is_edited(self, ladder: list[Any], mode: str, paused: bool) -> None:
        guards = {**GUARDS, "pauseRequests": ["maintenance"] if paused else []}
        self.world.change_policy(actions=ladder, mode=mode, guards=guards, verify=self.verify())

    # What must hold.

    @invariant()
    def there_is_one_record_for_each_incident(self) -> None:
        assert self.acknowledged <= len(self.world.records()) <= self.incidents

    @invariant()
    def no_plan_is_carried_out_twice(self) -> None:
        assert all(count == 1 for count in self.patches.values()), self.patches

    async def note(self, request: Request) -> None:
        """Look at what a patch of ours has made of the job."""
        target = self.world.target()
        runs = self.world.flink.parallelism(target)
        plan = (target["metadata"].get("annotations") or {}).get(PLAN, "")
        if request.by == CONTROLLER and request.kind == FLINK_DEPLOYMENTS and request.writes:
            self.patches[plan] += 1
            if not plan.endswith("-inverse"):
                lowered = {v: (self.ran[v], n) for v, n in runs.items() if n < self.ran[v]}
                assert not lowered, f"a plan has lowered {lowered}"
                raised = {v: n for v, n in runs.items() if n > max(self.ran[v], MAXIMUM)}
                assert not raised, f"a plan has raised {raised}"
        self.ran = runs

    async def heal(self) -> None:
        """Let all that is around be well and the alert end; then every record must end."""
        world = self.world
        world.server.before, world.server.after = _at_once, self.note
        world.late = False
        world.flink.idle, world.flink.unreachable, world.flink.slots = set(), set(), 1000
        world.prometheus.answers = _holds
        world.change(POLICIES, JOB, lambda policy: policy["spec"]["guards"].pop("pauseRequests", None))
        world.alertmanagers.forget(f"f-{JOB}")
        for _ in range(3):
            await self.resyncs[0].run()
            await self.controller.run(timedelta(minutes=3))
        left = [(r["metadata"]["name"], r.get("status")) for r in world.records() if phase(r) not in ENDED]
        assert not left, f"never ended: {left}"

    # Helpers.

    def settled(self) -> bool:
        """Whether the incident before has ended for everybody: only then is the next one another."""
        return all(phase(r) in ENDED and "resolved-at" in annotations(r) for r in self.world.records())

    def send(self, receiver: int, told: Resource) -> None:
        """Send a notice, as Alertmanager does; if it is acknowledged, there must be a record."""
        try:
            self.runner.run(notify(self.receivers[receiver], told))
        except KubeError:
            return
        self.sent.append(told)
        if told["status"] == "firing":
            self.acknowledge()

    def acknowledge(self) -> None:
        """Note that somebody was told that this incident is recorded."""
        if not self.told:
            self.told = True
            self.acknowledged += 1

    async def work(self, duration: timedelta) -> None:
        """Let the controller work for a while."""
        self.ran = self.world.flink.parallelism(self.world.target())
        await self.controller.run(duration)

    def seconds(self) -> float:
        """Return the seconds since the test's begin."""
        return (self.world.now - NOW).total_seconds()

    @staticmethod
    def verify() -> Resource:
        """Return a goal that is judged soon."""
        return {"query": "lag < 1000", "for": "0s", "timeout": "1m"}


def _holds(query: str) -> list[Any]:
    return [{"metric": {}, "value": [0, "5"]}]


def _fails(query: str) -> list[Any]:
    return []


async def _at_once(_: Request) -> None:
    """Let every request through."""


def test_histories() -> None:
    print(f"seed {SEED}, {HISTORIES} histories")
    played = settings(
        max_examples=HISTORIES,
        stateful_step_count=16,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(SEED)(Histories), settings=played)
