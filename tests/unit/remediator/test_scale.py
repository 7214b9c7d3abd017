"""A scale's plan: how far, by which strategy, on which vertices; and its inverse."""

from dataclasses import replace
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st
from remediator.api.names import PLAN_ANNOTATION
from remediator.api.policy import Action, Scale
from remediator.api.remediation import Method, Plan
from remediator.core.configuration import OVERRIDES_KEY, format_overrides, parse_overrides
from remediator.core.flinkdeployment import parse
from remediator.core.patch import inverse_id
from remediator.core.scale import current_parallelism, plan_scale, too_small
from remediator.core.sizing import desired
from worlds import apply_json_patch, flink_resource, job, target

REDEPLOY = {"flinkConfiguration": {}}


def action(**scale: Any) -> Action:
    return Action(type="Scale", scale=Scale(**{"factor": 2, "max": 4, **scale}))


def plan(resource: dict[str, Any], at: Any = None, **scale: Any) -> Plan:
    return plan_scale(action(**scale), parse(resource), at or job(), "plan-1")


def test_auto_rescales_in_place_where_that_is_safe() -> None:
    made = plan(flink_resource())
    assert made.method is Method.IN_PLACE
    assert (made.parallelism_before, made.parallelism_after) == (2, 4)
    assert made.vertices == ("aa", "bb")
    assert made.left_alone == ("sink",)
    patched = apply_json_patch(flink_resource(), made.patch)
    assert patched["spec"]["flinkConfiguration"][OVERRIDES_KEY] == "aa:4,bb:4"
    assert patched["spec"]["job"]["parallelism"] == 2
    assert patched["metadata"]["annotations"][PLAN_ANNOTATION] == "plan-1"


@pytest.mark.parametrize(
    "spec",
    [
        REDEPLOY,
        {"flinkVersion": "v2_0"},
        {"flinkVersion": "v1_17"},
        {"mode": "standalone"},
        {
            "flinkConfiguration": {
                "jobmanager.scheduler": "adaptive",
                "kubernetes.operator.job.upgrade.inplace-scaling.enabled": "false",
            }
        },
    ],
)
def test_auto_redeploys_otherwise(spec: dict[str, Any]) -> None:
    made = plan(flink_resource(**spec))
    assert made.method is Method.REDEPLOY
    assert apply_json_patch(flink_resource(**spec), made.patch)["spec"]["job"]["parallelism"] == 4


def test_where_the_vertices_are_not_known_auto_redeploys() -> None:
    assert plan_scale(action(), target(), None, "p").method is Method.REDEPLOY


def test_what_cannot_go_that_far_is_named() -> None:
    at = job()
    at = replace(at, vertices=(replace(at.vertices[0], max_parallelism=3), *at.vertices[1:]))
    limited = target(flinkConfiguration={"pipeline.max-parallelism": 3})
    assert too_small(limited, at, 4) == "source (3), pipeline.max-parallelism (3)"
    assert too_small(limited, at, 3) == ""


def test_a_nested_configuration_is_understood() -> None:
    resource = flink_resource(flinkConfiguration={"jobmanager": {"scheduler": "adaptive"}})
    assert plan(resource).method is Method.IN_PLACE


def test_a_redeploy_takes_existing_overrides_along() -> None:
    resource = flink_resource(flinkConfiguration={OVERRIDES_KEY: "aa:3,bb:3"})
    made = plan(resource, at=job(3))
    assert made.method is Method.REDEPLOY
    patched = apply_json_patch(resource, made.patch)
    assert patched["spec"]["flinkConfiguration"][OVERRIDES_KEY] == "aa:4,bb:4"
    assert current_parallelism(parse(apply_json_patch(patched, made.inverse))) == 3


def test_a_patch_does_not_apply_to_what_has_changed_meanwhile() -> None:
    made = plan(flink_resource(**REDEPLOY))
    with pytest.raises(jsonpatch.JsonPatchException):
        apply_json_patch(flink_resource(**REDEPLOY, job={"parallelism": 3, "upgradeMode": "last-state"}), made.patch)


def test_a_patch_applies_once() -> None:
    made = plan(flink_resource())
    once = apply_json_patch(flink_resource(), made.patch)
    with pytest.raises(jsonpatch.JsonPatchException):
        apply_json_patch(once, made.patch)


def test_annotations_are_made_where_there_are_none() -> None:
    resource = flink_resource()
    del resource["metadata"]["annotations"]
    patched = apply_json_patch(resource, plan(resource).patch)
    assert patched["metadata"]["annotations"] == {PLAN_ANNOTATION: "plan-1"}


@given(
    current=st.integers(1, 64),
    factor=st.floats(1.01, 10),
    maximum=st.integers(2, 128),
    adaptive=st.booleans(),
    overridden=st.booleans(),
)
def test_inverse_after_patch_brings_the_parallelism_back(
    current: int, factor: float, maximum: int, adaptive: bool, overridden: bool
) -> None:
    configuration = {"jobmanager.scheduler": "adaptive"} if adaptive else {}
    if overridden:
        configuration[OVERRIDES_KEY] = format_overrides({"aa": current, "bb": current})
    resource = flink_resource(
        job={"parallelism": current, "upgradeMode": "last-state"}, flinkConfiguration=configuration
    )
    made = plan(resource, at=job(current), factor=factor, max=maximum)
    patched = apply_json_patch(resource, made.patch)
    assert current_parallelism(parse(patched)) == made.parallelism_after
    back = apply_json_patch(patched, made.inverse)
    assert current_parallelism(parse(back)) == current
    assert back["spec"]["job"] == resource["spec"]["job"]
    assert back["metadata"]["annotations"][PLAN_ANNOTATION] == inverse_id("plan-1")


@given(current=st.integers(1, 1000), factor=st.floats(1.01, 100), maximum=st.integers(2, 32768))
def test_never_down_and_never_beyond_the_bounds(current: int, factor: float, maximum: int) -> None:
    asked = desired(Scale(factor=factor, max=maximum), current)
    assert current <= asked <= max(current, maximum)


@given(st.dictionaries(st.text("0123456789abcdef", min_size=1), st.integers(1, 32768)))
def test_overrides_are_read_as_they_were_written(overrides: dict[str, int]) -> None:
    assert parse_overrides(format_overrides(overrides)) == overrides
