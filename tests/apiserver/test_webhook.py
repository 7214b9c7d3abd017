"""The real receiver, as a process of its own, in front of a real API server: every answer of the webhook's contract."""

import secrets
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from remediator.api.names import RESOLVED_ANNOTATION

from apiserver.conftest import Install
from apiserver.control_plane import ControlPlane
from apiserver.installation import TOKEN, Installation, Receiver
from apiserver.world import Job, World, eventually

webhook = World.webhook


@pytest.fixture(scope="module")
def house(install: Install) -> Installation:
    """A namespace for all of these tests."""
    return install()


@pytest.fixture(scope="module")
def receiver(house: Installation) -> Receiver:
    """A running receiver."""
    return house.receiver()


@pytest.fixture
def client(receiver: Receiver) -> httpx.Client:
    """A client that carries the receiver's token."""
    return receiver.client


@pytest.fixture
def job(house: Installation) -> Job:
    """A job of the test's own."""
    return house.world.add(f"job-{secrets.token_hex(4)}")


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", f"Basic {TOKEN}", f"bearer {TOKEN}x"])
def test_401_without_the_token(receiver: Receiver, job: Job, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    url = f"http://127.0.0.1:{receiver.port}/alerts"
    answer = httpx.post(url, json=webhook(job.alert()), headers=headers)
    assert answer.status_code == 401
    assert "bearer token" in answer.json()["error"]
    assert not job.remediations()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"not json", "Invalid JSON"),
        (b"[]", "not a version 4 webhook"),
        (b'{"version": "3", "groupKey": "", "alerts": []}', "version"),
        (b'{"version": "4", "groupKey": ""}', "alerts"),
    ],
)
def test_400_for_what_is_no_webhook(client: httpx.Client, body: bytes, words: str) -> None:
    answer = client.post("/alerts", content=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_413_past_the_size_limit(client: httpx.Client, job: Job) -> None:
    answer = client.post("/alerts", json=webhook(job.alert(annotations={"description": "x" * 2 * 1024 * 1024})))
    assert answer.status_code == 413
    assert "error" in answer.json()


def test_bad_alerts_do_not_drop_the_good_ones(receiver: Receiver, job: Job) -> None:
    bad: list[Any] = [{"status": "firing"}, "nonsense", job.alert(startsAt="yesterday"), job.alert(labels={})]
    receipt = receiver.send(*bad, job.alert())
    assert len(receipt["invalid"]) == 4
    assert "alerts[0]: labels" in receipt["invalid"][0]
    assert [job.remediation()["metadata"]["name"]] == receipt["created"]


def test_a_record_holds_what_the_alert_said(receiver: Receiver, job: Job) -> None:
    receiver.send(job.alert(annotations={"summary": "lag"}))
    remediation = job.remediation()
    spec = remediation["spec"]
    assert remediation["metadata"]["name"].startswith("high-kafka-lag-")
    assert spec["target"]["name"] == job.name
    assert spec["target"]["uid"] == job.target()["metadata"]["uid"]
    assert spec["alert"]["labels"]["consumergroup"] == job.name
    assert spec["alert"]["annotations"] == {"summary": "lag"}


def test_a_repeat_is_a_no_op_whatever_start_it_tells(receiver: Receiver, job: Job) -> None:
    first = receiver.send(job.alert())
    assert receiver.send(job.alert())["existing"] == first["created"]
    assert receiver.send(job.alert(startsAt="2026-03-01T04:00:00Z"))["existing"] == first["created"]
    assert len(job.remediations()) == 1


def test_a_resolved_alert_is_noted_on_its_record(receiver: Receiver, job: Job) -> None:
    created = receiver.send(job.alert())["created"]
    ended = datetime.now(UTC).isoformat(timespec="milliseconds")
    assert receiver.send(job.alert(status="resolved", endsAt=ended))["resolved"] == created
    assert job.remediation()["metadata"]["annotations"][RESOLVED_ANNOTATION] == ended


@pytest.mark.parametrize("labels", [{"consumergroup": "nobody"}, {"namespace": "kube-system"}, {"namespace": ""}])
def test_an_alert_without_a_target_still_gets_its_record(receiver: Receiver, job: Job, labels: dict[str, str]) -> None:
    alert = job.alert()
    alert["labels"] |= labels
    (created,) = receiver.send(alert)["created"]
    (remediation,) = [r for r in job.world.remediations() if r["metadata"]["name"] == created]
    assert remediation["spec"]["target"].get("uid", "") == ""


def test_an_alert_nobody_answers_makes_no_record(receiver: Receiver, job: Job) -> None:
    receipt = receiver.send(job.alert(labels={"alertname": "SomethingElse"}))
    assert (receipt["unmatched"], receipt["created"]) == (1, [])


def test_503_while_the_api_server_is_down_and_nothing_is_lost(
    receiver: Receiver, client: httpx.Client, job: Job, plane: ControlPlane
) -> None:
    notification = webhook(job.alert())
    plane.stop_api_server()
    try:
        answer = client.post("/alerts", json=notification)
        assert answer.status_code == 503
        assert "send it again" in answer.json()["error"]
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
    finally:
        plane.start_api_server()
    retried = eventually(lambda: (answer := client.post("/alerts", json=notification)).is_success and answer)
    assert [job.remediation()["metadata"]["name"]] == retried.json()["created"]


def test_the_token_may_change_while_it_runs(receiver: Receiver, client: httpx.Client) -> None:
    receiver.token_file.write_text("another")
    try:
        assert client.post("/alerts", json=webhook()).status_code == 401
        headers = {"Authorization": "Bearer another"}
        assert client.post("/alerts", json=webhook(), headers=headers).status_code == 200
    finally:
        receiver.token_file.write_text(TOKEN)
    assert client.post("/alerts", json=webhook()).status_code == 200
