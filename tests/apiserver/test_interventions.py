"""A person approves, retries and cancels by annotations; the receiver, which faces the network, cannot."""

import httpx
import pytest
from remediator.api.names import APPROVAL_ANNOTATION, CANCEL_ANNOTATION, RETRY_ANNOTATION

from apiserver.conftest import Install
from apiserver.installation import Installation, Receiver
from apiserver.world import MERGE_PATCH, REMEDIATION, Job, Resource, eventually

GROUP = "remediation.streaming-monitoring.dev"


@pytest.fixture(scope="module")
def house(install: Install) -> Installation:
    """A namespace with a controller and a receiver."""
    house = install()
    house.controller(sweep_period="1s")
    return house


@pytest.fixture(scope="module")
def receiver(house: Installation) -> Receiver:
    """Its receiver."""
    return house.receiver()


@pytest.fixture(scope="module")
def account(house: Installation, receiver: Receiver) -> httpx.Client:
    """A client with the receiver's account, which the admission policy is in force for."""
    client = house.client("receiver")
    receiver.send(house.world.job.alert())
    path = house.world.path(REMEDIATION, "flinkremediations", house.world.job.remediation()["metadata"]["name"])
    body = {"metadata": {"annotations": {APPROVAL_ANNOTATION: "denied"}}}

    def refused() -> bool:  # the API server hears of the policy a moment later
        return client.patch(f"{path}?dryRun=All", json=body, headers=MERGE_PATCH).status_code == 422

    eventually(refused)
    return client


def path_of(job: Job) -> str:
    return job.world.path(REMEDIATION, "flinkremediations", job.remediation()["metadata"]["name"])


def patch(client: httpx.Client, job: Job, metadata: Resource) -> httpx.Response:
    return client.patch(path_of(job), json={"metadata": metadata}, headers=MERGE_PATCH)


@pytest.mark.parametrize("annotation", [APPROVAL_ANNOTATION, RETRY_ANNOTATION, CANCEL_ANNOTATION])
def test_the_receivers_account_speaks_for_nobody(house: Installation, account: httpx.Client, annotation: str) -> None:
    job = house.world.job
    answer = patch(account, job, {"annotations": {annotation: "approved:x"}})
    assert answer.status_code == 422
    assert "are for people, not for the receiver" in answer.json()["message"]
    job.annotate(annotation, "by a person")
    assert patch(account, job, {"annotations": {annotation: None}}).status_code == 422, "nor does it take it away"


def test_the_receivers_account_writes_its_own_marks_and_no_others(house: Installation, account: httpx.Client) -> None:
    job = house.world.job
    assert patch(account, job, {"annotations": {f"{GROUP}/silenced": "silence 1"}}).is_success
    assert patch(account, job, {"annotations": {f"{GROUP}/silenced": None}}).is_success
    for label in ("target", "policy", "incident"):
        assert patch(account, job, {"labels": {f"{GROUP}/{label}": "x"}}).is_success
    answer = patch(account, job, {"labels": {"team": "another"}})
    assert answer.status_code == 422
    assert "no others" in answer.json()["message"]
    name = {"name": "made", "annotations": {APPROVAL_ANNOTATION: "approved:x"}}
    record = {**{key: job.remediation()[key] for key in ("apiVersion", "kind", "spec")}, "metadata": name}
    created = account.post(house.world.path(REMEDIATION, "flinkremediations"), json=record)
    assert created.status_code == 422, created.text


def test_a_person_approves_a_plan_retries_and_cancels(house: Installation, receiver: Receiver) -> None:
    job = house.world.add("asked", guards={"approval": {"required": True, "timeout": "15m"}})
    receiver.send(job.alert())
    plan = job.reached("AwaitingApproval")["proposal"]
    job.annotate(CANCEL_ANNOTATION, "first this")
    status = job.reached("Cancelled", "CancelRequested")
    assert "Cancelled by kubectl-annotate (first this). Nothing was done." in status["message"]
    job.annotate(RETRY_ANNOTATION, "then that")
    assert job.reached("AwaitingApproval")["proposal"] == plan, "the same world, the same plan"
    job.annotate(APPROVAL_ANNOTATION, f"approved:{plan}")
    status = job.reached("Succeeded", "Verified")
    given = [(i["kind"], i["value"], i["manager"]) for i in status["interventions"]]
    assert given == [
        ("Cancel", "first this", "kubectl-annotate"),
        ("Retry", "then that", "kubectl-annotate"),
        ("Approval", f"approved:{plan}", "kubectl-annotate"),
    ]


def test_the_limit_on_targets_in_trouble_can_be_switched_off(house: Installation, receiver: Receiver) -> None:
    job = house.world.add("no-limit", guards={"storm": None})
    assert house.world.get(job.policy_path)["spec"]["guards"]["storm"] is None
    receiver.send(job.alert())
    assert "Settling" not in [entry["reason"] for entry in job.reached("Succeeded")["timeline"]]


def test_a_policy_shows_whether_it_is_ready(house: Installation, receiver: Receiver) -> None:
    job = house.world.add("shown", guards={"pauseRequests": ["so that it stays open"]})
    receiver.send(job.alert())
    eventually(lambda: (house.world.get(job.policy_path).get("status") or {}).get("open") == 1)
    status = house.world.get(job.policy_path)["status"]
    assert [(c["type"], c["status"], c["reason"]) for c in status["conditions"]] == [("Ready", "True", "Valid")]
    assert status["lastTriggered"] == job.remediation()["metadata"]["creationTimestamp"]
    table = house.world.client.get(
        job.policy_path, headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    ).json()
    columns = [column["name"] for column in table["columnDefinitions"]]
    row = dict(zip(columns, table["rows"][0]["cells"], strict=True))
    assert (row["Ready"], row["Open"]) == ("True", 1)
