"""Each finding is made of a job that has it and of none that has not, by what JobManager REST and Prometheus answer."""

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from remediator.adapters.flink_metrics import FlinkMetrics, root_cause, to_spreads
from remediator.adapters.flink_rest import to_job
from remediator.adapters.prometheus import Prometheus
from remediator.api.diagnosis import Diagnosis, FindingType
from remediator.core.diagnosis import diagnose, summary
from remediator.core.readings import FlinkReadings, Readings, Spread, VertexReading
from remediator.core.snapshot import Job
from remediator.services.diagnose import FRESH, Diagnoser
from services import outside
from services.outside import Load, job_manager
from worlds import NOW, target

SOURCE, WORK, SINK = "a" * 32, "b" * 32, "c" * 32
CORES = 0.6  # of two TaskManagers with 0.3 each


def details(parallelism: int = 2) -> dict[str, Any]:
    """What ``/jobs/ID`` answers about a job of three vertices."""
    names = {SOURCE: "Source: events", WORK: "feature_extractor", SINK: "Sink: predictions"}
    before = {WORK: SOURCE, SINK: WORK}
    nodes: list[dict[str, Any]] = [{"id": v, "parallelism": parallelism, "description": n} for v, n in names.items()]
    for node in nodes:
        if node["id"] in before:
            node["inputs"] = [{"num": 0, "id": before[node["id"]], "ship_strategy": "REBALANCE"}]
    return {
        "jid": "d" * 32,
        "state": "RUNNING",
        "vertices": [
            {"id": v, "name": n, "parallelism": parallelism, "maxParallelism": 128, "status": "RUNNING"}
            for v, n in names.items()
        ],
        "plan": {"jid": "d" * 32, "name": "ml-recommender", "type": "STREAMING", "nodes": nodes},
    }


def checkpoints(milliseconds: int) -> dict[str, Any]:
    """What ``/jobs/ID/checkpoints`` answers."""
    latest = {"id": 7, "latest_ack_timestamp": int(NOW.timestamp() * 1000), "end_to_end_duration": milliseconds}
    return {"counts": {"completed": 7}, "latest": {"completed": {**latest, "external_path": "file:/chk-7"}}}


def overloaded(**changes: Any) -> Load:
    """The example job under too much load: its feature store answers slowly."""
    base = Load(
        {
            SOURCE: {"busy": (90, 110), "idle": (0, 10), "pressed": (880, 900), "in": (0, 0), "out": (330, 336)},
            WORK: {"busy": (985, 992), "idle": (8, 15), "pressed": (0, 0), "in": (330, 336), "out": (330, 336)},
            SINK: {"busy": (20, 30), "idle": (970, 980), "pressed": (0, 0), "in": (330, 336), "out": (0, 0)},
        }
    )
    return replace(base, **changes)


async def look(
    load: Load,
    lags: dict[str, float] | None = None,
    cpu: float | None = 0.12,
    checkpoint: int = 400,
    parallelism: int = 2,
    **numbers: float,
) -> Diagnosis:
    """Diagnose a job by answers of JobManager REST and Prometheus; ``cpu`` in cores of all TaskManagers."""
    job = to_job(details(parallelism), checkpoints(checkpoint))
    stats = {"task_managers": 2.0, "input_rate": 800.0, "consumed_rate": 666.0, **numbers}
    records = {SOURCE: 521.0, WORK: 1042.0}
    if cpu is not None:
        stats["jvm_cpu"] = cpu
    told = lags if lags is not None else {str(n): 1200.0 + 10 * n for n in range(4)}
    diagnoser = _diagnoser(httpx.MockTransport(job_manager(load)), stats, told, records)
    found = await diagnoser.diagnose(_target(), job, {})
    assert found is not None
    return found


def _target() -> Any:
    return target(taskManager={"resource": {"cpu": CORES / 2, "memory": "1g"}})


def _diagnoser(
    transport: Any,
    stats: dict[str, float],
    lags: dict[str, float],
    records: dict[str, float] | None = None,
    **changes: Any,
) -> Diagnoser:
    def answer(query: str) -> Any:
        if query.startswith("label_replace"):
            jobs = [{"metric": {"stat": stat}, "value": [0, str(value)]} for stat, value in stats.items()]
            vertices = [
                {"metric": {"stat": "records", "task_id": vertex}, "value": [0, str(value)]}
                for vertex, value in (records or {}).items()
            ]
            return jobs + vertices
        return [
            {"metric": {"topic": "events", "partition": partition}, "value": [0, str(lag)]}
            for partition, lag in lags.items()
        ]

    standin = outside.Prometheus()
    standin.answers = answer
    prometheus = Prometheus("http://prometheus")
    prometheus._connection._session.mount("http://prometheus/api/", standin)
    flink = FlinkMetrics(httpx.AsyncClient(transport=transport), "http://flink/{namespace}/{name}", pause=0)
    return Diagnoser(flink, prometheus, lambda: NOW, **changes)


