"""Alertmanager's matcher semantics, and which FlinkDeployment an alert names.

Source: https://prometheus.io/docs/alerting/latest/configuration/#matcher
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

from remediator.api.policy import RE2_OPTIONS, Matcher, Operator, PolicySpec, TargetSelector
from remediator.core.flinkdeployment import FlinkDeployment
from remediator.core.template import labels_in


def first_mismatch(matchers: tuple[Matcher, ...], labels: Mapping[str, str]) -> Matcher | None:
    """Return the first matcher that does not hold, or None when all do; a missing label counts as ""."""
    return next((matcher for matcher in matchers if not _holds(matcher, labels.get(matcher.label, ""))), None)


def _holds(matcher: Matcher, value: str) -> bool:
    negated = matcher.operator in (Operator.NOT_EQUAL, Operator.NOT_REGEX)
    if matcher.operator in (Operator.EQUAL, Operator.NOT_EQUAL):
        return (value == matcher.value) is not negated
    return (_expression(matcher.value).fullmatch(value) is not None) is not negated


@lru_cache(maxsize=4096)
def _expression(pattern: str) -> Any:
    """Compile an expression. Alertmanager's own are RE2, too, whose time grows only with the length of the text.

    The library's own cache compares all options each time.
    """
    return re2.compile(pattern, RE2_OPTIONS)


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


def is_target(query: ByName | ByConsumerGroup, target: FlinkDeployment) -> bool:
    """Tell whether a FlinkDeployment is one that the query looks for; empty parts name nothing."""
    if query.namespace != target.namespace:
        return False
    if isinstance(query, ByName):
        return query.name == target.name
    return query.group in target.consumer_groups


def named_labels(policy: PolicySpec) -> list[str]:
    """Return the labels of an alert that decisions by this policy rest on, each once."""
    selector, after = policy.target, policy.revert.after
    labels = [matcher.label for matcher in policy.match]
    labels += [
        selector.namespace_label,
        *(name for name in (selector.name_label, selector.consumer_group_label) if name is not None),
    ]
    for query in (policy.verify.query, after.query if after else None):
        labels += labels_in(query or "")
    return list(dict.fromkeys(labels))
