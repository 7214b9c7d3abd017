"""The example pipeline's image, run without a cluster: its root file system, in which Flink runs in one process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import httpx
from cluster import images, tools
from cluster.kind import packages
from monitor_process import until
from ports import free_port

# A Flink that is no cluster would begin one more Python for local jobs, which the image does not hold the packages for.
_ENVIRONMENT = {"_python_worker_execution_mode": "process", "USER": "flink", "HOME": "/tmp", "JVM_ARGS": "-Xmx512m"}
_CONFIGURATION = {
    "taskmanager.numberOfTaskSlots": 2,
    "classloader.parent-first-patterns.additional": "pemja.",
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": 1000,
    "restart-strategy.fixed-delay.delay": "200ms",
    "state.checkpoints.dir": "file:///tmp/checkpoints",
    # Only when asked.
    "execution.checkpointing.interval": "1d",
}
# Namespaces of its own: mounts go with it, and its host name is one that can be looked up.
_ENTER = """
mount -t proc proc "$1/proc"; mount --rbind /dev "$1/dev"; hostname localhost
root=$1; shift; exec chroot --userspec=9999:9999 "$root" env -i "$@"
"""


def missing() -> list[str]:
    """What this machine lacks for it: the image is built as those of the cluster are."""
    return [*packages.missing(), *(program for program in ("unshare", "chroot") if not shutil.which(program))]


class FlinkImage:
    """Unpacked into a folder, which goes at the end. Use it in a ``with`` statement."""

    def __init__(self, folder: Path, image: str) -> None:
        self._image = image
        self.root = folder / "root"
        self._log = folder / "log.txt"
        self._rest = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> FlinkImage:
        archive = images.build(tools.cache(), [self._image])[self._image]
        with tarfile.open(archive) as image:
            (manifest,) = json.load(image.extractfile("manifest.json"))
            self._environment = json.load(image.extractfile(manifest["Config"]))["config"]["Env"]
            self.root.mkdir(parents=True)
            for layer in manifest["Layers"]:
                # The program is several times as fast as the module.
                unpack = subprocess.Popen(["tar", "-x", "-C", self.root], stdin=subprocess.PIPE)
                shutil.copyfileobj(image.extractfile(layer), unpack.stdin)
                unpack.stdin.close()
                assert unpack.wait() == 0
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        return self

    def __exit__(self, *error: object) -> None:
        if self._process:
            # The group, because a change of user takes the signal away that would follow its parent's death.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(60)
        shutil.rmtree(self.root)

    def start(self, *arguments: str, savepoint: str | None = None) -> None:
        """Run the example job with these arguments, at parallelism 2; from a savepoint, if one is given."""
        settings = {**_CONFIGURATION, "rest.port": self._rest.rpartition(":")[2]}
        flags = [f"-D{key}={value}" for key, value in settings.items()]
        variables = [*self._environment, *(f"{key}={value}" for key, value in _ENVIRONMENT.items())]
        flink = ["/docker-entrypoint.sh", "flink", "run", "-t", "local", "-p", "2", *flags]
        state = ["-s", savepoint] if savepoint else []
        job = [*state, "-py", "/opt/flink/usrlib/ml_recommender.py", *arguments]
        enter = ["unshare", "--mount", "--uts", "--pid", "--fork", "sh", "-ec", _ENTER, "sh", str(self.root)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*enter, *variables, *flink, *job], stdout=log, stderr=log, start_new_session=True
            )
        until(self._runs, "the job runs", 240)

    def stop(self) -> str:
        """Stop the job with a savepoint; returns where it is."""
        assert self._process
        folder = "/tmp/savepoints"
        path = f"{self._rest}/jobs/{self._job()}/stop"
        httpx.post(path, json={"targetDirectory": f"file://{folder}"}, timeout=30).raise_for_status()
        self._process.wait(120)
        self._process = None
        (savepoint,) = (self.root / folder[1:]).iterdir()
        return f"{folder}/{savepoint.name}"

    def failures(self) -> int:
        """How often the job has failed; each time it is started anew."""
        return len(self._get(f"/jobs/{self._job()}/exceptions")["exceptionHistory"]["entries"])

    def checkpoint(self) -> None:
        """Make a checkpoint, and wait until it is there."""
        path = f"/jobs/{self._job()}/checkpoints"
        before = self._get(path)["counts"]["completed"]
        httpx.post(self._rest + path, json={"checkpointType": "FULL"}, timeout=30).raise_for_status()
        until(lambda: self._get(path)["counts"]["completed"] > before, "the checkpoint is complete")

    def _runs(self) -> bool:
        assert self._process
        assert self._process.poll() is None, self._log.read_text()[-6000:]
        try:
            vertices = self._get(f"/jobs/{self._job()}")["vertices"]
        except (httpx.HTTPError, IndexError):
            return False
        return all(vertex["status"] == "RUNNING" for vertex in vertices)

    def _job(self) -> str:
        return self._get("/jobs")["jobs"][0]["id"]

    def _get(self, path: str) -> Any:
        answer = httpx.get(self._rest + path, timeout=30)
        answer.raise_for_status()
        return answer.json()
