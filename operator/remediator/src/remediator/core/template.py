"""A policy's queries: the two substitutions that they know, and how one is asked over a period."""

import re
from collections.abc import Mapping

from remediator.api.policy import RevertAfter
from remediator.api.remediation import TargetReference

_EXPRESSION = re.compile(r"\{\{\s*([a-z]+)\.([A-Za-z_][A-Za-z0-9_]*)(\??)\s*\}\}")

_LONGEST_STEP = 15


class TemplateError(ValueError):
    """The template names something that the alert or the target does not have."""


def render(template: str, labels: Mapping[str, str], target: TargetReference) -> str:
    """Fill ``{{ labels.NAME }}``, ``{{ target.name }}`` and ``{{ target.namespace }}``, escaped for a
    double-quoted PromQL string. ``{{ labels.NAME? }}`` is empty where the alert lacks the label: a matcher with it
    takes series without the label, as the alert's were. Raises TemplateError for other unknown names and for leftover
    braces."""
    scopes: dict[str, Mapping[str, str]] = {
        "labels": labels,
        "target": {"name": target.name, "namespace": target.namespace},
    }

    def value(match: re.Match[str]) -> str:
        scope, name, optional = match.groups()
        try:
            text = scopes[scope].get(name, "") if optional and scope == "labels" else scopes[scope][name]
        except KeyError:
            raise TemplateError(f"{scope}.{name} is not known here") from None
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    left_over = _EXPRESSION.sub("", template)
    if "{{" in left_over or "}}" in left_over:
        raise TemplateError(f"not a known expression in {template!r}")
    return _EXPRESSION.sub(value, template)


def quiet_query(after: RevertAfter) -> str:
    """Return the query, still a template, that tells whether another has held all through its quiet period.

    It is evaluated at steps that divide the period without a rest, none longer than a scrape's usual 15 s. Prometheus 3
    evaluates it ``period / step`` times, 2.x once more where the period begins at a step.
    """
    seconds = max(1, int(after.quiet_for.total_seconds()))
    step = next(step for step in range(min(_LONGEST_STEP, seconds), 0, -1) if seconds % step == 0)
    return f"count_over_time(({after.query})[{seconds}s:{step}s]) >= {seconds // step}"


def labels_in(template: str) -> list[str]:
    """Return the labels of the alert that a template names."""
    return [name for scope, name, _ in _EXPRESSION.findall(template) if scope == "labels"]
