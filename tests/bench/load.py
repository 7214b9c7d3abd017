"""Many records, FlinkDeployments and alerts at once, and the same writes without the remediator."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import count

import aiohttp
from apiserver.control_plane import ControlPlane
from apiserver.installation import Installation, Process, Receiver
from apiserver.world import FLINK, REMEDIATION, SCALE, Resource, eventually
from remediator.api.names import RESOLVED_ANNOTATION, RESOLVED_LABEL, TARGET_LABEL
from remediator.api.remediation import TargetReference
from remediator.core.naming import target_hash
from worlds import flink_resource

from bench.outside import PromptOutside

# None is diagnosed before it is scaled: how long that takes is up to its JobManager.
ACTIONS = [{**SCALE, "findings": {"forbid": []}}]
CONCURRENT = 32
ROUNDS = 3
RECORDS, JOBS = "flinkremediations", "flinkdeployments"


def copy_of(model: Resource, name: str, target: TargetReference | None = None) -> Resource:
    """Return a new FlinkRemediation like another one, whose alert is over."""
    labels, spec = {**model["metadata"]["labels"], RESOLVED_LABEL: "true"}, model["spec"]
    if target is not None:
        labels[TARGET_LABEL], spec = target_hash(target), {**spec, "target": target.model_dump()}
    annotations = {RESOLVED_ANNOTATION: "2026-01-01T00:00:00.000Z"}
    metadata = {"name": name, "labels": labels, "annotations": annotations}
    return {"apiVersion": model["apiVersion"], "kind": model["kind"], "metadata": metadata, "spec": spec}


def fill(installation: Installation, model: Resource, numbers: Iterable[int]) -> None:
    """Make records of remediations that have ended: copies of one that really did."""
    world = installation.world
    path = world.path(REMEDIATION, RECORDS)

    def copy(number: int) -> None:
        target = TargetReference(namespace=world.namespace, name=f"old-{number % 50}", uid=f"uid-{number % 50}")
        made = world.client.post(path, json=copy_of(model, f"record-{number}", target)).raise_for_status().json()
        made["status"] = model["status"]
        world.client.put(f"{path}/record-{number}/status", json=made).raise_for_status()

    with ThreadPoolExecutor(CONCURRENT) as pool:
        list(pool.map(copy, numbers))


def add_targets(installation: Installation, prefix: str, number: int) -> None:
    """Make healthy FlinkDeployments, each with a consumer group of its own name."""
    world = installation.world

    def add(index: int) -> None:
        target = flink_resource()
        status = {**target.pop("status"), "observedGeneration": 1}
        name, labels = f"{prefix}-{index}", target["metadata"]["labels"]
        groups = {"streaming-monitoring.dev/consumer-groups": name}
        target["metadata"] = {"name": name, "labels": labels, "annotations": groups}
        world.client.post(world.path(FLINK, JOBS), json=target).raise_for_status()
        world.merge(f"{world.path(FLINK, JOBS, name)}/status", {"status": status})

    with ThreadPoolExecutor(CONCURRENT) as pool:
        list(pool.map(add, range(number)))


def add_policy(installation: Installation, name: str, guards: Resource, match: str) -> None:
    """Make a policy that scales the jobs whose consumer groups begin with a text."""
    world = installation.world
    matchers = [
        {"label": "alertname", "value": "HighKafkaLag"},
        {"label": "consumergroup", "operator": "=~", "value": f"{match}.*"},
        {"label": "pipeline", "value": ""},
    ]
    spec = {
        "match": matchers,
        "target": {"consumerGroupLabel": "consumergroup"},
        "actions": ACTIONS,
        "guards": guards,
        "verify": {"query": "lag < 1000", "for": "0s"},
    }
    body = {"apiVersion": REMEDIATION, "kind": "FlinkRemediationPolicy", "metadata": {"name": name}, "spec": spec}
    world.client.post(world.path(REMEDIATION, "flinkremediationpolicies"), json=body).raise_for_status()


def alert(installation: Installation, name: str, fingerprint: str = "") -> Resource:
    """Return an alert about a job of ``add_targets``."""
    told = installation.world.job.alert(fingerprint=fingerprint or f"f-{name}")
    labels = {**told["labels"], "consumergroup": name}
    del labels["pipeline"]
    return {**told, "labels": labels}


def paused(installation: Installation) -> int:
    """Return how many records say that their policy is paused."""
    return sum((r.get("status") or {}).get("reason") == "Paused" for r in installation.world.remediations())


async def rate(send: Callable[[int], Awaitable[None]], number: int) -> float:
    """Return how many per second get through, with CONCURRENT under way."""
    numbers = iter(range(number))

    async def worker() -> None:
        for index in numbers:
            await send(index)

    began = time.monotonic()
    await asyncio.gather(*(worker() for _ in range(CONCURRENT)))
    return number / (time.monotonic() - began)


@asynccontextmanager
async def session(token: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Return a client with a bearer token."""
    connector = aiohttp.TCPConnector(limit=0, ssl=False)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers, connector=connector) as http:
        yield http


