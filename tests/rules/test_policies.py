"""What the default policies ask to verify a remediation, asked of Prometheus' own engine."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from remediator.api.remediation import TargetReference
from remediator.core.template import render
from rules.conftest import ROOT

RENDERED = ROOT / "tests/chart/golden/pipeline.yaml"
TARGET = TargetReference(namespace="s", name="job")
GROUP = {"namespace": "s", "consumergroup": "g"}
# Two Kafka clusters of a namespace, each with a group of this name, and one that is not known by a label.
HEALTHY, BEHIND = {"strimzi_io_cluster": "healthy"}, {"strimzi_io_cluster": "behind"}


def series(name: str, values: str, **labels: str) -> dict:
    told = ", ".join(f'{label}="{value}"' for label, value in labels.items())
    return {"series": f"{name}{{{told}}}", "values": values}


def partition(end: str, committed: str, lag: str, **cluster: str) -> list[dict]:
    where = {"namespace": "s", "topic": "t", "partition": "0", **cluster}
    return [
        series("kafka_topic_partition_current_offset", end, **where),
        series("kafka_consumergroup_current_offset", committed, consumergroup="g", **where),
        series("kafka_consumergroup_lag", lag, consumergroup="g", **where),
    ]


@pytest.mark.parametrize("policy", ["high-kafka-lag", "kafka-consumer-stalled"])
@pytest.mark.parametrize("unlabelled_is_well", [True, False])
def test_the_alerts_own_kafka_cluster_is_asked(
    promtool: Callable[..., None], tmp_path: Path, policy: str, unlabelled_is_well: bool
) -> None:
    documents = yaml.safe_load_all(RENDERED.read_text())
    (spec,) = (
        d["spec"] for d in documents if d["kind"] == "FlinkRemediationPolicy" and d["metadata"]["name"] == policy
    )
    well, stopped = ("1000+100x90", "1000+100x90", "0+0x90"), ("90000+100x90", "1000+0x90", "89000+100x90")
    asked = [
        {
            "expr": f"count({render(spec['verify']['query'], GROUP | cluster, TARGET)})",
            "eval_time": "20m",
            "exp_samples": [{"labels": "{}", "value": 1}] if is_well else [],
        }
        for cluster, is_well in ((HEALTHY, True), (BEHIND, False), ({}, unlabelled_is_well))
    ]
    world = partition(*well, **HEALTHY) + partition(*stopped, **BEHIND)
    world += partition(*(well if unlabelled_is_well else stopped))
    test = {"interval": "15s", "input_series": world, "promql_expr_test": asked}
    file = tmp_path / "policy.test.yaml"
    rules = str(ROOT / "rules/kafka.yaml")
    file.write_text(json.dumps({"rule_files": [rules], "evaluation_interval": "15s", "tests": [test]}))
    promtool("test", "rules", file)
