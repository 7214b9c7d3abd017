"""The remediator on a real etcd and kube-apiserver, next to what it could cost at least.

Alert to patch next to a create and a patch, and next to a hook that runs ``kubectl patch``; a burst; alerts made
durable per second next to bare creates; memory, start-up and the event loop beside many records. BENCH_QUICK=1 takes
less of all.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from apiserver.accounts import Chart
from apiserver.conftest import define
from apiserver.control_plane import ControlPlane, control_plane
from apiserver.installation import Installation, Process, installed
from apiserver.world import FLINK_DEPLOYMENT_CRD, REMEDIATION, Job, Resource, eventually
from cluster import tools
from remediator.api.crds import definitions

from bench import load
from bench.outside import prompt_outside

QUICK = bool(os.environ.get("BENCH_QUICK"))
FINISHED = [0, 300] if QUICK else [0, 1000, 10_000]
OPEN, TARGETS = (50, 100) if QUICK else (500, 1000)
ALERTS = 15 if QUICK else 30
BURST = 50 if QUICK else 500
SECONDS = 10 if QUICK else 60
# Neither others' trouble nor what was done before keeps a job from its remedy here.
GUARDS = {"cooldown": "0s", "budget": [], "storm": None}
NAMES = ["latency", "burst", "ingest", "footprint"]

Report = Callable[[str], None]


def usage(process: Process) -> tuple[float, float]:
    """Return the resident memory in MiB and the CPU seconds used so far."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return kilobytes / 1024, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(process: Process, seconds: float) -> Resource:
    """Return memory (MiB) and CPU (thousandths of a core) of a process over some seconds."""
    _, before = usage(process)
    time.sleep(seconds)
    memory, after = usage(process)
    return {"rss_mib": round(memory, 1), "cpu_millicores": round((after - before) / seconds * 1000, 1)}


def leading(installation: Installation) -> Process:
    """Start a controller and wait until it acts."""
    controller = installation.controller(history_limit=100_000)
    eventually(lambda: controller.probe("/readyz") == 200 and controller.metric("remediator_lease_held") == 1)
    return controller


def loop_pauses(process: Process) -> float:
    """Return the upper bound, in seconds, of the longest pause of an event loop so far."""
    name = "remediator_event_loop_lag_seconds_bucket"
    bounds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]
    total = process.metric("remediator_event_loop_lag_seconds_count")
    return next((b for b in bounds if process.metric(f'{name}{{le="{b}"}}') >= total), float("inf"))


def spread(milliseconds: list[float]) -> Resource:
    """Return the median and the 99th percentile, in milliseconds."""
    ordered = sorted(milliseconds)
    return {
        "p50_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1),
    }


def alert_to_patch(installation: Installation, names: Iterator[int]) -> list[float]:
    """Return milliseconds from the moment at which an alert is posted to the accepted patch, one after the other."""
    world = installation.world
    receiver = next(p for p in installation.processes if hasattr(p, "send") and p.exit_code is None)
    waits = []
    for _ in range(ALERTS):
        job = world.add(f"job-{next(names)}", guards=GUARDS, actions=load.ACTIONS)
        time.sleep(0.2)  # the watches hear of the job, as they have of one that has run for a while
        posted = datetime.now(UTC)
        (name,) = receiver.send(job.alert())["created"]  # type: ignore[attr-defined]
        record = partial(world.get, world.path(REMEDIATION, load.RECORDS, name))
        times = eventually(lambda record=record: _succeeded(record()))
        waits.append((datetime.fromisoformat(times["patched"]) - posted).total_seconds() * 1000)
    return waits


def _succeeded(record: Resource) -> Resource | None:
    """Return the times of a record, once it has succeeded. Only this one is read: a list of 10,000 takes the API server
    seconds."""
    status: Resource = record.get("status") or {}
    return status["times"] if status.get("phase") == "Succeeded" else None


def floor(installation: Installation, model: Resource) -> list[float]:
    """Return milliseconds of a create and a patch in sequence, by the same client as the bench's."""
    world, job = installation.world, installation.world.job
    waits = []
    for number in range(ALERTS):
        body = load.copy_of(model, f"floor-{number}")
        began = time.monotonic()
        world.client.post(world.path(REMEDIATION, "flinkremediations"), json=body).raise_for_status()
        world.merge(job.path, {"metadata": {"annotations": {"floor": str(number)}}})
        waits.append((time.monotonic() - began) * 1000)
    return waits


def hook(plane: ControlPlane, job: Job) -> list[float]:
    """Return milliseconds that ``kubectl patch`` takes, as a webhook's shell script would run it."""
    waits = []
    for number in range(ALERTS):
        began = time.monotonic()
        patch = f'{{"metadata":{{"annotations":{{"hook":"{number}"}}}}}}'
        target = ["flinkdeployments", job.name, f"--namespace={job.world.namespace}"]
        plane.kubectl("patch", *target, "--type=merge", f"--patch={patch}")
        waits.append((time.monotonic() - began) * 1000)
    return waits


