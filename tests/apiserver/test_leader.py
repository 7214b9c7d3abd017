"""Two controllers, one Lease: one acts at a time, and nothing is lost or done twice when the other takes over."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime

import pytest
from remediator.adapters.leader import DURATION

from apiserver.control_plane import ControlPlane
from apiserver.gateway import Gateway, gateway
from apiserver.installation import Installation, Process, Receiver
from apiserver.world import World, eventually

LEASE = "streaming-monitoring-remediator-controller"
JOBS = 6


class Pair:
    """Two controllers, each with a gateway of its own that sees what it writes; the first one leads."""

    def __init__(self, installation: Installation, gateways: tuple[Gateway, Gateway]) -> None:
        self.gateways = gateways
        self.first = installation.controller(gateways[0].url, sweep_period="1s")
        eventually(lambda: leads(self.first))
        self.second = installation.controller(gateways[1].url, sweep_period="1s")
        eventually(lambda: self.second.probe("/readyz") == 200)


@pytest.fixture
def pair(plane: ControlPlane, installation: Installation) -> Iterator[Pair]:
    with ExitStack() as stack:
        one, other = (stack.enter_context(gateway(plane)) for _ in range(2))
        yield Pair(installation, (one, other))


def leads(process: Process) -> bool:
    return process.probe("/healthz") == 200 and process.metric("remediator_lease_held") == 1


def holder(world: World) -> str:
    return str(world.leases()[LEASE]["spec"]["holderIdentity"])


def test_the_one_in_waiting_is_well_and_does_nothing(pair: Pair, receiver: Receiver, world: World) -> None:
    assert (pair.second.probe("/healthz"), pair.second.probe("/readyz")) == (200, 200)
    receiver.send(world.job.alert())
    world.job.reached("Succeeded")
    assert pair.second.metric("remediator_lease_held") == 0
    assert not pair.gateways[1].writes


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_the_other_takes_over_and_nothing_is_lost_or_done_twice(
    pair: Pair, installation: Installation, receiver: Receiver, world: World, how: str
) -> None:
    jobs = [world.add(f"job-{n}") for n in range(JOBS)]
    for job in jobs[: JOBS // 2]:
        receiver.send(job.alert())
    # Some are patched, none has ended: verification looks again after three seconds.
    eventually(lambda: pair.gateways[0].patches)
    before = holder(world)
    transitions = world.leases()[LEASE]["spec"]["leaseTransitions"]

    asked = time.monotonic()
    if how == "terminate":
        assert pair.first.terminate() == 0
        assert holder(world) != before, "it is handed over, it does not expire"
    else:
        pair.first.kill()
    for job in jobs[JOBS // 2 :]:
        receiver.send(job.alert())
    eventually(lambda: holder(world) not in ("", before))
    print(f"handover by {how}: {time.monotonic() - asked:.1f} s, the Lease expires after {DURATION:.0f} s")

    for job in jobs:
        job.reached("Succeeded")
        assert job.target()["metadata"]["generation"] == 2, "patched once"
    one, other = pair.gateways
    assert len(one.patches) + len(other.patches) == JOBS
    assert max(w.at for w in one.writes) < min(w.at for w in other.writes), "never both"
    assert world.leases()[LEASE]["spec"]["leaseTransitions"] == transitions + 1
    for job in jobs:
        moments = [datetime.fromisoformat(e["time"]) for e in job.status()["timeline"]]
        assert moments == sorted(moments)


def test_who_cannot_renew_stops_before_another_may_start(pair: Pair, receiver: Receiver, world: World) -> None:
    before = holder(world)
    pair.gateways[0].unreachable = True
    receiver.send(world.job.alert())
    eventually(lambda: holder(world) != before)
    assert pair.first.exit_code == 1 or not leads(pair.first)
    world.job.reached("Succeeded")
    assert not pair.gateways[0].patches
    assert eventually(lambda: pair.first.exit_code is not None)
    assert pair.first.exit_code == 1
    assert "lease lost" in pair.first.log()
