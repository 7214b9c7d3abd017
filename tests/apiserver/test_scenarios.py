"""Whole stories with the real receiver and the real controller: from the alert to the record of its end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from remediator.api.names import ENDED_LABEL
from remediator.core.configuration import OVERRIDES_KEY

from apiserver.conftest import Install
from apiserver.installation import Installation, Process, Receiver
from apiserver.outside import Outside
from apiserver.world import REMEDIATION, SCALE, Job, Resource, World, eventually

RESTORE: Resource = {"type": "Restore"}
RESTART: Resource = {"type": "Restart"}


class House:
    """A namespace in which both roles run."""

    def __init__(self, installation: Installation) -> None:
        self.world: World = installation.world
        self.outside: Outside = installation.outside
        self.receiver: Receiver = installation.receiver()
        self.controller: Process = installation.controller(sweep_period="1s")

    def incident(
        self,
        name: str,
        *,
        unmet: bool = False,
        lost: bool = False,
        slots: int = 0,
        alert: Resource | None = None,
        **policy: Any,
    ) -> Job:
        """Make a job and a policy, and fire its alert.

        ``unmet``: no query ever holds; ``lost``: Flink's operator will not find its state; ``slots``: it gets no more.
        """
        job = self.world.add(name, **policy)
        if unmet:
            self.outside.unmet.add(job.id)
        if lost:
            self.outside.metadata_lost.add(job.id)
        if slots:
            self.outside.slots[job.id] = slots
        self.receiver.send(job.alert(**(alert or {})))
        return job


@pytest.fixture(scope="module")
def house(install: Install) -> House:
    """A house for all of these tests."""
    return House(install())


def overrides(job: Job) -> str:
    return str(job.target()["spec"]["flinkConfiguration"].get(OVERRIDES_KEY, ""))


def reasons(status: Resource) -> list[str]:
    return [entry["reason"] for entry in status["timeline"]]


def in_order(some: list[str], all_of_them: list[str]) -> bool:
    rest = iter(all_of_them)
    return all(reason in rest for reason in some)


def test_an_alert_scales_the_job_and_all_that_belongs_to_it_is_written(house: House) -> None:
    job = house.incident("scale")
    status = job.reached("Succeeded", "Verified")
    assert status["action"] == "Scale 2 to 4"
    assert (status["before"]["parallelism"], status["after"]["parallelism"]) == (2, 4)
    assert [(c["type"], c["status"]) for c in status["conditions"]] == [("Complete", "True"), ("Succeeded", "True")]
    assert in_order(["Planned", "Patched", "Verified"], reasons(status))
    assert overrides(job) == "features:4,source:4"

    # What follows from the last write is finished, too.
    name = job.remediation()["metadata"]["name"]

    def told() -> set[tuple[str, str]]:
        mine = [e for e in house.world.events() if e["note"].startswith(name)]
        return {(e["regarding"]["kind"], e["reason"]) for e in mine}

    kinds = ("FlinkRemediation", "FlinkDeployment")
    eventually(lambda: told() == {(kind, reason) for kind in kinds for reason in reasons(status)})
    metadata = eventually(lambda: ENDED_LABEL in (found := job.remediation()["metadata"])["labels"] and found)
    assert "finalizers" not in metadata
    assert not [key for key in metadata.get("annotations") or {} if "kopf" in key]


def test_a_person_decides(house: House) -> None:
    jobs = {
        answer: house.incident(answer, guards={"approval": {"required": True, "timeout": timeout}})
        for answer, timeout in (("approved", "15m"), ("denied", "15m"), ("nothing", "1s"))
    }
    for job in jobs.values():
        status = job.reached("AwaitingApproval", "ApprovalRequired")
        assert f"approval=approved:{status['proposal']}" in status["message"], "says how"
        assert overrides(job) == ""
    jobs["approved"].answer_approval(f"approved:{jobs['approved'].status()['proposal']}")
    jobs["denied"].answer_approval("denied")
    jobs["approved"].reached("Succeeded")
    jobs["denied"].reached("Cancelled", "ApprovalDenied")
    jobs["nothing"].reached("Cancelled", "ApprovalExpired")
    assert [overrides(job) for job in jobs.values()] == ["features:4,source:4", "", ""]


def test_a_pause_holds_until_it_is_taken_back_or_the_alert_is_over(house: House) -> None:
    paused = {"pauseRequests": ["maintenance until noon"]}
    resumed, resolved = (house.incident(name, guards=paused) for name in ("resumed", "resolved"))
    for job in (resumed, resolved):
        assert "maintenance until noon" in job.reached("Pending", "Paused")["message"]
    resumed.change_policy({"guards": {"pauseRequests": []}})
    house.receiver.send(resolved.alert(status="resolved", endsAt=datetime.now(UTC).isoformat()))
    resumed.reached("Succeeded")
    resolved.reached("Cancelled", "AlertResolved")
    assert overrides(resolved) == ""


def test_a_job_whose_metadata_are_lost_starts_from_the_path_that_was_known_before(house: House) -> None:
    last_resort = {**RESTORE, "restore": {"allowSavepointRedeploy": True}}
    job = house.incident("lost", lost=True, actions=[last_resort])
    status = job.reached("Succeeded", "Verified")
    attempts = [(a["action"], a["reason"]) for a in status["attempts"]]
    assert attempts == [("Restore checkpoint 8", reason) for reason in ("ManualRestoreRequired", "Verified")]
    assert "type" not in status["attempts"][0]["message"], "in words, without the JSON around them"
    spec = job.target()["spec"]
    assert (spec["job"]["initialSavepointPath"], spec["job"]["savepointRedeployNonce"]) == (
        "file:/checkpoints/chk-8",
        1,
    )
    assert status["before"]["checkpoint"] == 8


def test_what_does_not_help_is_taken_back_and_the_next_rung_is_tried(house: House) -> None:
    # Long enough for the third slot to be seen in use on a busy machine.
    one = house.incident("ladder", slots=3, actions=[{**SCALE, "timeout": "20s"}, RESTORE])
    # Nothing helps against this one.
    other = house.incident("hopeless", unmet=True, actions=[SCALE, RESTART], verify=unmet_at_once())
    status = one.reached("Succeeded", "Verified")
    assert in_order(
        ["Planned", "Patched", "Reverting", "NextAction", "Planned", "Patched", "Verified"], reasons(status)
    )
    assert [a["action"] for a in status["attempts"]] == ["Scale 2 to 4", status["action"]]
    assert "runs at 3, not yet at 4" in status["attempts"][0]["message"]
    assert status["step"] == 1
    assert status["action"].startswith("Restore checkpoint")
    assert overrides(one) == "features:2,source:2"
    assert one.target()["spec"]["restartNonce"] == 1

    status = other.reached("Ineffective", "VerificationTimeout")
    assert [a["action"] for a in status["attempts"]] == ["Scale 2 to 4", "Restart"]
    assert [(c["type"], c["status"]) for c in status["conditions"]] == [("Complete", "True"), ("Succeeded", "False")]
    assert overrides(other) == "features:2,source:2"


def unmet_at_once() -> Resource:
    query = 'lag{job="{{ target.namespace }}/{{ target.name }}"} < 1000'
    return {"query": query, "for": "0s", "timeout": "0s"}


@pytest.mark.parametrize("manager", ["argocd-controller", "kubectl-edit"])
def test_who_takes_a_change_back_is_named(house: House, manager: str) -> None:
    job = house.incident(f"overridden-{manager}", unmet=True)
    job.reached("Verifying", "WaitingForQuery")
    # Its own value: of a field that is only removed, the API server remembers nobody.
    job.world.merge(job.path, {"spec": {"flinkConfiguration": {OVERRIDES_KEY: "features:2,source:2"}}}, manager)
    status = job.reached("Overridden", "ChangedByOthers")
    assert manager in status["message"]
    assert overrides(job) == "features:2,source:2", "nobody fights over it"


def test_limits_hold_across_a_restart(install: Install) -> None:
    installation = install()
    house = House(installation)
    budget = {"budget": [{"max": 1, "per": "1h"}], "storm": {"maxTargets": 2, "per": "1h"}}
    actions = [{"type": "Scale", "scale": {"factor": 2, "max": 16}}]
    first, second = (house.incident(name, guards=budget, actions=actions) for name in ("first", "second"))
    first.reached("Succeeded")
    second.reached("Succeeded")
    assert house.controller.terminate() == 0
    third = house.incident("third", guards=budget)
    house.receiver.send(first.alert(status="resolved"))
    again = first.alert(startsAt=(datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="milliseconds"))
    house.receiver.send(again)
    installation.controller()
    third.reached("Pending", "Storm")
    eventually(
        lambda: [r.get("status", {}).get("reason") for r in first.remediations()] == ["Verified", "BudgetExhausted"]
    )
    assert first.target()["metadata"]["generation"] == 2


def test_a_scale_that_helped_is_taken_back_after_a_quiet_time(house: House) -> None:
    query = 'lag{job="{{ target.namespace }}/{{ target.name }}"} < 100'
    job = house.incident("quiet", revert={"after": {"quietFor": "1s", "query": query}})
    status = job.reached("Succeeded", "ScaledBack")
    assert reasons(status)[-3:] == ["Verified", "ScalingBack", "ScaledBack"]
    assert overrides(job) == "features:2,source:2"
    assert status["times"]["scaledBack"] >= status["times"]["finished"]


def test_old_records_go_but_not_the_newest_and_not_those_that_may_fire_again(house: House) -> None:
    moments = [datetime.now(UTC) - timedelta(minutes=minutes) for minutes in (9, 8, 7)]
    alerts = [{"startsAt": m.isoformat(timespec="milliseconds"), "fingerprint": str(m)} for m in moments]
    job = house.incident("history", alert=alerts[0], historyLimit=1, ttl="0s")
    job.reached("Succeeded")
    still_firing = job.remediation()["metadata"]["name"]
    # There is nothing left to scale, so these two end at once; then their alerts are over.
    for alert in alerts[1:]:
        (name,) = house.receiver.send(job.alert(**alert))["created"]
        eventually(lambda name=name: reason_of(job, name) == "AlreadyAtMaximum")
        house.receiver.send(job.alert(**alert, status="resolved"))
    names = eventually(lambda: len(found := [r["metadata"]["name"] for r in job.remediations()]) == 2 and found)
    assert still_firing in names


def reason_of(job: Job, name: str) -> str:
    found = [r for r in job.remediations() if r["metadata"]["name"] == name]
    return str(found[0].get("status", {}).get("reason")) if found else "Deleted"


def test_one_that_is_deleted_in_flight_goes_at_once_and_holds_nobody_up(house: House) -> None:
    job = house.incident("deleted", unmet=True)
    job.reached("Verifying", "WaitingForQuery")
    path = job.world.path(REMEDIATION, "flinkremediations", job.remediation()["metadata"]["name"])
    job.world.client.delete(path).raise_for_status()
    assert not job.remediations()
    house.outside.unmet.discard(job.id)
    job.change_policy({"actions": [{"type": "Scale", "scale": {"parallelism": 6}}]})
    house.receiver.send(job.alert())
    assert job.reached("Succeeded")["action"] == "Scale 4 to 6"
