"""The remediator on a real API server.

Memory and CPU of both roles, idle and beside 1,000 records; alerts made durable per second next to bare creates of the
same objects, in turns; time from an alert to its patch.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from apiserver.accounts import Chart
from apiserver.conftest import define
from apiserver.control_plane import ControlPlane, control_plane
from apiserver.installation import Installation, Process, installed
from apiserver.outside import outside
from apiserver.world import FLINK_DEPLOYMENT_CRD, REMEDIATION, Resource, eventually
from cluster import tools
from remediator.api.crds import definitions
from remediator.api.names import TARGET_LABEL
from remediator.api.remediation import TargetReference
from remediator.core.naming import target_hash

RECORDS = 1000
WAITING = 20
CONCURRENT = 32
ALERTS = 1500
ROUNDS = 3
SECONDS = float(os.environ.get("BENCH_SECONDS", "60"))


def usage(process: Process) -> tuple[float, float]:
    """Return the resident memory in MiB and the CPU seconds used so far."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return kilobytes / 1024, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(processes: dict[str, Process], seconds: float) -> Resource:
    """Return memory (MiB) and CPU (thousandths of a core) of processes over some seconds."""
    before = {role: usage(process) for role, process in processes.items()}
    began = time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    result = {}
    for role, process in processes.items():
        memory, cpu = usage(process)
        result[role] = {
            "rss_mib": round(memory, 1),
            "cpu_millicores": round((cpu - before[role][1]) / passed * 1000, 1),
        }
    return result


def leading(installation: Installation) -> Process:
    """Start a controller with its defaults and wait until it acts."""
    controller = installation.controller()
    eventually(lambda: controller.probe("/readyz") == 200 and controller.metric("remediator_lease_held") == 1)
    return controller


def fill(installation: Installation, model: Resource) -> None:
    """Make records of remediations that have ended: copies of one that really did."""
    world = installation.world
    path = world.path(REMEDIATION, "flinkremediations")

    def copy(number: int) -> None:
        target = TargetReference(namespace=world.namespace, name=f"job-{number % 50}", uid=f"uid-{number % 50}")
        labels = {**model["metadata"]["labels"], TARGET_LABEL: target_hash(target)}
        body = {
            "apiVersion": model["apiVersion"],
            "kind": model["kind"],
            "metadata": {"name": f"record-{number}", "labels": labels},
            "spec": {**model["spec"], "target": target.model_dump()},
        }
        made = world.client.post(path, json=body).raise_for_status().json()
        made["status"] = model["status"]
        world.client.put(f"{path}/record-{number}/status", json=made).raise_for_status()

    with ThreadPoolExecutor(CONCURRENT) as pool:
        list(pool.map(copy, range(RECORDS)))


def footprint(installation: Installation, report: Callable[[str], None]) -> Resource:
    """Measure both roles idle, beside the records, and with some remediations waiting beside them."""
    receiver, controller = installation.receiver(), leading(installation)

    def measure(seconds: float = SECONDS) -> Resource:
        return watch({"receiver": receiver, "controller": controller}, seconds)

    time.sleep(5)
    report(f"idle for {SECONDS:.0f} s ...")
    result = {"idle": measure()}
    report(f"making {RECORDS} records ...")
    job = installation.world.job
    receiver.send(job.alert())
    job.reached("Succeeded")
    controller.terminate()
    fill(installation, job.remediation())
    controller = leading(installation)
    time.sleep(5)
    report(f"beside {RECORDS} records for {SECONDS:.0f} s ...")
    result["records"] = measure()
    for number in range(WAITING):
        job = installation.world.add(f"waiting-{number}", guards={"cooldown": "0s", "pauseRequests": ["bench"]})
        receiver.send(job.alert())
        job.reached("Pending", "Paused")
    report(f"{WAITING} of them waiting for {SECONDS:.0f} s ...")
    result["records_and_waiting"] = measure()
    controller.terminate()
    receiver.terminate()
    return result


