"""YAML as Kubernetes reads it: a key that stands twice is an error, which PyYAML alone does not notice."""

import math
import re
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML without libyaml
    from yaml import SafeLoader as Loader  # type: ignore[assignment]


class DoubledKeyError(ValueError):
    """A key stands twice in one map."""


class StrictLoader(Loader):
    """A loader that refuses doubled keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping; raises DoubledKeyError with the key and its line."""
        seen: set[Any] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in seen:
                raise DoubledKeyError(f"{name} stands twice, the second time in line {key.start_mark.line + 1}")
            seen.add(name)
        return super().construct_mapping(node, deep)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> Any:
        """Construct a number. What a float64 has no room for is a text for Go's reader (strconv.ParseFloat fails)."""
        number = super().construct_yaml_float(node)
        return node.value if math.isinf(number) and "inf" not in node.value.lower() else number


# Numbers that Kubernetes reads and PyYAML takes for texts.
StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)
StrictLoader.add_constructor("tag:yaml.org,2002:float", StrictLoader.construct_yaml_float)


def load_all(text: str) -> list[Any]:
    """The documents of a text, without empty ones."""
    return [document for document in yaml.load_all(text, Loader=StrictLoader) if document is not None]
