"""FlinkDeployments as the versions of Flink's operator write them: one table says how each is read and decided on."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from remediator.core.decide import decide
from remediator.core.decision import Act
from remediator.core.flinkdeployment import FlinkDeployment, parse
from worlds import RESTORE, flink_resource, job, policy, snapshot

TABLE = yaml.safe_load((Path(__file__).parent / "flink_operator_statuses.yaml").read_text())
POLICIES = {
    "Scale": policy(),
    "Restore": policy(actions=RESTORE),
    "Path": policy(actions=[{"type": "Restore", "restore": {"allowSavepointRedeploy": True}}]),
}


def merged(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The document with changes in some places."""
    result = dict(document)
    for key, value in changes.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def target(case: dict[str, Any]) -> FlinkDeployment:
    """The FlinkDeployment of a line of the table, in generation 3."""
    spec, status = merged(TABLE["spec"], case.get("spec", {})), {"jobStatus": {"jobId": "job-1"}}
    resource = {**flink_resource(), "spec": spec, "status": merged(status, case["status"])}
    if case.get("reconciled", {}) is not None:
        last = {"spec": merged(TABLE["reconciled"], case.get("reconciled", {})), "resource_metadata": case["metadata"]}
        resource["status"].setdefault("reconciliationStatus", {"state": "DEPLOYED"})
        resource["status"]["reconciliationStatus"] |= {"lastReconciledSpec": json.dumps(last)}
    return parse(resource)


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["name"])
def test_it_is_read_as_the_operator_means_it(case: dict[str, Any]) -> None:
    read = target(case)
    assert read.caught_up is case["caught_up"]
    assert read.before_operator_1_8 is case.get("before_operator_1_8", False)
    assert read.asks_for_manual_restore is case.get("asks", False)
    assert read.failed is case.get("failed", False)


@pytest.mark.parametrize("action", POLICIES)
@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["name"])
def test_it_is_decided_on_as_that(case: dict[str, Any], action: str) -> None:
    decision = decide(snapshot(target=target(case), policy=POLICIES[action], job=job()))
    reason = "" if isinstance(decision, Act) else f" {decision.reason}"
    assert f"{type(decision).__name__}{reason}" == case["decisions"][action]


def test_every_operator_from_1_7_to_1_16_is_in_the_table() -> None:
    versions = {case["name"].split()[0] for case in TABLE["cases"]}
    assert {f"1.{minor}" for minor in range(7, 17)} <= versions
