"""What the remediator refuses, undoes and restores under the real Flink operator. The alerts are sent to Alertmanager
by hand, because their causes would take longer than their answers; everything behind Alertmanager is real."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from e2e.incidents import NO_PAUSES, changed_policy, ended_remediation, no_more_pods, remediation_in

from demo.kube import Cluster, wait_for
from demo.pipeline import PIPELINE, Pipeline


def lag_alert(cluster: Cluster, group: str) -> dict[str, str]:
    return {
        "alertname": "HighKafkaLag",
        "severity": "critical",
        "category": "kafka",
        "namespace": cluster.namespace,
        "consumergroup": group,
    }


def checkpoint_alert(cluster: Cluster, app: str) -> dict[str, str]:
    return {
        "alertname": "FlinkCheckpointFailures",
        "severity": "critical",
        "category": "flink",
        "namespace": cluster.namespace,
        "app": app,
    }


def send(cluster: Cluster, labels: dict[str, str]) -> datetime:
    """Send an alert unlike all before, so that it is an occurrence of its own; returns when."""
    since = datetime.now(UTC)
    cluster.send_alert({**labels, "test": since.isoformat()})
    return since


def answer(cluster: Cluster, labels: dict[str, str], target: str, seconds: float) -> dict[str, Any]:
    """Send an alert and wait for the end of what answers it."""
    since = send(cluster, labels)
    return ended_remediation(cluster, labels["alertname"], target, since, seconds)


def outcome(remediation: dict[str, Any]) -> tuple[str, str]:
    return remediation["status"]["phase"], remediation["status"]["reason"]


@pytest.fixture
def operator_1_8(cluster: Cluster) -> bool:
    """Whether Flink's operator is 1.8 or newer, the first to write ``status.observedGeneration``."""
    return bool(cluster.flink_deployment(PIPELINE)["status"].get("observedGeneration"))


@pytest.fixture
def idle_deployment(cluster: Cluster) -> Iterator[Callable[..., str]]:
    """Make FlinkDeployments whose pods never start: what is refused is refused before that matters."""
    names = []

    def make(name: str, job: dict[str, Any], task_manager: dict[str, Any] | None = None) -> str:
        resource = {"memory": "1024m", "cpu": 100}
        cluster.apply(
            {
                "apiVersion": "flink.apache.org/v1beta1",
                "kind": "FlinkDeployment",
                "metadata": {
                    "name": name,
                    "namespace": cluster.namespace,
                    "labels": {"remediation.streaming-monitoring.dev/enabled": "true"},
                    "annotations": {"streaming-monitoring.dev/consumer-groups": name},
                },
                "spec": {
                    "image": "streaming-monitoring/none",
                    "flinkVersion": "v1_19",
                    "serviceAccount": "flink",
                    "flinkConfiguration": {"state.savepoints.dir": "file:///savepoints"},
                    "jobManager": {"resource": resource},
                    "taskManager": {"resource": resource, **(task_manager or {})},
                    "job": {"jarURI": "local:///job.jar", "parallelism": 2, **job},
                },
            }
        )
        names.append(name)
        return name

    yield make
    cluster.kubectl("delete", "flinkdeployments", *names, "--timeout=120s")


def test_a_stateless_job_is_refused(cluster: Cluster, idle_deployment: Callable[..., str]) -> None:
    name = idle_deployment("stateless-job", {"upgradeMode": "stateless"})
    remediation = answer(cluster, lag_alert(cluster, name), name, 60)
    assert outcome(remediation) == ("Refused", "StatelessUpgradeMode")


def test_a_job_with_a_fixed_number_of_task_managers_is_not_scaled(
    cluster: Cluster, idle_deployment: Callable[..., str]
) -> None:
    name = idle_deployment("fixed-job", {"upgradeMode": "savepoint"}, {"replicas": 1})
    remediation = answer(cluster, lag_alert(cluster, name), name, 60)
    assert outcome(remediation) == ("Refused", "TaskManagerReplicasSet")


def test_a_scale_that_gets_no_slots_is_undone(cluster: Cluster) -> None:
    pipeline = Pipeline(cluster, "HighKafkaLag")
    pipeline.wait_healthy(print)
    scale = {"type": "Scale", "scale": {"factor": 2, "max": 4}, "timeout": "45s"}
    with changed_policy(cluster, "high-kafka-lag", actions=[scale], guards=NO_PAUSES), no_more_pods(cluster):
        remediation = answer(cluster, lag_alert(cluster, PIPELINE), PIPELINE, 180)
    assert outcome(remediation) == ("Ineffective", "Reverted")
    assert remediation["status"]["action"] == "Scale 2 to 4"
    wait_for("the job runs at 2 again", lambda: pipeline.parallelism() == 2, 60)
    overrides = cluster.flink_deployment(PIPELINE)["spec"]["flinkConfiguration"].get(
        "pipeline.jobvertex-parallelism-overrides", ""
    )
    assert ":4" not in overrides


