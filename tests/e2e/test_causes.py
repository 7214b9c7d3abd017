"""Critical alerts fire for their real causes and stay silent through planned work. Some causes take many minutes, so
these tests run by `make test-long` only; lag and failing checkpoints are the demo's scenarios."""

import json
from datetime import UTC, datetime

import pytest
from e2e.incidents import NO_PAUSES, changed_policy, ended_remediation, no_more_pods, remediation_in, remediation_of
from e2e.release import Release

from demo.kube import Cluster, wait_for
from demo.pipeline import PIPELINE, Pipeline

pytestmark = pytest.mark.long


@pytest.fixture(scope="module", autouse=True)
def upgraded(release: Release, cluster: Cluster) -> None:
    """Shorten `for`, and give checkpoints Flink's own time limit: a hanging job then stands still before one fails."""
    times = {"for": "15s", "keepFiringFor": "0s"}
    overrides = {"KafkaConsumerStalled": times, "FlinkTaskManagerDown": times}
    configuration = {"execution.checkpointing.timeout": "10m"}
    pipeline = {"extraFlinkConfiguration": configuration}
    release.upgrade({"rules": {"overrides": overrides}, "pipeline": pipeline})

    def done() -> bool:
        status = cluster.flink_deployment(PIPELINE)["status"]
        return '"10m"' in status["reconciliationStatus"]["lastReconciledSpec"] and status["lifecycleState"] == "STABLE"

    wait_for("the upgraded job runs", done, 300)


def test_a_planned_rescale_is_silent(cluster: Cluster) -> None:
    pipeline, since = Pipeline(cluster, "HighKafkaLag"), datetime.now(UTC)
    pipeline.wait_healthy(print)
    vertices = [v["id"] for v in pipeline.job()["vertices"] if v["parallelism"] > 1]
    for parallelism in (4, 2):
        overrides = ",".join(f"{vertex}:{parallelism}" for vertex in vertices)
        change = {"spec": {"flinkConfiguration": {"pipeline.jobvertex-parallelism-overrides": overrides}}}
        cluster.kubectl("patch", "flinkdeployment", PIPELINE, "--type=merge", f"--patch={json.dumps(change)}")
        wait_for(f"parallelism {parallelism}", lambda p=parallelism: pipeline.parallelism() == p, 180)
    pipeline.wait_healthy(print)
    assert pipeline.critical_alerts(since) == []


def test_a_task_manager_that_is_killed_for_good_is_told(cluster: Cluster) -> None:
    pipeline = Pipeline(cluster, "FlinkTaskManagerDown")
    pods = cluster.kubectl("get", "pods", f"--selector=app={PIPELINE},component=taskmanager", "--output=name").split()
    since = datetime.now(UTC)
    with no_more_pods(cluster, fewer=len(pods)):
        cluster.kubectl("delete", *pods, "--grace-period=0", "--force")
        wait_for("FlinkTaskManagerDown is firing", lambda: pipeline.alert() == "firing", 300)
        # The job waits for its TaskManagers: a restore would not bring them.
        wait_for("a record", lambda: remediation_of(cluster, "FlinkTaskManagerDown", PIPELINE, since), 60)
    pipeline.wait_running(print)
    answer = ended_remediation(cluster, "FlinkTaskManagerDown", PIPELINE, since, 300)
    assert answer["status"]["phase"] in ("Refused", "Cancelled"), answer["status"]


def test_a_consumer_that_stands_still_is_restored_when_a_person_agrees(cluster: Cluster) -> None:
    pipeline, since = Pipeline(cluster, "KafkaConsumerStalled"), datetime.now(UTC)
    pipeline.wait_healthy(print)
    # Those of a start would count together with none that completes, and the answer would be to failing checkpoints.
    failed = "sum(round(increase(flink_jobmanager_job_numberOfFailedCheckpoints[5m])))"
    wait_for("no checkpoint has failed lately", lambda: cluster.promql(f"{failed} == 0"), 420)
    with changed_policy(cluster, "kafka-consumer-stalled", guards=NO_PAUSES):
        pipeline.hang()
        wait_for("KafkaConsumerStalled is firing", lambda: pipeline.alert() == "firing", 600)
        asked = remediation_in({"AwaitingApproval"}, cluster, "KafkaConsumerStalled", PIPELINE, since, 120)
        name, plan = asked["metadata"]["name"], asked["status"]["proposal"]
        cluster.kubectl("annotate", "frem", name, f"remediation.streaming-monitoring.dev/approval=approved:{plan}")
        answer = ended_remediation(cluster, "KafkaConsumerStalled", PIPELINE, since, 600)
    assert answer["status"]["phase"] == "Succeeded", answer["status"]
    pipeline.wait_healthy(print)
