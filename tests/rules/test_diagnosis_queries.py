"""What the remediator asks Prometheus about a job, answered by Prometheus' own engine on series as they are scraped."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from metrics_catalogue import catalogue
from promql_parser import parse
from remediator.core.queries import job_queries, kafka_cluster, partition_lags
from worlds import target

TASK_MANAGER = (
    'flink_taskmanager_Status_JVM_CPU_Time{namespace="streaming",app="ml-recommender",tm_id="tm-%d",replica="%d"}'
)
SUBTASK = (
    'flink_taskmanager_job_task_numRecords%s{namespace="streaming",app="ml-recommender",'
    'task_id="%s",subtask_index="%d",task_attempt_id="%d",replica="%d"}'
)
OTHER_JOB = 'flink_taskmanager_Status_JVM_CPU_Time{namespace="streaming",app="other",tm_id="tm-9",replica="1"}'
CONTAINER = (
    'container_cpu_usage_seconds_total{namespace="streaming",pod="ml-recommender-taskmanager-1-%s",container="%s"%s}'
)


ALERT = {"namespace": "kafka", "strimzi_io_cluster": "one", "consumergroup": "ml-recommender", "cluster": "external"}


def by_partition(metric: str, partition: int, group: str = "", instance: str = "a", cluster: str = "kafka/one") -> str:
    named = f'consumergroup="{group}",' if group else ""
    namespace, _, strimzi = cluster.partition("/")
    where = f'namespace="{namespace}",strimzi_io_cluster="{strimzi}",instance="{instance}"'
    return f'{metric}{{{where},{named}topic="events",partition="{partition}"}}'


def series() -> list[dict[str, str]]:
    """Ten minutes, four values a minute: two TaskManagers of 0.25 cores each, 4 partitions that two replicas of the
    exporter tell of, 200 messages per second into each, of which 150 are consumed and committed every minute. The
    two subtasks of a vertex take 100 records each second and make three of each, until the job restarts at eight
    minutes, and 200 from then on; a second replica of Prometheus tells the same. Two other Kafka clusters have a topic
    and a group of the same names."""
    found = [{"series": TASK_MANAGER % (n, replica), "values": "0+3750000000x40"} for n in (1, 2) for replica in (1, 2)]
    found += [{"series": OTHER_JOB, "values": "0+15000000000x40"}]
    found += [{"series": CONTAINER % (n, "flink-main-container", ""), "values": "0+6x40"} for n in (1, 2)]
    found += [{"series": CONTAINER % (1, "flink-main-container", ',node="again"'), "values": "0+6x40"}]
    found += [{"series": CONTAINER % (1, "", ""), "values": "0+6x40"}]
    for way, subtask, replica in itertools.product(("In", "Out"), (0, 1), (1, 2)):
        records = {"In": 1500, "Out": 4500}[way]
        before, after = (SUBTASK % (way, "work", subtask, attempt, replica) for attempt in (1, 2))
        found += [{"series": before, "values": f"0+{records}x32 stale"}]
        found += [{"series": after, "values": f"_x33 0+{2 * records}x7"}]
    for partition in range(4):
        committed = " ".join(f"{150 * 60 * minute}x3" for minute in range(11))
        for instance in "ab":
            written = by_partition("kafka_topic_partition_current_offset", partition, instance=instance)
            read = by_partition("kafka_consumergroup_current_offset", partition, "ml-recommender", instance)
            lag = by_partition("kafka_consumergroup_lag", partition, "ml-recommender", instance)
            found += [{"series": written, "values": "0+3000x40"}, {"series": read, "values": committed}]
            found += [{"series": lag, "values": f"{1000 * (partition + 1)}x40" if partition else "-1x40"}]
    found += [{"series": by_partition("kafka_consumergroup_lag", 0, "ml-recommender-2"), "values": "77x40"}]
    found += [{"series": by_partition("kafka_topic_partition_current_offset", 9), "values": "0+30000x40"}]
    for cluster, partition in itertools.product(("kafka/two", "staging/one"), (3, 4)):
        for metric, values in (
            ("kafka_topic_partition_current_offset", "0+60000x40"),
            ("kafka_consumergroup_current_offset", "0+15000x40"),
            ("kafka_consumergroup_lag", "900000x40"),
        ):
            group = "ml-recommender" if "group" in metric else ""
            found += [{"series": by_partition(metric, partition, group, cluster=cluster), "values": values}]
    return found


def test_prometheus_answers_with_what_the_job_does(promtool: Callable[..., None], tmp_path: Path) -> None:
    def at_ten(query: str, samples: dict[str, float]) -> dict[str, object]:
        expected = [{"labels": labels, "value": value} for labels, value in samples.items()]
        return {"expr": query, "eval_time": "10m", "exp_samples": expected}

    # Of the last five minutes three at 800 records each second, to which increase() adds half an interval, and from
    # 08:15 on 105 s at 1,600.
    records = {'{stat="records", task_id="work"}': (187.5 * 800 + 105 * 1600) / 300}
    numbers = {"jvm_cpu": 0.5, "container_cpu": 0.8, "task_managers": 2, "input_rate": 800, "consumed_rate": 600}
    lags = {f'{{topic="events", partition="{n}"}}': 1000.0 * (n + 1) if n else -1.0 for n in range(4)}
    everywhere = lags | {f'{{topic="events", partition="{n}"}}': 900_000.0 for n in (3, 4)}
    cluster = kafka_cluster({"ml-recommender"}, ALERT)
    tests = {
        "rule_files": [],
        "fuzzy_compare": True,
        "tests": [
            {
                "interval": "15s",
                "input_series": series(),
                "promql_expr_test": [
                    at_ten(
                        job_queries(target(), cluster),
                        {f'{{stat="{stat}"}}': value for stat, value in numbers.items()} | records,
                    ),
                    at_ten(partition_lags({"ml-recommender"}, cluster), lags),
                    at_ten(partition_lags({"ml-recommender"}), everywhere),
                ],
            }
        ],
    }
    file = tmp_path / "queries.test.yaml"
    file.write_text(yaml.safe_dump(tests, sort_keys=False))
    promtool("test", "rules", file)


@pytest.mark.parametrize(
    ("alert", "expected"),
    [
        (ALERT, ('namespace="kafka"', 'strimzi_io_cluster="one"')),
        ({"namespace": "kafka", "consumergroup": "ml-recommender"}, ('namespace="kafka"',)),
        ({"namespace": "kafka", "consumergroup": "of-another-job"}, ()),
        ({"namespace": "streaming", "app": "ml-recommender"}, ()),
    ],
)
def test_an_alert_about_a_group_names_its_kafka_cluster(alert: dict[str, str], expected: tuple[str, ...]) -> None:
    assert kafka_cluster({"ml-recommender"}, alert) == expected


@pytest.mark.parametrize("name", ["a.b+c", 'quo"ted', "back\\slash", "new\nline", "ünï"])
def test_whatever_a_job_and_its_group_are_called_it_is_promql(name: str) -> None:
    resource = target()
    object.__setattr__(resource, "name", name)
    object.__setattr__(resource, "annotations", {"streaming-monitoring.dev/consumer-groups": name})
    cluster = kafka_cluster({name}, {"consumergroup": name, "namespace": name})
    parse(job_queries(resource, cluster))
    parse(partition_lags({name}, cluster))


def test_what_it_asks_for_is_in_the_catalogue() -> None:
    asked = job_queries(target()) + partition_lags({"g"})
    ours = {name for name in catalogue() if re.search(rf"\b{name}\b", asked)}
    assert ours == {
        "flink_taskmanager_Status_JVM_CPU_Time",
        "flink_taskmanager_job_task_numRecordsIn",
        "flink_taskmanager_job_task_numRecordsOut",
        "kafka_topic_partition_current_offset",
        "kafka_consumergroup_current_offset",
        "kafka_consumergroup_lag",
    }
    assert partition_lags(()) == ""