def latency(plane: ControlPlane, installation: Installation, report: Report) -> Resource:
    """Alert to patch beside ever more finished records, the floor and the hook in the same run."""
    names = count()
    receiver, controller = installation.receiver(), leading(installation)
    found: Resource = {}
    made, model = 0, None
    for records in FINISHED:
        if records:
            controller.terminate()
            model = model or installation.world.remediations()[0]
            report(f"making {records} finished records ...")
            load.fill(installation, model, range(made, records))
            made = records
            controller = leading(installation)
        report(f"from an alert to its patch beside {records} finished records ...")
        found[f"beside_{records}"] = spread(alert_to_patch(installation, names))
    controller.terminate()
    receiver.terminate()
    assert model is not None
    found["floor"] = spread(floor(installation, model))
    found["kubectl_patch_hook"] = spread(hook(plane, installation.world.job))
    least, most = found["beside_0"]["p50_ms"], found[f"beside_{FINISHED[-1]}"]["p50_ms"]
    return {
        **found,
        "p50_by_floor": round(least / found["floor"]["p50_ms"], 2),
        "p50_with_most_records_by_p50_with_none": round(most / least, 2),
        "hook_by_ours_p50": round(found["kubectl_patch_hook"]["p50_ms"] / least, 2),
    }


def footprint(installation: Installation, report: Report) -> Resource:
    """Memory, start-up and the event loop beside many records, in work and finished, and many FlinkDeployments."""
    world = installation.world
    receiver, controller = installation.receiver(), leading(installation)
    idle = {"receiver": watch(receiver, SECONDS), "controller": watch(controller, SECONDS)}
    receiver.send(world.job.alert())
    world.job.reached("Succeeded")
    eventually(lambda: "remediation.streaming-monitoring.dev/ended" in world.job.remediation()["metadata"]["labels"])
    controller.terminate()
    report(f"making {TARGETS} FlinkDeployments and {FINISHED[-1]} finished records ...")
    load.add_targets(installation, "many", TARGETS)
    load.fill(installation, world.job.remediation(), range(FINISHED[-1]))
    load.add_policy(installation, "paused", {**GUARDS, "pauseRequests": ["bench"]}, match="many-")
    report(f"{OPEN} more that wait ...")
    for first in range(0, OPEN, 50):
        receiver.send(*(load.alert(installation, f"many-{n}") for n in range(first, min(first + 50, OPEN))))
    receiver.terminate()
    began = time.monotonic()
    controller = leading(installation)
    started = time.monotonic() - began
    eventually(lambda: load.paused(installation) == OPEN, 300)
    began = time.monotonic()
    receiver = installation.receiver()
    receiver_started = time.monotonic() - began
    report(f"both roles beside all of them for {SECONDS} s ...")
    found = {
        "idle": idle,
        "finished": FINISHED[-1],
        "open": OPEN,
        "flinkdeployments": TARGETS,
        "controller": {**watch(controller, SECONDS), "leads_after_s": round(started, 1)},
        "receiver": {**watch(receiver, SECONDS), "ready_after_s": round(receiver_started, 1)},
        "longest_event_loop_pause_s_at_most": loop_pauses(controller),
    }
    controller.terminate()
    receiver.terminate()
    return found


@contextmanager
def installations(folder: Path) -> Iterator[tuple[ControlPlane, Callable[[str], Any]]]:
    """Run a control plane, in which namespaces with the chart's accounts can be made."""
    found = tools.ensure(["etcd", "kube-apiserver"])
    with control_plane(found["etcd"], found["kube-apiserver"], folder) as plane:
        with plane.client() as client:
            for definition in (*definitions(), FLINK_DEPLOYMENT_CRD):
                define(client, definition)
        chart = Chart(folder / "chart")
        with prompt_outside(plane, NAMES) as stand_ins:
            yield plane, lambda name: installed(plane, chart, stand_ins, name, folder)


def run(report: Report) -> dict[str, Any]:
    """Measure all of it."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch, installations(Path(scratch)) as (plane, place):

        def burst(installation: Installation) -> Resource:
            report(f"{BURST} incidents at once ...")
            return load.burst(plane, installation, leading, BURST, GUARDS)

        parts: dict[str, Callable[[Installation], Resource]] = {
            "footprint": lambda installation: footprint(installation, report),
            "burst": burst,
            "latency": lambda installation: latency(plane, installation, report),
            "ingest": lambda installation: load.ingest(plane, installation, QUICK, report),
        }
        for name, measure in parts.items():
            with place(name) as installation:
                figures[name] = measure(installation)
            report(json.dumps({name: figures[name]}))
    return figures
