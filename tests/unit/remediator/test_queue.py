"""The work queue: one worker at a time for each, nothing forgotten, what fails later each time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from remediator.adapters.kube import Conflict, Unavailable
from remediator.controller.queue import WorkQueue


@asynccontextmanager
async def working(step: Callable[[str], Awaitable[timedelta | None]], workers: int = 4) -> Any:
    queue = WorkQueue(step, workers)
    running = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        running.cancel()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (of the code under test)
            await asyncio.sleep(0.001)


async def test_one_is_never_worked_on_twice_at_the_same_time() -> None:
    busy: Counter[str] = Counter()
    most: Counter[str] = Counter()
    begun: list[str] = []

    async def step(name: str) -> timedelta | None:
        begun.append(name)
        busy[name] += 1
        most[name] = max(most[name], busy[name])
        await asyncio.sleep(0.01)
        busy[name] -= 1
        return None

    async with working(step) as queue:
        for _ in range(3):
            for name in "abc":
                queue.add(name)
            await asyncio.sleep(0.005)
        await until(lambda: "a" not in queue and "b" not in queue and "c" not in queue)
    assert most == {"a": 1, "b": 1, "c": 1}
    assert all(begun.count(name) >= 2 for name in "abc"), "what is added while it is worked on comes again"


async def test_those_that_wait_hold_nobody_up() -> None:
    done = []

    async def step(name: str) -> timedelta | None:
        done.append(name)
        return timedelta(hours=1) if name.startswith("waits") else None

    async with working(step, workers=1) as queue:
        for number in range(50):
            queue.add(f"waits-{number}")
        queue.add("other")
        await until(lambda: "other" in done)
        assert "waits-0" in queue
        assert "other" not in queue
        # What happens to one that waits does not have to wait.
        queue.add("waits-7")
        await until(lambda: done.count("waits-7") == 2)


async def test_what_fails_is_tried_again_later_each_time_and_then_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: list[Any] = [Conflict("a"), Conflict("b"), Conflict("c"), None]
    pauses: list[timedelta] = []
    add = WorkQueue.add

    def noted(queue: WorkQueue, name: str, after: timedelta = timedelta(0)) -> None:
        pauses.append(after)
        add(queue, name, after)

    monkeypatch.setattr(WorkQueue, "add", noted)

    async def step(_: str) -> timedelta | None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome
        return None

    async with working(step) as queue:
        queue.add("a")
        await until(lambda: not outcomes and "a" not in queue)
        outcomes += [Conflict("d"), None]
        queue.add("a")
        await until(lambda: not outcomes)
    now, *first = pauses[:4]
    assert first == [first[0], 2 * first[0], 4 * first[0]]
    assert first[0] > timedelta(0)
    assert pauses[4:] == [now, first[0]], "it begins anew"


async def test_one_that_cannot_be_worked_on_stays_in_the_queue() -> None:
    tried = []

    async def step(name: str) -> timedelta | None:
        tried.append(name)
        raise {"bug": ZeroDivisionError("a bug"), "trouble": Unavailable("no answer")}[name]

    async with working(step) as queue:
        queue.add("bug")
        queue.add("trouble")
        await until(lambda: len(tried) == 2)
        await asyncio.sleep(0)
        assert "bug" in queue
        assert "trouble" in queue
        assert (len(queue), queue.oldest()) == (0, 0.0), "they wait for their time, not for a worker"