def burst(
    plane: ControlPlane,
    installation: Installation,
    leading: Callable[[Installation], Process],
    size: int,
    guards: Resource,
) -> Resource:
    """Measure how long incidents on as many targets take to be patched, next to the writes alone: a create, a status
    and a patch for each."""
    world = installation.world
    add_targets(installation, "burst", size)
    add_policy(installation, "burst", guards, "burst-")
    receiver, controller = installation.receiver(), leading(installation)
    time.sleep(3)
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        bodies = [range(first, min(first + 50, size)) for first in range(0, size, 50)]
        list(pool.map(lambda numbers: receiver.send(*(alert(installation, f"burst-{n}") for n in numbers)), bodies))
    outside = installation.outside
    assert isinstance(outside, PromptOutside)
    # Whoever asked the API server for all of them, again and again, would burden it.
    eventually(lambda: outside.patched(world.namespace) == size, 300)
    ours = time.monotonic() - began
    controller.terminate()
    receiver.terminate()
    model = world.remediations()[0]
    records = f"https://127.0.0.1:{plane.port}{world.path(REMEDIATION, RECORDS)}"
    jobs = f"https://127.0.0.1:{plane.port}{world.path(FLINK, JOBS)}"

    async def bare() -> float:
        async with (
            session(installation.account("receiver").token) as maker,
            session(installation.account("controller").token) as actor,
        ):

            async def one(index: int) -> None:
                async with maker.post(records, json=copy_of(model, f"bare-{index}")) as answer:
                    made = await answer.json()
                made["status"] = model["status"]
                async with actor.put(f"{records}/bare-{index}/status", json=made) as answer:
                    assert answer.ok, await answer.text()
                body = {"spec": {"flinkConfiguration": {"bench": str(index)}}}
                headers = {"Content-Type": "application/merge-patch+json"}
                async with actor.patch(f"{jobs}/burst-{index}", json=body, headers=headers) as answer:
                    assert answer.ok, await answer.text()

            return size / await rate(one, size)

    least = asyncio.run(bare())
    return {
        "incidents": size,
        "seconds": round(ours, 2),
        "bare_s": round(least, 2),
        "bare_by_ours": round(least / ours, 2),
    }


def ingest(plane: ControlPlane, installation: Installation, quick: bool, report: Callable[[str], None]) -> Resource:
    """Compare alerts through the receiver with bare creates of the same objects, in turns."""
    world = installation.world
    receiver = installation.receiver()
    receiver.send(world.job.alert(fingerprint="model"))
    model = world.remediations()[0]
    figures: Resource = {}
    add_policy(installation, "few", {"storm": None}, "few-")
    add_targets(installation, "few", 1)
    for targets, policies in ((1, 5), (100, 10)) if quick else ((1, 5), (1000, 50)):
        if targets > 1:
            add_targets(installation, "more", targets)
        for number in range(len(list(_policies(installation))), policies):
            add_policy(installation, f"other-{number}", {"storm": None}, f"other-{number}-")
        time.sleep(3)
        report(f"alerts per second with {targets} FlinkDeployments and {policies} policies ...")
        found = asyncio.run(_ingest(plane, installation, receiver, model, 200 if quick else 1000))
        figures[f"flinkdeployments_{targets}_policies_{policies}"] = found
    receiver.terminate()
    return figures


def _policies(installation: Installation) -> list[Resource]:
    items: list[Resource] = installation.world.get(installation.world.path(REMEDIATION, "flinkremediationpolicies"))[
        "items"
    ]
    return items


_fresh = count()


async def _ingest(
    plane: ControlPlane, installation: Installation, receiver: Receiver, model: Resource, alerts: int
) -> Resource:
    world = installation.world
    url = f"https://127.0.0.1:{plane.port}{world.path(REMEDIATION, RECORDS)}"
    found: dict[str, list[float]] = {"bare": [], "1": [], "10": [], "100": []}
    labels = model["metadata"]["labels"]
    answers: list[int] = []
    async with session(installation.account("receiver").token) as api, aiohttp.ClientSession() as http:

        async def bare(_: int) -> None:
            body = {k: model[k] for k in ("apiVersion", "kind", "spec")}
            body["metadata"] = {"name": f"bare-{next(_fresh)}", "labels": labels}
            async with api.post(url, json=body) as answer:
                answer.raise_for_status()
                await answer.read()

        async def through(size: int) -> None:
            alerts = [alert(installation, "few-0", f"n-{next(_fresh)}") for _ in range(size)]
            where = f"http://127.0.0.1:{receiver.port}/alerts"
            bearer = {"Authorization": receiver.client.headers["Authorization"]}
            status = 503
            while status == 503:  # as Alertmanager does, send it again
                async with http.post(where, json=world.webhook(*alerts), headers=bearer) as answer:
                    status, receipt = answer.status, await answer.json()
                    answers.append(status)
            assert len(receipt["created"]) + len(receipt["existing"]) == size, receipt

        for _ in range(ROUNDS):
            found["bare"].append(await rate(bare, alerts))
            for size in (1, 10, 100):

                async def send(_: int, size: int = size) -> None:
                    await through(size)

                found[str(size)].append(size * await rate(send, max(alerts // size, 1)))
    best = {key: statistics.median(values) for key, values in found.items()}
    shares = {f"share_of_bare_{size}_a_body": round(best[size] / best["bare"], 2) for size in ("1", "10", "100")}
    again = {"notifications_sent_again": answers.count(503)}
    return {"bare_creates_per_second": round(best["bare"], 1), **shares, **again}