def types(diagnosis: Diagnosis) -> list[str]:
    return [str(finding.type) for finding in diagnosis.findings]


async def test_a_busy_vertex_on_idle_cpus_waits_outside_and_the_words_name_the_cause() -> None:
    found = await look(overloaded())
    assert (found.main, found.bottleneck, types(found)) == ("WaitsOutside", "feature_extractor", ["WaitsOutside"])
    assert summary(found) == (
        "Seen: WaitsOutside. feature_extractor is busy 992 ms of each second, but the TaskManagers use 0.12 of 0.60 "
        "CPU cores, 0.05 for each busy subtask: it waits for something outside, such as a slow store, which is the "
        "cause. More subtasks wait side by side, and load it more."
    )
    (_, work, sink) = found.vertices
    assert (work.records_before, sink.records_before) == (1042, None)
    assert (work.busy, work.busiest, work.idle, work.back_pressured) == (988.5, 992, 11.5, 0)
    assert work.records_in == 666
    assert work.watermark_lag == 4
    assert (found.backlog, found.partitions, found.input_rate, found.consumed_rate) == (4860, 4, 800, 666)
    assert (found.cpu_used, found.cpu_limit, found.heap, found.garbage) == (0.12, 0.6, 0.5, 0.02)
    assert found.missing == ()


async def test_a_busy_vertex_at_the_cpus_limit_is_bound_by_it() -> None:
    assert types(await look(overloaded(), cpu=0.58)) == ["CpuBound"]


async def test_one_thread_that_computes_on_many_cores_is_bound_by_the_cpu() -> None:
    load = overloaded()
    load.vertices[SOURCE] |= {"busy": (0, 0), "pressed": (990, 990)}
    found = await look(load, cpu=0.95, parallelism=1)  # of 0.6, to which nobody holds it
    assert types(found) == ["CpuBound"]


async def test_between_the_two_nothing_is_said_of_the_cpu() -> None:
    found = await look(overloaded(), cpu=0.4)
    assert (types(found), found.bottleneck) == ([], "feature_extractor")


@pytest.mark.parametrize(("load", "expected"), [(0.97, ["CpuBound"]), (0.1, [])])
async def test_the_jvms_own_cpu_load_shows_a_busy_one_and_no_idle_one(load: float, expected: list[str]) -> None:
    found = await look(overloaded(cpu_load=load), cpu=None)
    assert types(found) == expected
    assert "CPU use" in found.missing


async def test_the_containers_cpu_counts_before_the_jvms() -> None:
    assert types(await look(overloaded(), cpu=0.05, container_cpu=0.6)) == ["CpuBound"]


async def test_a_subtask_that_does_the_others_work_is_skew() -> None:
    load = overloaded()
    load.vertices[WORK] |= {"busy": (100, 995), "in": (20, 640)}
    found = await look(load, cpu=0.4, parallelism=4)
    assert types(found) == ["Skewed"]
    assert "One subtask of feature_extractor is busy 995 ms/s, the average of 4 548" in found.findings[0].message


async def test_a_backlog_in_one_partition_is_a_hot_partition() -> None:
    found = await look(overloaded(), lags={"0": 40, "1": 90_000, "2": 30, "3": 20})
    assert found.main == "HotPartition"
    assert "100% of the backlog of 90,090 messages is in events/1, one of 4 partitions" in found.findings[0].message


async def test_partitions_without_a_commit_are_partitions_without_a_lag() -> None:
    """As the exporter tells of those into which nobody has written yet."""
    found = await look(overloaded(), lags={"0": 90_000, **{str(n): -1 for n in range(1, 8)}})
    assert (found.backlog, found.partitions) == (90_000, 8)
    assert types(found) == ["HotPartition", "WaitsOutside"]
    assert "100% of the backlog of 90,000 messages is in events/0, one of 8 partitions" in found.findings[0].message
    nothing = await look(overloaded(), lags={"0": -1, "1": -1})
    assert (nothing.backlog, nothing.partitions, types(nothing)) == (None, 2, ["WaitsOutside"])


