"""Where each dependency's CustomResourceDefinitions come from, and a cache of them.

Nothing of them is kept in the repository: they are generated from the very artifacts (a jar, a Go module) whose
types the dependency's own release is generated from.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from cluster.images import contents, maven

from . import jdk

HERE = Path(__file__).resolve().parent
FLINK_POM = HERE.parent / "images" / "flink_operator" / "pom.xml"
FLINK_MEMBER = "META-INF/fabric8/{plural}.flink.apache.org-v1.yml"
FLINK_PLURALS = ("flinkdeployments", "flinksessionjobs")
STRIMZI_MODEL = "io.strimzi.api.kafka.model"
STRIMZI_CLASSES = {
    "kafkas": f"{STRIMZI_MODEL}.kafka.Kafka",
    "kafkanodepools": f"{STRIMZI_MODEL}.nodepool.KafkaNodePool",
    "kafkatopics": f"{STRIMZI_MODEL}.topic.KafkaTopic",
}
STRIMZI_JDK = 21
MONITORING = "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring"


def flink(target: Path, cache: Path) -> None:
    """Flink's operator ships its definitions in the jar of its API."""
    (jar,) = maven.resolve(FLINK_POM, cache).glob("flink-kubernetes-operator-api-*.jar")
    with zipfile.ZipFile(jar) as archive:
        for plural in FLINK_PLURALS:
            (target / f"{plural}.yaml").write_bytes(archive.read(FLINK_MEMBER.format(plural=plural)))


def strimzi(target: Path, cache: Path) -> None:
    """Strimzi's own generator, run over its own model, as its build does."""
    jars = maven.resolve(HERE / "strimzi" / "pom.xml", cache)
    contents.run(
        *(jdk.find(STRIMZI_JDK), "-cp", f"{jars}/*", "io.strimzi.crdgenerator.CrdGenerator", "--yaml"),
        *("--label", "app:strimzi", "--label", "strimzi.io/crd-install:true"),
        *("--target-kube", "1.27+", "--crd-api-version", "v1"),
        *("--api-versions", "v1", "--describe-api-versions", "v1", "--storage-version", "v1"),
        *(f"{name}={target}/{plural}.yaml" for plural, name in STRIMZI_CLASSES.items()),
    )


def prometheus_operator(target: Path, cache: Path) -> None:
    """controller-gen over the operator's types, as its build does; without descriptions, to stay small."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("go.mod", "go.sum", "types.go"):
            shutil.copy2(HERE / "prometheus_operator" / name, folder)
        contents.run(
            contents.tool("controller-gen"),
            "crd:crdVersions=v1,maxDescLen=0",
            f"paths={MONITORING}/v1",
            f"paths={MONITORING}/v1alpha1",
            f"output:crd:dir={target}",
            cwd=folder,
            env={**os.environ, "GOFLAGS": "-mod=mod"},
        )


Source = Callable[[Path, Path], None]

# By the name of the dependency's chart: the source, and the files whose change makes the cache stale.
CHARTS: dict[str, tuple[Source, tuple[Path, ...]]] = {
    "flink-kubernetes-operator": (flink, (FLINK_POM,)),
    "strimzi-kafka-operator": (strimzi, (HERE / "strimzi" / "pom.xml",)),
    "kube-prometheus-stack": (prometheus_operator, (HERE / "prometheus_operator" / "go.mod",)),
}


def generate(chart: str, cache: Path) -> Path:
    """A folder with the definitions that a dependency's chart has in crds/."""
    source, inputs = CHARTS[chart]
    total = hashlib.sha256(Path(__file__).read_bytes())
    for path in inputs:
        total.update(path.read_bytes())
    folder = cache / "crds" / f"{chart}-{total.hexdigest()[:16]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{chart}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent) as work:
                target = Path(work) / "crds"
                target.mkdir()
                source(target, cache)
                target.rename(folder)
    return folder
