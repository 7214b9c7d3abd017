"""From nothing to an alert that heals a real Flink job, and the proof that it helped."""

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cluster.__main__ import DEFAULT, KUBECONFIG, PROVIDERS, up
from cluster.errors import ProviderError
from cluster.steps import Steps
from cluster.tools import ToolError

from demo import report
from demo.incident import LAG_LIMIT, Outcome, failures
from demo.install import NAMESPACE, install, last_values, prepare_chart, profiles, uninstall
from demo.kube import ROOT, Cluster, CommandError, WaitError
from demo.pipeline import PIPELINE, Pipeline
from demo.play import play
from demo.scenarios import SCENARIOS, Scenario

HERE = Path(__file__).resolve().parent
OUT = ROOT / "build/demo"


def main() -> int:
    """Run the demo; 0 only if everything went as the README promises."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--cluster", choices=PROVIDERS, default=DEFAULT, help="default: %(default)s")
    parser.add_argument(
        "--scenario",
        choices=sorted(SCENARIOS),
        default="scale",
        help="scale (default): more load than parallelism 2 carries; restore: checkpoints that fail",
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the report")
    arguments = parser.parse_args()
    steps = Steps()
    try:
        with steps.step(f"cluster ({arguments.cluster})"):
            up(arguments.cluster, steps)
        return run(arguments.cluster, SCENARIOS[arguments.scenario], arguments.out, steps)
    except (ProviderError, ToolError, CommandError, WaitError, subprocess.CalledProcessError) as error:
        print(f"The demo stopped: {error}", file=sys.stderr)
        return 1


def run(provider: str, scenario: Scenario, out: Path, steps: Steps) -> int:
    """Install the chart on a cluster that is up, play the incident and judge it; returns the exit code."""
    out.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(KUBECONFIG, NAMESPACE)
    values = [HERE / "values.yaml", HERE / f"values-{scenario.name}.yaml"]
    with steps.step("chart installed"):
        uninstall(cluster, steps.say)
        layers = [*profiles(provider), *values, *last_values(provider)]
        install(cluster, prepare_chart(provider, out / "chart"), layers, steps.say)
    steps.say(f"alert times are shortened for the demo: see {' and '.join(str(v.relative_to(ROOT)) for v in values)}")
    pipeline = Pipeline(cluster, scenario.alert)
    with steps.step("pipeline healthy"):
        pipeline.wait_running(steps.say)
        pipeline.set_rate(scenario.healthy_rate)
        pipeline.wait_healthy(steps.say)
        pipeline.wait_calm(steps.say)

    began = time.monotonic()
    incident, remediation = play(scenario, pipeline, steps.say)
    if remediation is None:
        raise WaitError("no FlinkRemediation appeared; is the alert firing, and does Alertmanager reach the receiver?")
    with steps.step("every produced record looked for"):
        outcome = Outcome(
            parallelism=pipeline.parallelism(),
            restored_checkpoint=pipeline.restored_checkpoint(),
            critical_alerts=pipeline.critical_alerts(incident.start),
            audit=pipeline.audit(),
        )
    steps.times["incident"] = time.monotonic() - began

    print(f"\nTimeline\n{report.timeline(incident)}")
    print(cluster.kubectl("get", "frem"))
    for path in report.save(incident, out, limit=LAG_LIMIT, title=f"{PIPELINE}: {scenario.title}"):
        print(f"written: {path}")
    wrong = failures(incident, scenario.promise, remediation, outcome)
    summary = {"failures": wrong, "outcome": dataclasses.asdict(outcome), "seconds": steps.times}
    (out / "result.json").write_text(json.dumps({**summary, "remediation": remediation}, indent=2))
    return _conclude(wrong, f"{remediation['status']['action']}, {outcome.audit['produced']} records", steps.say)


def _conclude(wrong: list[str], done: str, say: Callable[[str], None]) -> int:
    for what in wrong:
        print(f"NOT as promised: {what}", file=sys.stderr)
    if wrong:
        return 1
    say(f"Succeeded: {done}, none lost, lag drained")
    say(f"look around: KUBECONFIG={KUBECONFIG} .tools/bin/kubectl -n {NAMESPACE} get streaming; make cluster-down")
    return 0


if __name__ == "__main__":
    sys.exit(main())
