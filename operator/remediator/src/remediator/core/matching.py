"""Alertmanager's matcher semantics, and which FlinkDeployment an alert names.

Source: https://prometheus.io/docs/alerting/latest/configuration/#matcher
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from remediator.api.policy import Matcher, Operator, TargetSelector


def matches(matchers: tuple[Matcher, ...], labels: Mapping[str, str]) -> bool:
    """Tell whether all matchers hold; a missing label counts as "". Raises re.error for a bad expression."""
    return all(_holds(matcher, labels.get(matcher.label, "")) for matcher in matchers)


def _holds(matcher: Matcher, value: str) -> bool:
    match matcher.operator:
        case Operator.EQUAL:
            return value == matcher.value
        case Operator.NOT_EQUAL:
            return value != matcher.value
        case Operator.REGEX:
            return re.fullmatch(matcher.value, value) is not None
        case Operator.NOT_REGEX:
            return re.fullmatch(matcher.value, value) is None


@dataclass(frozen=True)
class ByName:
    """The FlinkDeployment with this name."""

    namespace: str
    name: str


@dataclass(frozen=True)
class ByConsumerGroup:
    """Every FlinkDeployment of the namespace that names this consumer group."""

    namespace: str
    group: str


def target_query(selector: TargetSelector, labels: Mapping[str, str]) -> ByName | ByConsumerGroup:
    """Say how the target of an alert with these labels is to be looked up; parts may be empty strings."""
    namespace = selector.namespace or labels.get(selector.namespace_label, "")
    if selector.consumer_group_label is not None:
        return ByConsumerGroup(namespace, labels.get(selector.consumer_group_label, ""))
    name = selector.name or labels.get(selector.name_label or "", "")
    return ByName(namespace, name)
