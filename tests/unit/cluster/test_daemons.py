"""What the providers share: tools, steps, daemons and the forwarder, on this machine."""

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest
from cluster import forwarder, tools
from cluster.daemons import Daemons
from cluster.errors import ProviderError
from cluster.steps import Steps


def test_a_recipe_that_does_not_exist_is_named() -> None:
    with pytest.raises(tools.ToolError, match="no recipe for nonsense"):
        tools.ensure(["nonsense"])


def test_steps_keep_their_times(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps()
    with steps.step("something"):
        pass
    assert steps.times["something"] >= 0
    assert "something: " in capsys.readouterr().out


@pytest.fixture
def daemons(tmp_path: Path) -> Daemons:
    return Daemons(tmp_path / "run", tmp_path / "log")


def test_a_daemon_is_started_seen_and_ended(daemons: Daemons) -> None:
    daemons.start("sleeper", ["sleep", "60"])
    assert daemons.alive("sleeper")
    assert daemons.noted() == ["sleeper"]
    daemons.stop(["sleeper"])
    assert not daemons.alive("sleeper")
    assert daemons.noted() == []


def test_another_process_with_the_same_number_is_not_ours(daemons: Daemons) -> None:
    assert not daemons.alive("stranger")
    assert not daemons.run.exists(), "a question leaves nothing behind"
    daemons.run.mkdir()
    note = {"pid": os.getpid(), "started": "1"}
    (daemons.run / "stranger.process").write_text(json.dumps(note))
    assert not daemons.alive("stranger")
    daemons.stop(["stranger"])  # and this test still runs


def test_one_that_ends_is_told_with_the_end_of_its_log(daemons: Daemons) -> None:
    daemons.start("failing", ["sh", "-c", "echo no such device; exit 1"])
    with pytest.raises(ProviderError, match="no such device"):
        daemons.wait("failing", lambda: False, 60)


async def test_the_forwarder_carries_both_directions() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    inner = server.sockets[0].getsockname()[1]
    listener = socket.create_server(("127.0.0.1", 0))
    outer = listener.getsockname()[1]
    task = asyncio.create_task(forwarder.serve(listener, "127.0.0.1", inner))
    reader, writer = await asyncio.open_connection("127.0.0.1", outer)
    writer.write(b"hello")
    writer.write_eof()
    assert await reader.read() == b"hello"
    writer.close()
    task.cancel()
    server.close()
