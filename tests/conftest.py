"""What holds for all tests."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster import tools
from hypothesis import settings

# How long an example takes says how busy the machine is.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")


@pytest.fixture(scope="session")
def promtool() -> Callable[..., None]:
    """Run promtool; it must succeed."""
    program = tools.ensure(["promtool"])["promtool"]

    def run(*arguments: str | Path) -> None:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return run
