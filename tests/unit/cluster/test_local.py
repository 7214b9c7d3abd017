"""The local provider's pure parts, and its processes and forwarder on this machine."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cluster import kind, tools
from cluster.local import components, forwarder, layout, processes
from cluster.steps import Steps


def test_every_component_has_a_command_or_is_the_forwarder() -> None:
    names = [*(b for build in tools.GO_BUILDS for b in build.binaries), *tools.PACKAGES]
    commands = components.commands({name: Path("/bin") / name for name in names})
    assert set(components.NAMES) - set(commands) == {"forwarder"}


def test_the_kubelet_keeps_below_our_cgroup() -> None:
    assert components.kubelet_configuration()["cgroupRoot"] == f"/{layout.CGROUP}"


def test_the_pod_network_is_json_and_does_not_masquerade() -> None:
    conflist = json.loads(json.dumps(components.cni()))
    assert conflist["plugins"][0]["ipMasq"] is False


def test_the_socket_path_fits_into_an_address() -> None:
    assert len(str(layout.CONTAINERD_SOCKET)) < 108


def test_kind_creates_builds_and_loads_in_this_order(tmp_path: Path) -> None:
    words = [" ".join(command[:3]) for command in kind.commands(tmp_path / "kubeconfig")]
    assert words[0] == "kind create cluster"
    assert words[-1] == "kind load docker-image"
    assert all(word.startswith("docker build") for word in words[1:-1])


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
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(layout, "RUN", tmp_path / "run")
    monkeypatch.setattr(layout, "LOG", tmp_path / "log")
    return tmp_path


def test_a_daemon_is_started_seen_and_ended(state: Path) -> None:
    processes.start("sleeper", ["sleep", "60"])
    assert processes.alive("sleeper")
    assert processes.noted() == ["sleeper"]
    processes.stop(["sleeper"])
    assert not processes.alive("sleeper")
    assert processes.noted() == []


def test_another_process_with_the_same_number_is_not_ours(state: Path) -> None:
    (state / "run").mkdir()
    note = {"pid": os.getpid(), "started": "1"}
    (state / "run/stranger.process").write_text(json.dumps(note))
    assert not processes.alive("stranger")
    processes.stop(["stranger"])  # and this test still runs


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


def test_the_dry_run_of_kind_prints_commands_and_runs_none() -> None:
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-m", "cluster", "up", "--provider=kind", "--dry-run"]
    done = subprocess.run(command, cwd=root / "tests", capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].startswith("kind create cluster")