@pytest.mark.parametrize(
    "lags",
    [{"0": 900, "1": 1100}, {"0": 300, "1": 500, "2": 600}, {"0": 3, "1": 60}, {"0": 9000}],
    ids=["two", "three", "no backlog", "one"],
)
async def test_an_even_or_small_backlog_and_a_single_partition_are_none(lags: dict[str, float]) -> None:
    assert FindingType.HOT_PARTITION not in types(await look(overloaded(), lags=lags, parallelism=1))


async def test_fewer_partitions_than_subtasks_are_found_where_the_source_is_what_limits() -> None:
    load, lags = overloaded(), {"0": 5000.0, "1": 5100.0}
    load.vertices[SOURCE] |= {"busy": (0, 990), "pressed": (0, 0), "idle": (10, 1000)}
    load.vertices[WORK] |= {"busy": (10, 20), "idle": (980, 990)}
    found = await look(load, lags=lags, parallelism=4)
    assert found.main == "FewerPartitionsThanSubtasks"
    assert found.findings[0].message.startswith(
        "The topics have 2 partitions and the source 4 subtasks: 2 of them read"
    )
    behind = await look(overloaded(), lags=lags, parallelism=4)
    assert (behind.bottleneck, behind.main) == ("feature_extractor", "WaitsOutside")


async def test_a_task_manager_that_collects_garbage_does_not_wait_outside() -> None:
    found = await look(overloaded(garbage=450.0, heap=(900, 1000)))
    assert types(found) == ["Garbage"]
    assert "450 ms of each second on garbage collection with 90% of its heap in use" in found.findings[0].message


async def test_a_checkpoint_of_most_of_the_interval_is_found_unless_backpressure_made_it_long() -> None:
    assert types(await look(overloaded(), cpu=0.4, checkpoint=8000)) == ["CheckpointBound"]
    assert types(await look(overloaded(start_delay=7.0), cpu=0.4, checkpoint=8000)) == []
    assert types(await look(overloaded(), cpu=0.4, checkpoint=4000)) == []


async def test_an_idle_source_with_a_backlog_is_bound_by_what_it_reads() -> None:
    load = overloaded()
    for vertex in load.vertices.values():
        vertex.update({"busy": (50, 80), "idle": (920, 950), "pressed": (0, 0)})
    found = await look(load)
    assert (types(found), found.bottleneck) == (["SourceBound"], "")
    assert types(await look(load, lags={"0": 5, "1": 7})) == []


async def test_where_flink_does_not_measure_busy_time_it_is_what_is_left_of_the_second() -> None:
    load = overloaded()
    for vertex in load.vertices.values():
        vertex["busy"] = (float("nan"), float("nan"))
    found = await look(load)
    assert (found.main, found.bottleneck) == ("WaitsOutside", "feature_extractor")


async def test_versions_before_1_19_lack_the_time_of_garbage_collection_and_nothing_else() -> None:
    found = await look(overloaded(garbage=None))
    assert found.main == "WaitsOutside"
    assert found.missing == ("garbage collection",)


async def test_the_root_cause_of_the_last_failure_is_told() -> None:
    trace = (
        "org.apache.flink.runtime.JobException: Recovery is suppressed\n\tat org.apache.flink.X.y(X.java:1)\n"
        "Caused by: java.lang.RuntimeException: lookup\n\t... 5 more\n"
        "Caused by: java.net.SocketTimeoutException: redis:6379 did not answer\n\t... 9 more\n"
    )
    found = await look(overloaded(failures=(trace, "older")))
    assert found.exception == "java.net.SocketTimeoutException: redis:6379 did not answer"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        "x",
        1,
        {"exceptionHistory": None},
        {"exceptionHistory": {"entries": [None]}},
        {"root-exception": 1},
    ],
)
def test_answers_of_another_form_tell_nothing(answer: Any) -> None:
    assert root_cause(answer) == ""
    assert to_spreads(answer) == {}


async def test_who_answers_nothing_or_something_else_leaves_a_diagnosis_that_says_so() -> None:
    job = to_job(details(), checkpoints(400))
    answers: list[Any] = [
        httpx.MockTransport(lambda _: httpx.Response(500)),
        httpx.MockTransport(lambda _: httpx.Response(200, json={"jid": "x"})),
        httpx.MockTransport(lambda _: httpx.Response(200, content=b"<html>")),
    ]
    for transport in answers:
        found = await _diagnoser(transport, {}, {}).diagnose(_target(), job, {})
        assert found is not None
        assert (found.findings, found.bottleneck) == ((), "")
        assert found.missing