async def rate(send: Callable[[int], Awaitable[None]], count: int) -> float:
    """Return how many per second get through, with CONCURRENT under way."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await send(number)

    began = time.monotonic()
    await asyncio.gather(*(worker() for _ in range(CONCURRENT)))
    return count / (time.monotonic() - began)


def throughput(plane: ControlPlane, installation: Installation) -> Resource:
    """Compare alerts through the receiver with bare creates of the same objects, in turns."""
    world, receiver = installation.world, installation.receiver()
    receiver.send(world.job.alert(fingerprint="model"))
    model = next(r for r in world.job.remediations() if r["spec"]["alert"]["fingerprint"] == "model")
    labels = model["metadata"]["labels"]
    url = f"https://127.0.0.1:{plane.port}{world.path(REMEDIATION, 'flinkremediations')}"
    token = installation.account("receiver").token
    fresh = iter(range(10**9))

    async def measure() -> Resource:
        found: dict[str, list[float]] = {"bare": [], "one": [], "ten": []}
        headers = {"Authorization": f"Bearer {token}"}
        connector = aiohttp.TCPConnector(limit=0, ssl=False)
        async with aiohttp.ClientSession(headers=headers, connector=connector) as api, aiohttp.ClientSession() as http:

            async def bare(_: int) -> None:
                body = {k: model[k] for k in ("apiVersion", "kind", "spec")}
                body["metadata"] = {"name": f"bare-{next(fresh)}", "labels": labels}
                async with api.post(url, json=body) as answer:
                    answer.raise_for_status()
                    await answer.read()

            async def through(size: int) -> None:
                alerts = [world.job.alert(fingerprint=f"n-{next(fresh)}") for _ in range(size)]
                where = f"http://127.0.0.1:{receiver.port}/alerts"
                bearer = {"Authorization": receiver.client.headers["Authorization"]}
                async with http.post(where, json=world.webhook(*alerts), headers=bearer) as answer:
                    assert len((await answer.json())["created"]) == size

            for _ in range(ROUNDS):
                found["bare"].append(await rate(bare, ALERTS))
                found["one"].append(await rate(lambda _: through(1), ALERTS))
                found["ten"].append(10 * await rate(lambda _: through(10), ALERTS // 10))
        return {key: round(statistics.median(values), 1) for key, values in found.items()}

    per_second = asyncio.run(measure())
    receiver.terminate()
    best = per_second["bare"]
    return {
        "bare_creates_per_second": best,
        "alerts_per_second": per_second["one"],
        "alerts_per_second_ten_a_body": per_second["ten"],
        "share_of_bare": round(per_second["one"] / best, 2),
        "share_of_bare_ten_a_body": round(per_second["ten"] / best, 2),
    }


def latency(installation: Installation) -> Resource:
    """Measure from the moment an alert is posted to the accepted patch, one after the other."""
    receiver, controller = installation.receiver(), leading(installation)
    waits = []
    for number in range(30):
        job = installation.world.add(f"latency-{number}")
        posted = datetime.now(UTC)
        receiver.send(job.alert())
        patched = datetime.fromisoformat(job.reached("Succeeded")["times"]["patched"])
        waits.append((patched - posted).total_seconds() * 1000)
    controller.terminate()
    receiver.terminate()
    return {"alert_to_patch_ms": {"median": round(statistics.median(waits), 1), "max": round(max(waits), 1)}}


@contextmanager
def installations(folder: Path) -> Iterator[tuple[ControlPlane, Callable[[str], Any]]]:
    found = tools.ensure(["etcd", "kube-apiserver"])
    with control_plane(found["etcd"], found["kube-apiserver"], folder) as plane, outside(plane) as stand_ins:
        with plane.client() as client:
            for definition in (*definitions(), FLINK_DEPLOYMENT_CRD):
                define(client, definition)
        chart = Chart(folder / "chart")
        yield plane, lambda name: installed(plane, chart, stand_ins, name, folder)


def run(report: Callable[[str], None]) -> dict[str, Any]:
    """Measure all of it."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch, installations(Path(scratch)) as (plane, place):
        with place("latency") as installation:
            report("from an alert to its patch ...")
            figures |= latency(installation)
        with place("throughput") as installation:
            report("alerts per second ...")
            figures |= throughput(plane, installation)
        with place("footprint") as installation:
            figures |= footprint(installation, report)
    return figures
