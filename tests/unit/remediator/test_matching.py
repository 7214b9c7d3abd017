"""Alertmanager's matcher semantics, names of remediations, templates of queries, durations."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remediator.api.base import format_duration, parse_duration
from remediator.api.policy import Matcher, Operator, TargetSelector
from remediator.core.matching import ByConsumerGroup, ByName, first_mismatch, is_target, target_query
from remediator.core.naming import kebab_case
from remediator.core.template import TemplateError, labels_in, render
from worlds import TARGET, target


@pytest.mark.parametrize(
    ("operator", "value", "labels", "expected"),
    [
        ("=", "a", {"l": "a"}, True),
        ("=", "a", {"l": "ab"}, False),
        ("=", "", {}, True),
        ("!=", "a", {}, True),
        ("!=", "a", {"l": "a"}, False),
        ("=~", "a|b", {"l": "b"}, True),
        ("=~", "a", {"l": "ab"}, False),
        ("=~", ".*", {}, True),
        ("!~", "a.", {"l": "ab"}, False),
        ("!~", "a.", {"l": "abc"}, True),
    ],
)
def test_matchers_are_anchored_and_take_missing_for_empty(
    operator: str, value: str, labels: dict[str, str], expected: bool
) -> None:
    matcher = Matcher(label="l", operator=Operator(operator), value=value)
    assert first_mismatch((matcher,), labels) == (None if expected else matcher)


def test_all_matchers_must_hold() -> None:
    both = (Matcher(label="a", value="1"), Matcher(label="b", value="2"))
    assert first_mismatch(both, {"a": "1", "b": "2"}) is None
    assert first_mismatch(both, {"a": "1", "b": "3"}) == both[1]


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        ("[[:alpha:]]+", "abc", True),
        (r"\pL+\z", "äb", True),
        (r"a.b", "a\nb", False),
        ("a$", "a\n", False),
        ("(a*)*b", "a" * 200, False),
    ],
)
def test_expressions_are_gos_and_cost_no_more_than_their_text(value: str, text: str, expected: bool) -> None:
    matcher = Matcher(label="l", operator=Operator.REGEX, value=value)
    assert (first_mismatch((matcher,), {"l": text}) is None) is expected


@pytest.mark.parametrize("value", ["(", "(?=a)", r"(a)\1", "*", "a{2000}"])
def test_an_expression_that_go_does_not_know_is_no_policy(value: str) -> None:
    with pytest.raises(ValueError, match="no regular expression of Go's syntax"):
        Matcher(label="l", operator=Operator.REGEX, value=value)
    assert Matcher(label="l", value=value)  # compared as text, it is one like any other


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"nameLabel": "app"}, ByName("ns", "job")),
        ({"name": "fixed"}, ByName("ns", "fixed")),
        ({"name": "fixed", "namespace": "other"}, ByName("other", "fixed")),
        ({"consumerGroupLabel": "group"}, ByConsumerGroup("ns", "readers")),
        ({"nameLabel": "absent", "namespaceLabel": "absent"}, ByName("", "")),
    ],
)
def test_the_target_an_alert_names(selector: dict[str, str], expected: object) -> None:
    labels = {"namespace": "ns", "app": "job", "group": "readers"}
    assert target_query(TargetSelector.model_validate(selector), labels) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (ByName("streaming", "ml-recommender"), True),
        (ByName("streaming", "other"), False),
        (ByName("other", "ml-recommender"), False),
        (ByConsumerGroup("streaming", "ml-recommender"), True),
        (ByConsumerGroup("streaming", "ml"), False),
        (ByConsumerGroup("streaming", ""), False),
    ],
)
def test_who_is_the_target(query: ByName | ByConsumerGroup, expected: bool) -> None:
    assert is_target(query, target()) is expected


@pytest.mark.parametrize("selector", [{}, {"name": "a", "nameLabel": "b"}])
def test_a_target_is_named_in_exactly_one_way(selector: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        TargetSelector.model_validate(selector)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("HighKafkaLag", "high-kafka-lag"),
        ("MLModelPredictionDrift", "ml-model-prediction-drift"),
        ("HighDLQRate", "high-dlq-rate"),
    ],
)
def test_alert_names_become_kebab_case(name: str, expected: str) -> None:
    assert kebab_case(name) == expected


def test_a_query_is_filled_in_and_escaped() -> None:
    text = 'lag{g="{{ labels.group }}",n="{{target.name}}"} < 1'
    assert render(text, {"group": 'a"b\\c'}, TARGET) == 'lag{g="a\\"b\\\\c",n="ml-recommender"} < 1'


def test_a_label_that_may_be_missing_is_empty_then() -> None:
    text = 'lag{k="{{ labels.kafka? }}",g="{{ labels.group }}"}'
    assert render(text, {"group": "g", "kafka": "k"}, TARGET) == 'lag{k="k",g="g"}'
    assert render(text, {"group": "g"}, TARGET) == 'lag{k="",g="g"}'
    assert labels_in(text) == ["kafka", "group"]


@pytest.mark.parametrize(
    "text",
    [
        "{{ labels.absent }}",
        "{{ other.name }}",
        "{{ other.name? }}",
        "{{ target.other? }}",
        "{{ labels.a | upper }}",
        "{{",
    ],
)
def test_what_a_query_cannot_know_is_an_error(text: str) -> None:
    with pytest.raises(TemplateError):
        render(text, {"a": "b"}, TARGET)


@given(st.integers(0, 10**7))
def test_durations_are_read_as_they_were_written(seconds: int) -> None:
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "10", "m", "1x", "-1m", "1.5h", "10m ", "10m\n", "1m1h", "1h1h", "99999d", "٣m"])
def test_what_is_no_duration_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)