async def test_a_slow_job_manager_and_a_slow_prometheus_are_not_waited_for() -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    class Slow(outside.Prometheus):
        asked = 0

        def send(self, *args: Any, **kwargs: Any) -> Any:
            Slow.asked += 1
            time.sleep(1)
            return super().send(*args, **kwargs)

    job, now = to_job(details(), checkpoints(400)), NOW
    diagnoser = _diagnoser(httpx.MockTransport(never), {}, {}, limit=0.1)
    diagnoser._clock = lambda: now
    diagnoser._prometheus._connection._session.mount("http://prometheus/api/", Slow())
    async with asyncio.timeout(30):
        found = await diagnoser.diagnose(_target(), job, {})
        assert found is not None
        assert "Prometheus: no answer in time" in found.missing
        assert any(text.startswith("load of 3 vertices") for text in found.missing)
        asked = Slow.asked
        now += FRESH
        again = await diagnoser.diagnose(_target(), job, {})
    assert again is not None
    assert "Prometheus: it did not answer in time before" in again.missing
    assert Slow.asked == asked


async def test_a_fresh_diagnosis_is_taken_again_and_an_older_one_is_not() -> None:
    requests: list[str] = []
    answer = job_manager(overloaded())

    def count(request: httpx.Request) -> httpx.Response:
        requests.append(request.url.path)
        return answer(request)

    job, now = to_job(details(), checkpoints(400)), NOW
    diagnoser = _diagnoser(httpx.MockTransport(count), {}, {})
    diagnoser._clock = lambda: now
    first = await diagnoser.diagnose(_target(), job, {})
    asked = len(requests)
    assert asked <= 5 + 3 * 3
    now += FRESH - timedelta(seconds=1)
    assert await diagnoser.diagnose(_target(), job, {}) == first
    assert len(requests) == asked
    now += timedelta(seconds=1)
    await diagnoser.diagnose(_target(), job, {})
    assert len(requests) == 2 * asked


@pytest.mark.parametrize("job", [None, Job("j", "RUNNING", ()), Job("j", "FAILED", ())])
async def test_what_does_not_run_is_not_looked_at(job: Job | None) -> None:
    assert await _diagnoser(httpx.MockTransport(job_manager(overloaded())), {}, {}).diagnose(_target(), job, {}) is None


numbers = st.none() | st.floats() | st.integers(-(2**63), 2**63).map(float) | st.floats(0, 1000)
spreads = st.builds(Spread, numbers, numbers, numbers)
readings = st.builds(
    Readings,
    at=st.just(NOW),
    flink=st.builds(
        FlinkReadings,
        vertices=st.lists(
            st.builds(
                VertexReading,
                name=st.text(),
                parallelism=st.integers(0, 40_000),
                source=st.booleans(),
                busy=spreads,
                idle=spreads,
                back_pressured=spreads,
                records_in=spreads,
                records_out=spreads,
                watermark=numbers,
                start_delay=numbers,
                alignment=numbers,
            ),
            max_size=24,
        ).map(tuple),
        cpu_load=numbers,
        heap=numbers,
        garbage=numbers,
        checkpoint_seconds=numbers,
        checkpoint_interval=numbers,
        exception=st.text(),
        missing=st.lists(st.text(), max_size=40).map(tuple),
    ),
    cpu_used=numbers,
    cpu_limit=numbers,
    partitions=st.dictionaries(st.text(), numbers.filter(lambda n: n is not None), max_size=12),
    input_rate=numbers,
    consumed_rate=numbers,
)


@given(readings)
def test_whatever_is_read_there_is_a_diagnosis_that_the_record_holds(given_readings: Readings) -> None:
    found = diagnose(given_readings)
    written = found.model_dump_json(by_alias=True, exclude_none=True)
    assert len(written) < 64_000
    assert Diagnosis.model_validate_json(written, strict=False).findings == found.findings
    assert found.main == (types(found)[0] if found.findings else "")
    assert len(set(types(found))) == len(found.findings)
    assert not {"WaitsOutside", "CpuBound"} <= set(types(found))


@given(readings)
def test_nothing_is_found_where_nothing_is_known(given_readings: Readings) -> None:
    empty = Readings(at=NOW, flink=FlinkReadings(missing=given_readings.flink.missing))
    assert diagnose(empty).findings == ()