def test_a_job_that_does_not_start_again_is_restored_once_it_has_failed(cluster: Cluster, operator_1_8: bool) -> None:
    pipeline = Pipeline(cluster, "FlinkCheckpointFailures")
    before = cluster.flink_deployment(PIPELINE)["spec"]

    def change(strategy: str, upgrade_mode: str) -> None:
        spec = {"flinkConfiguration": {"restart-strategy.type": strategy}, "job": {"upgradeMode": upgrade_mode}}
        patch = json.dumps({"spec": spec})
        cluster.kubectl("patch", "flinkdeployment", PIPELINE, "--type=merge", f"--patch={patch}")

        def upgraded() -> bool:
            status = cluster.flink_deployment(PIPELINE)["status"]
            last = status["reconciliationStatus"]["lastReconciledSpec"]
            settled = f'"restart-strategy.type":"{strategy}"' in last and status["lifecycleState"] == "STABLE"
            return settled and pipeline.parallelism() == 2 and pipeline.completed_checkpoint() is not None

        wait_for(f"a job with restart strategy {strategy}, and a checkpoint", upgraded, 300)

    change("none", before["job"]["upgradeMode"])
    if not operator_1_8:  # later ones end the JobManager first
        remediation = answer(cluster, checkpoint_alert(cluster, PIPELINE), PIPELINE, 60)
        assert outcome(remediation) == ("Refused", "NoRestartStrategy")
    checkpoint = pipeline.completed_checkpoint()
    selector = f"--selector=app={PIPELINE},component=taskmanager"
    cluster.kubectl("delete", "pods", selector, "--grace-period=0", "--force")
    wait_for(
        "the job has failed", lambda: cluster.flink_deployment(PIPELINE)["status"]["lifecycleState"] == "FAILED", 180
    )
    with changed_policy(cluster, "flink-checkpoint-failures", guards=NO_PAUSES):
        remediation = answer(cluster, checkpoint_alert(cluster, PIPELINE), PIPELINE, 420)
    assert remediation["status"]["phase"] == "Succeeded", remediation["status"]["message"]
    assert remediation["status"]["before"]["checkpoint"] >= checkpoint
    assert pipeline.restored_checkpoint() >= checkpoint
    # What the refusal advises; what comes after this test may fail and go on.
    change(before["flinkConfiguration"]["restart-strategy.type"], "savepoint")
    assert pipeline.restored_checkpoint() > checkpoint
    back = json.dumps({"spec": {"job": {"upgradeMode": before["job"]["upgradeMode"]}}})
    cluster.kubectl("patch", "flinkdeployment", PIPELINE, "--type=merge", f"--patch={back}")


def test_a_job_whose_metadata_are_lost_is_started_from_the_path_of_its_checkpoint(
    cluster: Cluster, operator_1_8: bool
) -> None:
    if not operator_1_8:
        pytest.skip("Flink's operator before 1.8 has no job.savepointRedeployNonce")
    pipeline = Pipeline(cluster, "FlinkCheckpointFailures")
    pipeline.wait_healthy(print)
    wait_for("a checkpoint", lambda: pipeline.completed_checkpoint() is not None, 120)
    checkpoint = pipeline.completed_checkpoint()
    restore = {"type": "Restore", "restore": {"allowSavepointRedeploy": True}}
    with changed_policy(cluster, "flink-checkpoint-failures", actions=[restore], guards=NO_PAUSES):
        cluster.kubectl("scale", "deployment", "flink-kubernetes-operator", "--replicas=0")
        try:
            since = send(cluster, checkpoint_alert(cluster, PIPELINE))
            remediation_in({"Verifying"}, cluster, "FlinkCheckpointFailures", PIPELINE, since, 60)
            cluster.kubectl("delete", "deployment", PIPELINE, "--cascade=foreground", "--timeout=120s")
            cluster.kubectl("delete", "configmaps", f"--selector=app={PIPELINE},configmap-type=high-availability")
        finally:
            cluster.kubectl("scale", "deployment", "flink-kubernetes-operator", "--replicas=1")
        remediation = ended_remediation(cluster, "FlinkCheckpointFailures", PIPELINE, since, 420)
    attempts = [attempt["reason"] for attempt in remediation["status"]["attempts"]]
    assert (remediation["status"]["phase"], attempts) == ("Succeeded", ["ManualRestoreRequired", "Verified"])
    restored = pipeline.restored_checkpoint()
    assert restored >= checkpoint
    assert remediation["status"]["action"] == f"Restore checkpoint {restored}"
    job = cluster.flink_deployment(PIPELINE)["spec"]["job"]
    assert job["initialSavepointPath"].endswith(f"/chk-{restored}")
    # As docs/remediation-policy.md advises: a deployment made anew would start from there.
    away = json.dumps([{"op": "remove", "path": "/spec/job/initialSavepointPath"}])
    cluster.kubectl("patch", "flinkdeployment", PIPELINE, "--type=json", f"--patch={away}")
