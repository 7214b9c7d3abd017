"""The two substitutions that a policy's query knows."""

import re
from collections.abc import Mapping

from remediator.api.remediation import TargetReference

_EXPRESSION = re.compile(r"\{\{\s*([a-z]+)\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


class TemplateError(ValueError):
    """The template names something that the alert or the target does not have."""


def render(template: str, labels: Mapping[str, str], target: TargetReference) -> str:
    """Fill ``{{ labels.NAME }}``, ``{{ target.name }}`` and ``{{ target.namespace }}``, escaped for a
    double-quoted PromQL string. Raises TemplateError for unknown names and for leftover braces."""
    scopes: dict[str, Mapping[str, str]] = {
        "labels": labels,
        "target": {"name": target.name, "namespace": target.namespace},
    }

    def value(match: re.Match[str]) -> str:
        scope, name = match.groups()
        try:
            text = scopes[scope][name]
        except KeyError:
            raise TemplateError(f"{scope}.{name} is not known here") from None
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    left_over = _EXPRESSION.sub("", template)
    if "{{" in left_over or "}}" in left_over:
        raise TemplateError(f"not a known expression in {template!r}")
    return _EXPRESSION.sub(value, template)
