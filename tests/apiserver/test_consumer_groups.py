"""The controller exports which FlinkDeployment reads with which consumer group."""

import re

import httpx

from apiserver.installation import Installation, Process
from apiserver.world import FLINK, MERGE_PATCH, World, eventually

SERIES = re.compile(r'^remediator_consumer_group_info\{app="(.*)",consumergroup="(.*)",target_namespace="(.*)"\} 1\.0$')


def exported(controller: Process) -> set[tuple[str, ...]]:
    """Return the series as (app, consumer group, namespace)."""
    lines = httpx.get(f"http://127.0.0.1:{controller.metrics_port}/metrics", timeout=5).text.splitlines()
    return {match.groups() for line in lines if (match := SERIES.match(line))}


def annotate(world: World, name: str, groups: str | None) -> None:
    """Write a FlinkDeployment's annotation; None takes it away."""
    annotations = {"streaming-monitoring.dev/consumer-groups": groups}
    path = world.path(FLINK, "flinkdeployments", name)
    change = {"metadata": {"annotations": annotations}}
    world.client.patch(path, headers=MERGE_PATCH, json=change).raise_for_status()


def test_the_annotations_of_now_are_exported(installation: Installation) -> None:
    world, namespace = installation.world, installation.world.namespace
    world.add("orders", spec={"job": {"parallelism": "two"}})  # nobody can read this one's spec
    world.add("quiet")
    annotate(world, "ml-recommender", "clicks, views,")
    annotate(world, "quiet", None)
    # The controller may not look into "default": what it may see is exported all the same.
    controller = installation.controller(sweep_period="1s", target_namespace=["default", namespace])
    expected = {("ml-recommender", g, namespace) for g in ("clicks", "views")} | {("orders", "orders", namespace)}
    eventually(lambda: controller.probe("/metrics") == 200 and exported(controller) == expected)

    annotate(world, "ml-recommender", "clicks")
    world.client.delete(world.path(FLINK, "flinkdeployments", "orders")).raise_for_status()
    eventually(lambda: exported(controller) == {("ml-recommender", "clicks", namespace)})
