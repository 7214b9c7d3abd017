"""From nothing to a lag alert that scales a real Flink job, and the proof that it helped."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cluster.__main__ import KUBECONFIG, choose, up
from cluster.local.provider import ProviderError
from cluster.steps import Steps
from cluster.tools import ToolError

from demo import report, scale
from demo.incident import LAG_LIMIT, failures
from demo.install import NAMESPACE, install, prepare_chart, uninstall
from demo.kube import ROOT, Cluster, CommandError, WaitError

HERE = Path(__file__).resolve().parent
OUT = ROOT / "build/demo"


def main() -> int:
    """Run the demo; 0 only if everything went as the README promises."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--cluster",
        choices=["existing", "kind", "local"],
        default=os.environ.get("CLUSTER") or None,
        help="default: kind if Docker answers, else local",
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the report")
    arguments = parser.parse_args()
    provider = arguments.cluster or choose()
    steps = Steps()
    try:
        with steps.step(f"cluster ({provider})"):
            up(provider, steps)
        return run(provider, arguments.out, steps)
    except (ProviderError, ToolError, CommandError, WaitError, subprocess.CalledProcessError) as error:
        print(f"The demo stopped: {error}", file=sys.stderr)
        return 1


def run(provider: str, out: Path, steps: Steps) -> int:
    """Install the chart on a cluster that is up, play the incident and judge it; returns the exit code."""
    out.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(KUBECONFIG, NAMESPACE)
    values = [HERE / "values.yaml", *([HERE / "values-local.yaml"] if provider == "local" else [])]
    with steps.step("chart installed"):
        uninstall(cluster, steps.say)
        install(cluster, prepare_chart(provider, out / "chart"), values, steps.say)
    steps.say(f"alert times are shortened for the demo: see {values[0].relative_to(ROOT)}")
    pipeline = scale.Pipeline(cluster)
    with steps.step("pipeline healthy"):
        scale.wait_healthy(cluster, pipeline, steps.say)

    began = time.monotonic()
    incident, remediation = scale.play(pipeline, steps.say)
    if remediation is None:
        raise WaitError("no FlinkRemediation appeared; is the alert firing, and does Alertmanager reach the receiver?")
    parallelism = pipeline.parallelism()
    with steps.step("every produced record looked for"):
        audit = pipeline.audit()
    steps.times["incident"] = time.monotonic() - began

    print(f"\nTimeline\n{report.timeline(incident)}")
    print(cluster.kubectl("get", "frem"))
    title = f"{scale.PIPELINE}: load from {scale.HEALTHY_RATE} to {scale.OVERLOAD_RATE} events/s"
    for path in report.save(incident, out, limit=LAG_LIMIT, title=title):
        print(f"written: {path}")
    wrong = failures(incident, remediation, parallelism, audit)
    summary = {"failures": wrong, "parallelism": parallelism, "audit": audit, "seconds": steps.times}
    (out / "result.json").write_text(json.dumps({**summary, "remediation": remediation}, indent=2))
    return _conclude(wrong, audit, steps.say)


def _conclude(wrong: list[str], audit: dict[str, int], say: Callable[[str], None]) -> int:
    for what in wrong:
        print(f"NOT as promised: {what}", file=sys.stderr)
    if wrong:
        return 1
    say(f"Succeeded: scaled 2 to 4, lag drained, {audit['produced']} records produced, none lost")
    say(f"look around: KUBECONFIG={KUBECONFIG} .tools/bin/kubectl -n {NAMESPACE} get streaming; make cluster-down")
    return 0


if __name__ == "__main__":
    sys.exit(main())
