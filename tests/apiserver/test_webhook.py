"""The real receiver, as a process of its own, in front of a real API server: every answer of the webhook's contract."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from apiserver.control_plane import ControlPlane, free_port
from apiserver.world import World, eventually

TOKEN = "the-right-token"


@pytest.fixture
def receiver(plane: ControlPlane, world: World, tmp_path: Path) -> Iterator[httpx.Client]:
    """A running receiver, and a client that carries its token."""
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    port = free_port()
    arguments = [
        f"--namespace={world.namespace}",
        f"--port={port}",
        f"--metrics-port={free_port()}",
        f"--token-file={token}",
        f"--kubeconfig={plane.kubeconfig}",
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "remediator", "receiver", *arguments], stdout=log, stderr=log, env={**os.environ}
        )
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        try:
            eventually(lambda: process.poll() is None and _ready(client))
            yield client
        finally:
            process.terminate()
            assert process.wait(timeout=20) == 0


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").is_success
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", f"Basic {TOKEN}", f"bearer {TOKEN}x"])
def test_401_without_the_token(receiver: httpx.Client, world: World, authorization: str | None) -> None:
    del receiver.headers["Authorization"]
    headers = {"Authorization": authorization} if authorization else {}
    answer = receiver.post("/alerts", json=world.webhook(world.alert()), headers=headers)
    assert answer.status_code == 401
    assert "bearer token" in answer.json()["error"]
    assert not world.remediations()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"not json", "Invalid JSON"),
        (b"[]", "not a version 4 webhook"),
        (b'{"version": "3", "groupKey": "", "alerts": []}', "version"),
        (b'{"version": "4", "groupKey": ""}', "alerts"),
    ],
)
def test_400_for_what_is_no_webhook(receiver: httpx.Client, body: bytes, words: str) -> None:
    answer = receiver.post("/alerts", content=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_413_past_the_size_limit(receiver: httpx.Client, world: World) -> None:
    padding = world.alert(annotations={"description": "x" * 2 * 1024 * 1024})
    answer = receiver.post("/alerts", json=world.webhook(padding))
    assert answer.status_code == 413
    assert "error" in answer.json()


def test_bad_alerts_do_not_drop_the_good_ones(receiver: httpx.Client, world: World) -> None:
    bad: list[Any] = [{"status": "firing"}, "nonsense", world.alert(startsAt="yesterday"), world.alert(labels={})]
    answer = receiver.post("/alerts", json=world.webhook(*bad, world.alert()))
    assert answer.status_code == 200
    receipt = answer.json()
    assert len(receipt["invalid"]) == 4
    assert "alerts[0]: labels" in receipt["invalid"][0]
    assert [r["metadata"]["name"] for r in world.remediations()] == receipt["created"]


def test_a_record_holds_what_the_alert_said(receiver: httpx.Client, world: World) -> None:
    receiver.post("/alerts", json=world.webhook(world.alert(annotations={"summary": "lag"})))
    (remediation,) = world.remediations()
    spec = remediation["spec"]
    assert remediation["metadata"]["name"].startswith("high-kafka-lag-")
    assert spec["target"]["name"] == "ml-recommender"
    assert spec["target"]["uid"] == world.target()["metadata"]["uid"]
    assert spec["alert"]["labels"]["consumergroup"] == "ml-recommender"
    assert spec["alert"]["annotations"] == {"summary": "lag"}


def test_a_repeat_is_a_no_op_and_a_new_occurrence_is_not(receiver: httpx.Client, world: World) -> None:
    first = receiver.post("/alerts", json=world.webhook(world.alert())).json()
    again = receiver.post("/alerts", json=world.webhook(world.alert())).json()
    assert again["existing"] == first["created"]
    later = receiver.post("/alerts", json=world.webhook(world.alert(startsAt="2026-03-01T04:00:00Z"))).json()
    assert later["created"] != first["created"]
    assert len(world.remediations()) == 2


def test_a_resolved_alert_is_noted_on_its_record(receiver: httpx.Client, world: World) -> None:
    created = receiver.post("/alerts", json=world.webhook(world.alert())).json()["created"]
    over = world.alert(status="resolved", endsAt="2026-03-01T03:10:00Z")
    assert receiver.post("/alerts", json=world.webhook(over)).json()["resolved"] == created
    (remediation,) = world.remediations()
    annotations = remediation["metadata"]["annotations"]
    assert annotations["remediation.streaming-monitoring.dev/resolved-at"] == "2026-03-01T03:10:00+00:00"


@pytest.mark.parametrize("labels", [{"consumergroup": "nobody"}, {"namespace": "kube-system"}, {"namespace": ""}])
def test_an_alert_without_a_target_still_gets_its_record(
    receiver: httpx.Client, world: World, labels: dict[str, str]
) -> None:
    alert = world.alert()
    alert["labels"] |= labels
    assert len(receiver.post("/alerts", json=world.webhook(alert)).json()["created"]) == 1
    (remediation,) = world.remediations()
    assert remediation["spec"]["target"].get("uid", "") == ""


def test_an_alert_nobody_answers_makes_no_record(receiver: httpx.Client, world: World) -> None:
    alert = world.alert(labels={"alertname": "SomethingElse"})
    assert receiver.post("/alerts", json=world.webhook(alert)).json()["unmatched"] == 1
    assert not world.remediations()


def test_503_while_the_api_server_is_down_and_nothing_is_lost(
    receiver: httpx.Client, world: World, plane: ControlPlane
) -> None:
    notification = world.webhook(world.alert())
    plane.stop_api_server()
    try:
        answer = receiver.post("/alerts", json=notification)
        assert answer.status_code == 503
        assert "send it again" in answer.json()["error"]
        assert receiver.get("/readyz").status_code == 503
        assert receiver.get("/healthz").status_code == 200
    finally:
        plane.start_api_server()
    retried = eventually(lambda: (answer := receiver.post("/alerts", json=notification)).is_success and answer)
    assert [r["metadata"]["name"] for r in world.remediations()] == retried.json()["created"]


def test_the_token_may_change_while_it_runs(receiver: httpx.Client, world: World, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("another")
    assert receiver.post("/alerts", json=world.webhook()).status_code == 401
    receiver.headers["Authorization"] = "Bearer another"
    assert receiver.post("/alerts", json=world.webhook()).status_code == 200
